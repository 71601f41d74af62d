"""splitbrain: torment a distributed system, and prove what it lost.

    from splitbrain import Experiment, read, check, run

    result = run(Experiment("sets", faults=("partition",), seed=7))
    verdict = check("linearizable", read(open("history.jsonl", "rb")))

1. This is the whole public face: what a test, a workload, a checker, a model, a fault or a system of one's own needs.
2. A name is loaded when it is first used. `import splitbrain` loads nothing else, `import splitbrain.store` no harness.
3. What is not here is not promised: a module below may move from one version to the next.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import version

    from splitbrain import store
    from splitbrain.checkers.compose import check_all
    from splitbrain.checkers.histories.event import Event, HistoryError
    from splitbrain.checkers.histories.formats import read
    from splitbrain.checkers.histories.history import History, Operation
    from splitbrain.checkers.linearizability.model import Call, Model
    from splitbrain.checkers.registry import Checker, check
    from splitbrain.checkers.verdict import Outcome, Verdict, Witness
    from splitbrain.harness import generators
    from splitbrain.harness.environment import CLIENTS, Conditions, Environment, EnvironmentFailure, Machine, Program
    from splitbrain.harness.nemesis.fault_family import FaultFamily, observed
    from splitbrain.harness.nemesis.strike import Strike
    from splitbrain.harness.nemesis.targets import Targets
    from splitbrain.harness.operation import Completion, Invocation
    from splitbrain.harness.running.experiment import Experiment, UsageProblem
    from splitbrain.harness.running.final_phase import final_reads, poll_replicas
    from splitbrain.harness.running.results import AnomalyFound, Result
    from splitbrain.harness.running.run import run
    from splitbrain.harness.simulation.programs.asyncio_program import asyncio_program
    from splitbrain.harness.system import (
        Connection,
        Mutant,
        NodeImage,
        OperationFailed,
        ReplicaState,
        Siblings,
        System,
        VersionedStore,
    )
    from splitbrain.harness.systems.kit import Failure, Service, Session
    from splitbrain.harness.workload import Client, Plan, ReplicaAnswer, Schema, Workload

    __version__ = version("splitbrain")

# fmt: off
__all__ = [
    "CLIENTS", "AnomalyFound", "Call", "Checker", "Client", "Completion", "Conditions", "Connection",
    "Environment", "EnvironmentFailure", "Event", "Experiment", "Failure", "FaultFamily", "History", "HistoryError",
    "Invocation", "Machine", "Model", "Mutant", "NodeImage", "Operation", "OperationFailed", "Outcome",
    "Plan", "Program", "ReplicaAnswer", "ReplicaState", "Result", "Schema", "Service", "Session", "Siblings", "Strike",
    "System", "Targets", "UsageProblem", "Verdict", "VersionedStore", "Witness", "Workload", "__version__",
    "asyncio_program", "check", "check_all", "final_reads", "generators", "observed", "poll_replicas", "read",
    "run", "store",
]
# fmt: on

_HOMES = {
    "checkers.compose": "check_all",
    "checkers.histories.formats": "read",
    "checkers.histories.event": "Event HistoryError",
    "checkers.histories.history": "History Operation",
    "checkers.linearizability.model": "Call Model",
    "checkers.registry": "Checker check",
    "checkers.verdict": "Outcome Verdict Witness",
    "harness.environment": "CLIENTS Conditions Environment EnvironmentFailure Machine Program",
    "harness.nemesis.fault_family": "FaultFamily observed",
    "harness.nemesis.strike": "Strike",
    "harness.nemesis.targets": "Targets",
    "harness.operation": "Completion Invocation",
    "harness.running.experiment": "Experiment UsageProblem",
    "harness.running.final_phase": "final_reads poll_replicas",
    "harness.running.results": "AnomalyFound Result",
    "harness.running.run": "run",
    "harness.simulation.programs.asyncio_program": "asyncio_program",
    "harness.system": "Connection Mutant NodeImage OperationFailed ReplicaState Siblings System VersionedStore",
    "harness.systems.kit": "Failure Service Session",
    "harness.workload": "Client Plan ReplicaAnswer Schema Workload",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}
_MODULES = {"generators": "splitbrain.harness.generators", "store": "splitbrain.store"}


def __getattr__(name: str) -> Any:
    """Load a name of the face when it is first asked for (PEP 562)."""
    if name in _HOME:
        value = getattr(import_module(f"splitbrain.{_HOME[name]}"), name)
    elif name in _MODULES:
        value = import_module(_MODULES[name])
    elif name == "__version__":
        from importlib.metadata import version

        value = version("splitbrain")
    else:
        raise AttributeError(f"module 'splitbrain' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
