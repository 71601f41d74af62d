"""The environments there are: what each is, and how one is made for a run.

1. This table is the only one. What an environment can do is in its own `abilities`.
2. Making an environment starts nothing and asks nothing of the machine. `open` does.
3. Docker and SSH take a while to import, and not everybody has an engine: only a Docker environment imports them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from splitbrain.harness.environment import Environment
from splitbrain.harness.seeds import split
from splitbrain.harness.simulation import LinkConditions, SimulatedEnvironment
from splitbrain.harness.system import System

SIMULATED_LINKS = LinkConditions(loss=0.002, duplication=0.002)
"""Links that never lose or repeat a datagram would hide how a system copes with UDP."""


@dataclass(frozen=True)
class EnvironmentKind:
    """An environment as `--env` names it.

    summary: one line for `splitbrain list`. make: (node names, names of spares, system under test, seed, compose file
    or None) -> an environment that is not open yet. fault_commands_s: how long the commands of one fault take, its
    start and its end together, in seconds. simulated: it runs in virtual time.
    """

    name: str
    summary: str
    make: Callable[[Sequence[str], Sequence[str], System, int, str | None], Environment]
    fault_commands_s: float
    simulated: bool = False


def _simulated(
    nodes: Sequence[str], spares: Sequence[str], system: System, seed: int, compose: str | None
) -> Environment:
    return SimulatedEnvironment(nodes, spares=spares, seed=seed, conditions=SIMULATED_LINKS)


def _docker(nodes: Sequence[str], spares: Sequence[str], system: System, seed: int, compose: str | None) -> Environment:
    from splitbrain.harness.hosts import DockerEnvironment  # Rule 3.

    network = split(seed, "network")
    if compose is not None:
        return DockerEnvironment(nodes, seed=network, compose=compose)
    return DockerEnvironment(nodes, system.image(), spares, seed=network)


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
)
ENVIRONMENTS: Mapping[str, EnvironmentKind] = {kind.name: kind for kind in _ALL}
"""The environments by name."""
