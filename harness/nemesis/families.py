"""The fault families by name: ours, and those of other packages.

1. A family of one's own can be named by its place, `file.py:NAME`.
2. Other packages add families through the entry-point group `splitbrain.faults`; each entry names a `FaultFamily`. They
   come after ours, and can't take the name of one of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points

from splitbrain.harness.nemesis import clocks, disks, flapping, membership, packets, partitions
from splitbrain.harness.nemesis.asked import Asked, by_name, chosen
from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.nemesis.nodes import ambushes, processes, storms
from splitbrain.harness.nemesis.package import FaultPackage
from splitbrain.harness.nemesis.schedule import Schedule
from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.nemesis.targets import Targets
from splitbrain.harness.places import is_place, thing_at
from splitbrain.harness.suggestions import did_you_mean

GROUP = "splitbrain.faults"


@cache
def families() -> Mapping[str, FaultFamily]:
    """The families by name."""
    modules = (partitions, flapping, packets, processes, storms, ambushes, clocks, disks, membership)
    ours = {family.name: family for module in modules for family in module.FAMILIES}
    theirs = [entry for entry in entry_points(group=GROUP) if entry.name not in ours]
    return {**ours, **{entry.name: entry.load() for entry in theirs}}


def catalogue() -> Mapping[str, str]:
    """The families' names, each with what it does."""
    return {name: family.summary for name, family in families().items()}


def fault_package(
    asked: Sequence[str],
    targets: Targets,
    *,
    seed: int,
    time_limit_s: float,
    commands_s: float,
    interval_s: float | None = None,
    strikes: Sequence[Strike] | None = None,
) -> FaultPackage:
    """The families that are asked for (`asked`) together, with a schedule.

    targets: the cluster's nodes. time_limit_s: of the load, in seconds. commands_s: what a strike's commands take on
    the environment's machines, in seconds. interval_s: from one strike to the next on average; None for a usual one.
    strikes: a schedule to be played again; None to draw one from the seed. Raises ValueError naming an unknown family
    and those there are, one that needs more nodes, or the least time in which each family can strike once.
    """
    wanted = by_name(asked)
    found = [chosen(_family(name, targets), several, targets) for name, several in wanted.items()]
    if strikes is not None:
        missing = sorted({strike.family for strike in strikes}.difference(each.name for each in found))
        if missing:
            raise ValueError(f"the schedule has strikes of {', '.join(missing)}; name them among the faults")
        return FaultPackage(tuple(found), tuple(strikes))
    drawn = Schedule(found, targets, seed, commands_s).strikes(time_limit_s, interval_s)
    return FaultPackage(tuple(found), drawn)


def _family(name: str, targets: Targets) -> FaultFamily:
    family = _placed(name) if is_place(name) else _known(name)
    if len(targets.nodes) < family.fewest_nodes:
        there = len(targets.nodes)
        raise ValueError(f"{name} needs at least {family.fewest_nodes} nodes, there are {there}; raise --nodes")
    return family


def is_known(asked: str) -> bool:
    """Whether there is such a family, or it is named by its place. Raises ValueError for what names none."""
    name = Asked.parse(asked).name
    return is_place(name) or name in families()


def family_named(asked: str) -> str:
    """The name of the family that is asked for, as histories have it. Raises ValueError."""
    name = Asked.parse(asked).name
    return _placed(name).name if is_place(name) else name


def _known(name: str) -> FaultFamily:
    known = families()
    if name not in known:
        raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(known))}{did_you_mean(name, known)}")
    return known[name]


def _placed(place: str) -> FaultFamily:
    family = thing_at(place)
    if not isinstance(family, FaultFamily):
        raise ValueError(f"{place} is no FaultFamily but {type(family).__name__}; name the family that the file makes")
    return family
