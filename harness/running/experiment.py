"""Experiments: everything that decides a run, as one value.

1. The same experiment gives the same simulated run, byte for byte.
2. What can't be done is refused before anything starts, by name: an unknown workload, system, fault, environment or
   configuration key; a fault that the environment can't inject; an interface that the system lacks. So are a workload's
   checkers: one that does not exist, or an option that it does not have.
3. `command` is the shell line that runs the experiment again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from splitbrain.checkers.registry import find
from splitbrain.harness.catalogue import UnknownName, offering, system, workload
from splitbrain.harness.environment import Environment
from splitbrain.harness.nemesis import FaultPackage, fault_package
from splitbrain.harness.running.environments import ENVIRONMENTS, EnvironmentKind
from splitbrain.harness.running.simulable import unsimulated_program
from splitbrain.harness.seeds import split
from splitbrain.harness.suggestions import did_you_mean
from splitbrain.harness.system import System
from splitbrain.harness.systems import DEFAULT as DEFAULT_SYSTEM
from splitbrain.harness.workload import Plan, Workload

RANGES: Mapping[str, tuple[float, float]] = {
    "nodes": (1, 99),
    "seed": (0, 2**63),
    "time_limit_s": (1, 86_400),
    "rate": (0.01, 100_000),
    "concurrency": (1, 1000),
    "spare_clients": (0, 100_000),
}


class UsageProblem(ValueError):
    """Something was asked for that does not exist or can't be done. The message names the cause, and what there is."""


@dataclass(frozen=True)
class Experiment:
    """What to run.

    nodes: how many. faults: families, such as "partition". time_limit_s: of the load, without the recovery. rate:
    operations per second. concurrency: client processes. spare_clients: how many more may be added while all of them
    wait for an answer; None for ten times the concurrency. config: the keys that were given.
    """

    workload: str
    environment: str = "sim"
    system: str = DEFAULT_SYSTEM
    nodes: int = 5
    faults: tuple[str, ...] = ()
    seed: int = 0
    time_limit_s: float = 60.0
    rate: float = 100.0
    concurrency: int = 10
    spare_clients: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names."""
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))

    @property
    def command(self) -> str:
        """The shell line that runs it again."""
        words = ["splitbrain", "run", self.workload, "--env", self.environment]
        if self.system != DEFAULT_SYSTEM:
            words += ["--system", self.system]
        words += ["--nodes", str(self.nodes)]
        if self.faults:
            words += ["--faults", ",".join(self.faults)]
        words += ["--seed", str(self.seed), "--time-limit", _exactly(self.time_limit_s)]
        words += ["--rate", _exactly(self.rate), "--concurrency", str(self.concurrency)]
        if self.spare_clients is not None:
            words += ["--spare-clients", str(self.spare_clients)]
        for key, value in self.config.items():
            words += ["--config", f"{key}={value}"]
        return shlex.join(words)

    def prepare(self) -> Prepared:
        """Look everything up, and make the environment without opening it. Raises UsageProblem."""
        self._check_ranges()
        kind = ENVIRONMENTS.get(self.environment)
        if kind is None:
            guess = did_you_mean(self.environment, ENVIRONMENTS)
            raise UsageProblem(f"unknown environment {self.environment!r}; known: {', '.join(ENVIRONMENTS)}{guess}")
        try:
            chosen, tested = workload(self.workload), system(self.system)
        except UnknownName as problem:
            raise UsageProblem(str(problem)) from None
        known = {**tested.config, **chosen.config}
        for key in self.config:
            if key not in known:
                guess = did_you_mean(key, known)
                raise UsageProblem(f"unknown configuration key {key!r}; known: {', '.join(sorted(known))}{guess}")
        if chosen.interface not in tested.interfaces:
            offered = ", ".join(sorted(tested.interfaces))
            remedy = ", ".join(offering(chosen.interface)) or f"none is installed that offers {chosen.interface}"
            text = f"{chosen.name} needs {chosen.interface}; {tested.name} offers {offered}"
            raise UsageProblem(f"{text}; choose another --system ({remedy})")
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
                commands_s=kind.fault_commands_s,
            )
            chosen.generator(plan)
            for name, options in chosen.checkers.items():
                find(name).accept(options)
        except ValueError as problem:
            raise UsageProblem(str(problem)) from None
        if kind.simulated and (program := unsimulated_program(configured, self.names)):
            others = ", ".join(name for name, each in ENVIRONMENTS.items() if not each.simulated)
            text = f"{tested.name} can't be simulated: its program {program} has no `simulate`"
            raise UsageProblem(f"{text}; choose another --env ({others})")
        environment = kind.make(self.names, configured, split(self.seed, "environment"))
        self._check_abilities(faults, environment)
        return Prepared(self, chosen, configured, faults, plan, kind, environment)

    def _check_ranges(self) -> None:
        for name, (least, most) in RANGES.items():
            given = getattr(self, name)
            if given is not None and not least <= given <= most:  # Not a number is in no range.
                raise UsageProblem(f"{name} is {given}; give {least:g} to {most:g}")

    def _check_abilities(self, faults: FaultPackage, environment: Environment) -> None:
        missing = faults.requires - environment.abilities
        if missing:
            raise UsageProblem(
                f"{environment.name} can't {', '.join(sorted(missing))}, which {','.join(self.faults)} needs;"
                " leave that fault out, or choose another --env"
            )


@dataclass(frozen=True)
class Prepared:
    """An experiment whose parts were all found. kind: of the environment, which is not open yet."""

    experiment: Experiment
    workload: Workload
    system: System
    faults: FaultPackage
    plan: Plan
    kind: EnvironmentKind
    environment: Environment


def _exactly(number: float) -> str:
    # As short as reads back to the same number: a rounded rate would be another experiment.
    return str(int(number)) if number == int(number) else repr(float(number))


def settings(pairs: Iterable[str], flag: str = "--config") -> dict[str, str]:
    """`key=value` words as a mapping. Raises UsageProblem for a word that is none, and for a key that comes twice."""
    parsed: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageProblem(f"{flag} {pair}: give key=value")
        if key in parsed:
            raise UsageProblem(f"{flag} {key} is given twice, as {parsed[key]} and as {value}; give it once")
        parsed[key] = value
    return parsed
