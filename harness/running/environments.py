"""The environments there are: what each is, and how one is made for a run.

1. This table is the only one. What an environment can do is in its own `abilities`.
2. Making an environment starts nothing and asks nothing of the machine. `open` does.
3. Docker and SSH take a while to import, and not everybody has an engine: only an environment that needs them does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from splitbrain.harness.environment import Environment, EnvironmentFailure
from splitbrain.harness.processes import ProcessesEnvironment, Talking
from splitbrain.harness.seeds import split
from splitbrain.harness.simulation import LinkConditions, SimulatedEnvironment
from splitbrain.harness.system import System

SIMULATED_LINKS = LinkConditions(loss=0.002, duplication=0.002)
"""Links that never lose or repeat a datagram would hide how a system copes with UDP."""


@dataclass(frozen=True)
class Wanted:
    """What an environment is made for.

    nodes, spares: their names; on spares nothing runs at first. system: under test. seed: of all that is drawn.
    hosts: the file that names the hosts, where it runs on such. keep: whether the system is left running at the end.
    compose: the file of a compose project whose containers are the nodes; None for containers of its own.
    """

    nodes: Sequence[str]
    spares: Sequence[str]
    system: System
    seed: int
    hosts: str = ""
    keep: bool = False
    compose: str | None = None


@dataclass(frozen=True)
class EnvironmentKind:
    """An environment as `--env` names it.

    summary: one line for `splitbrain list`. make: gives an environment that is not open yet. fault_commands_s: how long
    the commands of one fault take, its start and its end together, in seconds. simulated: it runs in virtual time.
    residents: only systems that name it run there. on_hosts: it runs on hosts that a file names.
    """

    name: str
    summary: str
    make: Callable[[Wanted], Environment]
    fault_commands_s: float
    simulated: bool = False
    residents: bool = False
    on_hosts: bool = False


def _simulated(wanted: Wanted) -> Environment:
    return SimulatedEnvironment(wanted.nodes, spares=wanted.spares, seed=wanted.seed, conditions=SIMULATED_LINKS)


def _docker(wanted: Wanted) -> Environment:
    from splitbrain.harness.hosts import DockerEnvironment  # Rule 3.

    network = split(wanted.seed, "network")
    if wanted.compose is not None:
        return DockerEnvironment(wanted.nodes, seed=network, compose=wanted.compose)
    return DockerEnvironment(wanted.nodes, wanted.system.image(), wanted.spares, seed=network)


def _ssh(wanted: Wanted) -> Environment:
    from splitbrain.harness.hosts import RemoteEnvironment  # Rule 3.
    from splitbrain.harness.hosts.remote.hosts_file import read_hosts

    known = {host.name: host for host in read_hosts(wanted.hosts)}
    hosts = [known[name] for name in wanted.nodes]
    spares = [known[name] for name in wanted.spares if name in known]
    return RemoteEnvironment(hosts, spares, file=wanted.hosts, keep=wanted.keep, seed=split(wanted.seed, "network"))


def host_names(file: str) -> tuple[str, ...]:
    """The names of the hosts in a file, in its order. Raises ValueError with one line for people."""
    from splitbrain.harness.hosts.remote.hosts_file import read_hosts  # Rule 3.

    return tuple(host.name for host in read_hosts(file))


def _processes(wanted: Wanted) -> Environment:
    if not isinstance(wanted.system, Talking):
        raise EnvironmentFailure(f"nodes of {wanted.system.name} don't talk through the harness; choose another --env")
    return ProcessesEnvironment(wanted.nodes, wanted.system, seed=wanted.seed)


_ALL = (
    EnvironmentKind(
        "sim",
        "one process, virtual time: seconds, and every failure replays from its seed",
        _simulated,
        fault_commands_s=0.1,
        simulated=True,
    ),
    EnvironmentKind(
        "docker",
        "containers: real processes, packets, clocks and disks, and real faults of all of them",
        _docker,
        # Half a second to a second on an idle machine, three times as much on a busy one.
        fault_commands_s=2.0,
    ),
    EnvironmentKind(
        "processes",
        "processes of this machine, for programs that talk through the harness by lines of JSON",
        _processes,
        fault_commands_s=0.2,
        residents=True,
    ),
    EnvironmentKind(
        "ssh",
        "hosts that somebody else has set up, named by --hosts; they are given back as they were",
        _ssh,
        fault_commands_s=2.0,
        on_hosts=True,
    ),
)
ENVIRONMENTS: Mapping[str, EnvironmentKind] = {kind.name: kind for kind in _ALL}
"""The environments by name."""
