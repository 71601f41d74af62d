"""Starting: all nodes of a system at the same time, then what it needs done once; and at the end, what undoes that."""

from __future__ import annotations

from collections.abc import Sequence

from splitbrain.harness.environment import Environment, EnvironmentFailure
from splitbrain.harness.running.deadlines import OutOfTime, started, within
from splitbrain.harness.running.interrupts import interrupting, located
from splitbrain.harness.system import Dismantled, Preparable, System

PREPARE_S = 120.0
"""How long a system may take to prepare itself. A cluster of databases forms within some tens of seconds."""
TEAR_DOWN_S = 10.0


def preparing_s(system: System) -> float:
    """How long this system may take to prepare itself, in seconds."""
    return PREPARE_S if isinstance(system, Preparable) else 0.0


async def start_all(system: System, environment: Environment, nodes: Sequence[str]) -> None:
    """Start these nodes, and prepare the system if it is `Preparable`.

    Raises the first failure once all starts have ended, and EnvironmentFailure if one of them or the preparation takes
    too long.
    """
    await started(system, environment, nodes)
    if not isinstance(system, Preparable):
        return
    try:
        await within(PREPARE_S, system.prepare(environment))
    except OutOfTime:
        raise EnvironmentFailure(
            f"{system.name} was not prepared within {PREPARE_S:g} s; its nodes' logs in the run's folder may say why"
        ) from None


async def tear_down(system: System, environment: Environment) -> str:
    """Have the system undo what it made, if it is `Dismantled`. Returns what went wrong, in a sentence; "" if nothing.

    It is bounded, and costs no verdict.
    """
    if not isinstance(system, Dismantled):
        return ""
    try:
        await within(TEAR_DOWN_S, system.tear_down(environment))
    except BaseException as problem:  # A system is anybody's code.
        if interrupting(problem):
            raise
        return f"{system.name} was not torn down: {located(problem)}"
    return ""
