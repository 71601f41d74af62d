"""The fault families there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.nemesis import partitions, processes
from harness.nemesis.package import FaultFamily, FaultPackage
from harness.seeds import split

SHORTEST_S, LONGEST_S = 2.0, 10.0
"""Of a fault: shorter ones fit between two retransmissions, longer ones leave too few in a run."""
SUMMARIES: Mapping[str, str] = {
    "partition": "cut the network: halves, random halves, one node alone, a ring of majorities",
    "bridge": "cut the network in two halves that one node still connects",
    "one-way": "some nodes are not heard any more, but hear the others",
    "kill": "kill -9 and restart one node, a minority, or all",
    "pause": "stop processes with SIGSTOP, and let them go on",
}


def catalogue() -> Mapping[str, str]:
    """The families' names, each with what it does."""
    return SUMMARIES


def fault_package(names: Sequence[str], nodes: Sequence[str], *, seed: int, time_limit_s: float) -> FaultPackage:
    """The families of these names together.

    nodes: the cluster's. time_limit_s: of the load, in seconds; about three faults of each lane fit in.
    Raises ValueError naming an unknown family and those there are, or one that needs more nodes.
    """
    families = tuple(_family(name, nodes, seed=split(seed, name)) for name in dict.fromkeys(names))
    return FaultPackage(families, min(LONGEST_S, max(SHORTEST_S, time_limit_s / 6)))


def _family(name: str, nodes: Sequence[str], *, seed: int) -> FaultFamily:
    built: Mapping[str, Callable[..., FaultFamily]] = {"kill": processes.kill, "pause": processes.pause}
    if name in partitions.FAMILIES:
        return partitions.family(name, nodes, seed=seed)
    if name in built:
        return built[name](nodes, seed=seed)
    raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(SUMMARIES))}")
