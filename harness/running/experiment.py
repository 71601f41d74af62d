"""An experiment: everything that decides a run, as one value.

1. Same experiment, same simulated run, byte for byte.
2. What can't be done is refused before anything starts, by name: an unknown workload, system, fault, environment or
   configuration key; a fault the environment has no means for; an interface the system lacks. So are a workload's
   checkers: one that does not exist, or an option that it does not have.
3. `command` is the shell line that runs it again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from splitbrain.checkers.registry import find
from splitbrain.harness.catalogue import UnknownName, system, workload
from splitbrain.harness.nemesis import FaultPackage, fault_package
from splitbrain.harness.seeds import split
from splitbrain.harness.system import System
from splitbrain.harness.workload import Plan, Workload

ENVIRONMENTS: Mapping[str, str] = {
    "sim": "one process, virtual time: seconds, and every failure replays from its seed",
    "docker": "containers, with iptables and kill -9 over SSH",
}
ABILITIES: Mapping[str, frozenset[str]] = {
    "sim": frozenset({"cut", "kill", "pause", "wipe"}),
    "docker": frozenset({"cut", "kill", "pause", "wipe"}),
}
COMMANDS_S: Mapping[str, float] = {"sim": 0.1, "docker": 2.0}
"""What the commands of one fault take, its start and its end together. In containers half a second to a second if the
machine has nothing else to do, and three times as much if it is busy."""
RANGES: Mapping[str, tuple[float, float]] = {
    "nodes": (1, 99),
    "seed": (0, 2**63),
    "time_limit_s": (1, 86_400),
    "rate": (0.01, 100_000),
    "concurrency": (1, 1000),
}


class UsageProblem(ValueError):
    """Asked for what does not exist or can't be done: names the cause, and what there is."""


@dataclass(frozen=True)
class Experiment:
    """What to run.

    nodes: how many. faults: families, such as "partition". time_limit_s: of load, not counting recovery.
    rate: operations a second. concurrency: client processes. config: the keys that were given.
    """

    workload: str
    environment: str = "sim"
    system: str = "dynamo"
    nodes: int = 5
    faults: tuple[str, ...] = ()
    seed: int = 0
    time_limit_s: float = 60.0
    rate: float = 100.0
    concurrency: int = 10
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names."""
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))

    @property
    def command(self) -> str:
        """The shell line that runs it again."""
        words = ["splitbrain", "run", self.workload, "--env", self.environment]
        if self.system != "dynamo":
            words += ["--system", self.system]
        words += ["--nodes", str(self.nodes)]
        if self.faults:
            words += ["--faults", ",".join(self.faults)]
        words += ["--seed", str(self.seed), "--time-limit", _exactly(self.time_limit_s)]
        words += ["--rate", _exactly(self.rate), "--concurrency", str(self.concurrency)]
        for key, value in self.config.items():
            words += ["--config", f"{key}={value}"]
        return shlex.join(words)

    def prepare(self) -> Prepared:
        """Look everything up. Raises UsageProblem."""
        for name, (least, most) in RANGES.items():
            if not least <= getattr(self, name) <= most:  # Not a number is in no range.
                raise UsageProblem(f"{name} is {getattr(self, name)}; give {least:g} to {most:g}")
        if self.environment not in ENVIRONMENTS:
            raise UsageProblem(f"unknown environment {self.environment!r}; known: {', '.join(ENVIRONMENTS)}")
        try:
            chosen, tested = workload(self.workload), system(self.system)
        except UnknownName as problem:
            raise UsageProblem(str(problem)) from None
        known = {**tested.config, **chosen.config}
        for key in self.config:
            if key not in known:
                raise UsageProblem(f"unknown configuration key {key!r}; known: {', '.join(sorted(known))}")
        if chosen.interface not in tested.interfaces:
            offered = ", ".join(sorted(tested.interfaces))
            raise UsageProblem(f"{chosen.name} needs {chosen.interface}; {tested.name} offers {offered}")
        plan = Plan(
            self.names,
            split(self.seed, "workload"),
            {**chosen.config, **{key: value for key, value in self.config.items() if key in chosen.config}},
        )
        try:
            theirs = {key: value for key, value in self.config.items() if key in tested.config}
            configured = tested.configure(theirs, seed=split(self.seed, "system"), nodes=self.nodes)
            faults = fault_package(
                self.faults,
                self.names,
                seed=split(self.seed, "faults"),
                time_limit_s=self.time_limit_s,
                commands_s=COMMANDS_S[self.environment],
            )
            chosen.generator(plan)
            for name, options in chosen.checkers.items():
                find(name).accept(options)
        except ValueError as problem:
            raise UsageProblem(str(problem)) from None
        missing = faults.requires - ABILITIES[self.environment]
        if missing:
            raise UsageProblem(
                f"{self.environment} can't {', '.join(sorted(missing))}, which {','.join(self.faults)} needs;"
                " leave that fault out, or choose another --env"
            )
        return Prepared(self, chosen, configured, faults, plan)


@dataclass(frozen=True)
class Prepared:
    """An experiment whose parts were all found."""

    experiment: Experiment
    workload: Workload
    system: System
    faults: FaultPackage
    plan: Plan


def _exactly(number: float) -> str:
    # As short as reads back to the same number: a rounded rate would be another experiment.
    return str(int(number)) if number == int(number) else repr(float(number))


def settings(pairs: Iterable[str], flag: str = "--config") -> dict[str, str]:
    """`key=value` words as a mapping. Raises UsageProblem for one that is none."""
    parsed = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageProblem(f"{flag} {pair}: give key=value")
        parsed[key] = value
    return parsed
