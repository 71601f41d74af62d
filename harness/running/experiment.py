"""Experiments: everything that decides a run, as one value.

1. The same experiment gives the same simulated run, byte for byte.
2. What can't be done is refused before anything starts, by name: an unknown workload, system, fault, environment or
   configuration key; a fault that the environment can't inject; an interface that the system lacks. So are a workload's
   checkers: one that does not exist, or an option that it does not have.
3. `command` is the shell line that runs the experiment again.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from splitbrain.checkers.registry import find
from splitbrain.checkers.service.thresholds import parsed
from splitbrain.harness.catalogue import UnknownName, offering, system, workload
from splitbrain.harness.environment import Environment, EnvironmentFailure
from splitbrain.harness.nemesis import FaultPackage, Strike, fault_package
from splitbrain.harness.nemesis.targets import targets
from splitbrain.harness.places import is_place
from splitbrain.harness.replays.scripted import ScriptedOperation
from splitbrain.harness.running.environments import ENVIRONMENTS, EnvironmentKind, Wanted, host_names
from splitbrain.harness.running.simulable import unsimulated_program
from splitbrain.harness.seeds import split
from splitbrain.harness.suggestions import did_you_mean
from splitbrain.harness.system import Elastic, Partitioned, Prescribing, Resident, System
from splitbrain.harness.systems import DEFAULT as DEFAULT_SYSTEM
from splitbrain.harness.workload import Plan, Workload

LONGEST_S = 86_400
RANGES: Mapping[str, tuple[float, float]] = {
    "nodes": (1, 99),
    "seed": (0, 2**63),
    "time_limit_s": (1, LONGEST_S),
    "rate": (0.01, 100_000),
    "concurrency": (1, 1000),
    "spare_clients": (0, 100_000),
    "fault_interval_s": (0.05, LONGEST_S),
}


COMPOSED = "docker"
"""Where the containers of a compose project are nodes."""
SPARES = 2
"""Machines that may join a cluster, besides its nodes."""


class UsageProblem(ValueError):
    """Something was asked for that does not exist or can't be done. The message names the cause, and what there is."""


@dataclass(frozen=True)
class Experiment:
    """What to run.

    workload, system: by name, or by place: `file.py:NAME`. nodes: how many. faults: families, such as "partition",
    or some of their strikes, such as "partition/halves" and "kill=one" (`nemesis.asked`). time_limit_s: of the load,
    without the recovery; with faults it goes on until it was quiet for a while after the last (`load`). rate:
    operations per second. concurrency: client processes. spare_clients: how many more may be added while all of them
    wait for an answer; None for ten times the concurrency. config: the keys that were given. fault_interval_s: from one
    strike to the next on average, in seconds; None for a usual one. strikes: a schedule to be played; None to draw one
    from the seed. operations: the clients', to be performed; None for the workload's own, from its generator. hosts:
    the file that names the hosts, for an environment that runs on such. keep: whether the system is left running there
    at the end. compose: the file of a running compose project, whose containers are the nodes; services after a colon
    are the only ones. named: what the nodes are called, then the spares; () for n1, n2 and so on. fail_if: thresholds
    that make it invalid, such as "p99>300ms" (`thresholds`).
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
    fault_interval_s: float | None = None
    strikes: tuple[Strike, ...] | None = None
    operations: tuple[ScriptedOperation, ...] | None = None
    fail_if: tuple[str, ...] = ()
    hosts: str = ""
    keep: bool = False
    compose: str | None = None
    named: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names."""
        return self.named[: self.nodes] or tuple(f"n{number}" for number in range(1, self.nodes + 1))

    @property
    def spares(self) -> tuple[str, ...]:
        """The names of machines that may join the cluster, where a fault has some do so."""
        if self.named[self.nodes :]:
            return self.named[self.nodes : self.nodes + SPARES]
        # Where there is none to spare, these names come to nothing: a fault that needs some is refused later.
        return tuple(f"n{self.nodes + number}" for number in range(1, SPARES + 1))

    @property
    def is_drawn(self) -> bool:
        """Whether all of it comes from its seed; else strikes or operations were given."""
        return self.strikes is None and self.operations is None

    @property
    def command(self) -> str:
        """The shell line that runs it again, if it is drawn."""
        words = ["splitbrain", "run", self.workload, "--env", self.environment]
        if self.system != DEFAULT_SYSTEM:
            words += ["--system", self.system]
        if self.hosts:
            words += ["--hosts", self.hosts]
        if self.keep:
            words += ["--keep"]
        words += ["--nodes", str(self.nodes)] if self.compose is None else ["--compose", self.compose]
        if self.faults:
            words += ["--faults", ",".join(self.faults)]
        words += ["--seed", str(self.seed), "--time-limit", _exactly(self.time_limit_s)]
        words += ["--rate", _exactly(self.rate), "--concurrency", str(self.concurrency)]
        if self.spare_clients is not None:
            words += ["--spare-clients", str(self.spare_clients)]
        if self.fault_interval_s is not None:
            words += ["--fault-interval", _exactly(self.fault_interval_s)]
        for key, value in self.config.items():
            words += ["--config", f"{key}={value}"]
        for threshold in self.fail_if:
            words += ["--fail-if", threshold]
        return shlex.join(words)

    def elsewhere(self, environment: str, hosts: str = "") -> Experiment:
        """The same in that environment, with nodes of the same names. hosts: the file of hosts; "" for this one's."""
        kind = ENVIRONMENTS.get(environment)
        on_hosts = kind is not None and kind.on_hosts
        there = hosts or (self.hosts if on_hosts else "")
        return replace(self, environment=environment, hosts=there, keep=self.keep and on_hosts)

    def prepare(self) -> Prepared:
        """Look everything up, and make the environment without opening it. Raises UsageProblem."""
        if self.compose is not None and not self.named:
            named = self._composed(self.compose)
            return replace(self, named=named, nodes=len(named)).prepare()
        self._check_ranges()
        kind = ENVIRONMENTS.get(self.environment)
        if kind is None:
            guess = did_you_mean(self.environment, ENVIRONMENTS)
            raise UsageProblem(f"unknown environment {self.environment!r}; known: {', '.join(ENVIRONMENTS)}{guess}")
        if kind.on_hosts or self.hosts or self.keep:
            named = self._named(kind)
            if named != self.named:
                return replace(self, named=named).prepare()
        try:
            chosen, tested = workload(self.workload), system(self.system)
        except UnknownName as problem:
            raise UsageProblem(str(problem)) from None
        self._check_home(kind, tested)
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
        prescribed = tested.prescribe(chosen.interface) if isinstance(tested, Prescribing) else {}
        plan = Plan(
            self.names,
            split(self.seed, "workload"),
            {
                key: value
                for key, value in {**chosen.config, **prescribed, **self.config}.items()
                if key in chosen.config
            },
        )
        try:
            parsed(self.fail_if)
            asked = {**chosen.settings, **self.config}
            theirs = {key: value for key, value in asked.items() if key in tested.config}
            configured = tested.configure(theirs, seed=split(self.seed, "system"), nodes=len(self.names))
            faults = fault_package(
                self.faults,
                targets(configured, self.names, self.spares),
                seed=split(self.seed, "faults"),
                time_limit_s=self.time_limit_s,
                commands_s=kind.fault_commands_s,
                interval_s=self.fault_interval_s,
                strikes=self.strikes,
            )
            chosen.generator(plan)
            self._check_operations(chosen)
            chosen = replace(chosen, checkers=told(chosen.checkers, configured, self.names))
            for name, options in checks(chosen.checkers_under(plan.config), faults.names, self.fail_if).items():
                find(name).accept(options)
        except ValueError as problem:
            raise UsageProblem(str(problem)) from None
        if kind.simulated and (program := unsimulated_program(configured, self.names)):
            others = ", ".join(name for name, each in ENVIRONMENTS.items() if not each.simulated)
            text = f"{tested.name} can't be simulated: its program {program} has no `simulate`"
            raise UsageProblem(f"{text}; choose another --env ({others})")
        spares = self.spares if "spares" in faults.requires else ()
        seed = split(self.seed, "environment")
        wanted = Wanted(self.names, spares, configured, seed, self.hosts, self.keep, self.compose)
        try:
            environment = kind.make(wanted)
        except ValueError as problem:
            raise UsageProblem(str(problem)) from None
        self._check_abilities(faults, environment)
        if spares and not isinstance(configured, Elastic):
            raise UsageProblem(
                f"nodes of {tested.name} can't join and leave while it serves; leave {','.join(self.faults)} out"
            )
        return Prepared(self, chosen, configured, faults, plan, kind, environment)

    def _check_home(self, kind: EnvironmentKind, tested: System) -> None:
        home = tested.environment if isinstance(tested, Resident) else None
        if home is not None and home != kind.name:
            raise UsageProblem(f"{tested.name} runs in --env {home} alone, not in {kind.name}; leave --env out")
        if kind.residents and home is None:
            others = ", ".join(name for name, each in ENVIRONMENTS.items() if not each.residents)
            raise UsageProblem(
                f"nodes of {tested.name} don't talk through the harness, as --env {kind.name} needs;"
                f" choose another --env ({others})"
            )

    def _named(self, kind: EnvironmentKind) -> tuple[str, ...]:
        """The names of the hosts for the nodes, then for spares. Raises UsageProblem."""
        if not kind.on_hosts:
            others = ", ".join(name for name, each in ENVIRONMENTS.items() if each.on_hosts)
            flag = "--hosts" if self.hosts else "--keep"
            raise UsageProblem(f"{flag} is for hosts that a file names; leave it out, or choose --env {others}")
        if not self.hosts:
            raise UsageProblem(f"{kind.name} needs the hosts; give a file that names them with --hosts")
        try:
            known = host_names(self.hosts)
        except ValueError as problem:
            raise UsageProblem(str(problem)) from None
        if len(known) < self.nodes:
            raise UsageProblem(
                f"{self.hosts} names {len(known)} hosts for {self.nodes} nodes; add hosts, or give --nodes {len(known)}"
            )
        if self.is_drawn:
            return known
        missing = [name for name in self.names if name not in known]
        if missing:
            raise UsageProblem(
                f"{self.hosts} names no host {', '.join(missing)}; the recorded run has nodes of that name"
            )
        return (*self.names, *(name for name in known if name not in self.names))

    def _composed(self, file: str) -> tuple[str, ...]:
        """The nodes of its compose project."""
        if self.environment != COMPOSED:
            raise UsageProblem(f"--env {self.environment} has no containers; add --env {COMPOSED}, or leave {file} out")
        from splitbrain.harness.hosts.containers.compose_project import nodes_of  # Not everybody has an engine.

        try:
            return nodes_of(file)
        except EnvironmentFailure as failure:
            raise UsageProblem(str(failure)) from None

    def _check_ranges(self) -> None:
        for name, (least, most) in RANGES.items():
            given = getattr(self, name)
            if given is not None and not least <= given <= most:  # Not a number is in no range.
                raise UsageProblem(f"{name} is {given}; give {least:g} to {most:g}")
        if self.named and (len(set(self.named)) < len(self.named) or len(self.named) < self.nodes):
            raise UsageProblem(f"named has {', '.join(self.named)} for {self.nodes} nodes; give each a name of its own")

    def _check_operations(self, chosen: Workload) -> None:
        """Raises ValueError naming the first given operation that can't be."""
        known = [schema.f for schema in chosen.schemas]
        for number, operation in enumerate(self.operations or (), start=1):
            if operation.f not in known:
                raise ValueError(f"operation {number} is {operation.f!r}; {chosen.name} has {', '.join(known)}")
            if operation.node is not None and operation.node not in self.names:
                raise ValueError(f"operation {number} names node {operation.node!r}; there are {', '.join(self.names)}")
            if not 0 <= operation.process < self.concurrency:
                there = f"give 0 to {self.concurrency - 1}, or a higher concurrency"
                raise ValueError(f"operation {number} is of process {operation.process}; {there}")
            if not 0 <= operation.at_s < LONGEST_S:
                raise ValueError(f"operation {number} starts at {operation.at_s} s; give 0 to {LONGEST_S:,}")

    def _check_abilities(self, faults: FaultPackage, environment: Environment) -> None:
        missing = faults.requires - environment.abilities
        if missing:
            raise UsageProblem(
                f"{environment.name} can't {', '.join(sorted(missing))}, which {','.join(self.faults)} needs;"
                " leave that fault out, or choose another --env"
            )


@dataclass(frozen=True)
class Prepared:
    """An experiment whose parts were all found. kind: of the environment, which is not open yet.

    title: names the run's folder.
    """

    experiment: Experiment
    workload: Workload
    system: System
    faults: FaultPackage
    plan: Plan
    kind: EnvironmentKind
    environment: Environment

    @property
    def title(self) -> str:
        named = self.experiment.workload
        return re.sub(r"[^\w-]+", "-", self.workload.name) if is_place(named) else named


def told(
    checkers: Mapping[str, Mapping[str, Any]], system: System, nodes: tuple[str, ...]
) -> Mapping[str, Mapping[str, Any]]:
    """The workload's checkers that can say something of this system: with one copy of a key, no two can converge."""
    single = isinstance(system, Partitioned) and all(len(owners) == 1 for owners in system.owners(nodes))
    return {name: options for name, options in checkers.items() if not (single and name == "convergence")}


def checks(
    checkers: Mapping[str, Mapping[str, Any]], faults: Sequence[str], fail_if: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    """What judges a run: its workload's checkers, whether it had what it shows (`evidence`), and its thresholds."""
    judging: dict[str, Mapping[str, Any]] = {**checkers, "evidence": {"faults": list(faults)}}
    if fail_if:
        own = parsed(checkers.get("thresholds", {}).get("fail_if", ()))
        judging["thresholds"] = {"fail_if": [*(threshold.text for threshold in own), *fail_if]}
    return judging


def replaying(folder: Path) -> str:
    """The shell line that runs again what a run's folder has: for runs that no seed can tell."""
    return shlex.join(["splitbrain", "replay", str(folder)])


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


def usual_nodes(hosts: str) -> int:
    """How many nodes there are unless somebody says so: as many as the file names hosts. Raises UsageProblem."""
    try:
        return len(host_names(hosts)) if hosts else Experiment.nodes
    except ValueError as problem:
        raise UsageProblem(str(problem)) from None
