"""The fault families by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from splitbrain.checkers.histories.prose import listing
from splitbrain.harness.nemesis import partitions, processes
from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.nemesis.package import FaultPackage
from splitbrain.harness.nemesis.turns import least_s
from splitbrain.harness.seeds import split
from splitbrain.harness.suggestions import did_you_mean

SHORTEST_S, LONGEST_S = 2.0, 10.0
"""Length of a pause where there is time: shorter faults are masked by retries, longer ones leave too few in a run."""
SILENCE_S: Mapping[str, float] = {"pause": 2.0}
"""What an episode takes besides wherever it runs: at each end a node is held to be silent after a second."""
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


def fault_package(
    names: Sequence[str], nodes: Sequence[str], *, seed: int, time_limit_s: float, commands_s: float
) -> FaultPackage:
    """The families of these names together.

    nodes: the cluster's. time_limit_s: of the load, in seconds; about three faults of each lane fit in, and at least
    one of each family. commands_s: what an episode's commands take on the environment's machines, in seconds.
    Raises ValueError naming an unknown family and those there are, one that needs more nodes, or the least time in
    which each family can strike once.
    """
    families = tuple(_family(name, nodes, seed=split(seed, name)) for name in dict.fromkeys(names))
    actions_s = sum(commands_s + SILENCE_S.get(family.name, 0.0) for family in families)
    interval_s = min(LONGEST_S, max(SHORTEST_S, time_limit_s / 6))
    package = FaultPackage(families, interval_s, time_limit_s, actions_s)
    least = least_s([len(lane) for lane in package.lanes], actions_s)
    if time_limit_s < least:
        raise ValueError(
            f"{time_limit_s:g} s is too short for a whole episode of {listing([each.name for each in families], 9)};"
            f" give --time-limit {math.ceil(least)} or more, or fewer faults"
        )
    return package


def _family(name: str, nodes: Sequence[str], *, seed: int) -> FaultFamily:
    built: Mapping[str, Callable[..., FaultFamily]] = {"kill": processes.kill, "pause": processes.pause}
    if name in partitions.FAMILIES:
        return partitions.family(name, nodes, seed=seed)
    if name in built:
        return built[name](nodes, seed=seed)
    raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(SUMMARIES))}{did_you_mean(name, SUMMARIES)}")
