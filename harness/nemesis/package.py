"""Fault packages: which faults a run injects, when, and how they end.

1. Strikes that hold the same thing never overlap (`schedule`). So a heal ends only what its own start broke.
2. The final generator ends every fault that still stands, in a fixed order: links, then pauses, then processes. A
   process may need the others to start, so they must be neither paused nor cut off.
3. A strike hits members of the cluster only. If none of its nodes is one any more, it says neither that it took effect
   nor that not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from splitbrain.harness.environment import Environment
from splitbrain.harness.generators import Generator, phases
from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.nemesis.play import Play, invocation
from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.operation import Invocation, Nemesis
from splitbrain.harness.system import System

AT_ONCE = 32
"""How many operations of the nemesis may be under way at once."""


@dataclass(frozen=True)
class FaultPackage:
    """Several families together; none is a package too. strikes: the schedule, by time."""

    families: tuple[FaultFamily, ...]
    strikes: tuple[Strike, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The families' names, as histories have them."""
        return tuple(family.name for family in self.families)

    @property
    def requires(self) -> frozenset[str]:
        """The abilities the environment must have."""
        return frozenset[str]().union(*(family.requires for family in self.families))

    @property
    def generator(self) -> Generator:
        """Plays the schedule."""
        families = {family.name: family for family in self.families}
        return Play(families, self.strikes, {strike.number: strike for strike in self.strikes})

    @property
    def final(self) -> Generator:
        """Ends every fault that still stands; harmless where none does."""
        return phases(*(invocation(each, "stop") for each in sorted(self.families, key=lambda each: each.healed)))

    def nemesis(self, environment: Environment, system: System) -> Nemesis:
        """One nemesis that performs the operations of all families."""
        nemeses = {family.name: family.nemesis(environment, system) for family in self.families}
        return ByFamily(nemeses, environment.members, {each.name for each in self.families if each.changes_members})


class ByFamily:
    """A nemesis that hands each operation to its family's own.

    members: of the cluster, at present. changing: families that change those, and name others too.
    """

    def __init__(self, nemeses: Mapping[str, Nemesis], members: Sequence[str], changing: Collection[str] = ()) -> None:
        self._nemeses = nemeses
        self._members = members
        self._changing = changing

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        family = invocation.value["fault"]
        if family not in self._nemeses:
            raise ValueError(f"no nemesis for {family!r}; there is one for {', '.join(self._nemeses)}")
        named = invocation.value.get("nodes", ())
        present = [node for node in named if node in self._members]
        if family in self._changing or len(present) == len(named):
            return await self._nemeses[family].invoke(invocation)
        if not present:
            return {**invocation.value, "evidence": {"detail": f"{', '.join(named)} left the cluster"}}
        struck = replace(invocation, value={**invocation.value, "nodes": present})
        return await self._nemeses[family].invoke(struck)
