"""Fault packages: which faults a run injects, when, and how they end.

1. Strikes that hold the same thing never overlap (`schedule`). So a heal ends only what its own start broke.
2. The final generator ends every fault that still stands, in a fixed order: links, then pauses, then processes. A
   process may need the others to start, so they must be neither paused nor cut off.
3. A strike hits members of the cluster only. If none of its nodes is one any more, it says neither that it took effect
   nor that not.
4. Who leads is asked when a strike at the leader starts, for `ELECTION_S` while nobody does. Its stop means the same
   node, whoever leads by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from splitbrain.harness.environment import Environment
from splitbrain.harness.generators import Generator, phases
from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.nemesis.play import Play, invocation
from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.nemesis.targets import LEADER
from splitbrain.harness.operation import Invocation, Nemesis
from splitbrain.harness.system import Led, System

ELECTION_S = 5.0
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
        changing = {each.name for each in self.families if each.changes_members}
        return ByFamily(nemeses, environment, system, changing)


class ByFamily:
    """A nemesis that hands each operation to its family's own.

    changing: families that change the members of the cluster, and name other nodes too.
    """

    def __init__(
        self,
        nemeses: Mapping[str, Nemesis],
        environment: Environment,
        system: System,
        changing: Collection[str] = (),
    ) -> None:
        self._nemeses = nemeses
        self._environment = environment
        self._system = system
        self._changing = changing
        self._leaders: dict[int, str] = {}

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        family = invocation.value["fault"]
        if family not in self._nemeses:
            raise ValueError(f"no nemesis for {family!r}; there is one for {', '.join(self._nemeses)}")
        if invocation.value.get("target") == LEADER:
            leader = await self._leader(invocation.value["strike"], invocation.value["phase"])
            if leader is None:
                return {**invocation.value, "evidence": {"detail": "no node leads"}}
            invocation = replace(invocation, value={**invocation.value, "nodes": [leader]})
        named = invocation.value.get("nodes", ())
        present = [node for node in named if node in self._environment.members]
        if family in self._changing or len(present) == len(named):
            return await self._nemeses[family].invoke(invocation)
        if not present:
            return {**invocation.value, "evidence": {"detail": f"{', '.join(named)} left the cluster"}}
        struck = replace(invocation, value={**invocation.value, "nodes": present})
        return await self._nemeses[family].invoke(struck)

    async def _leader(self, strike: int, phase: str) -> str | None:
        """Who led when the strike started (rule 4); None too where nobody did, so that nobody was struck."""
        if phase == "start" and isinstance(self._system, Led):
            deadline = asyncio.get_running_loop().time() + ELECTION_S
            while (leader := await self._system.leader(self._environment)) is None:
                if asyncio.get_running_loop().time() > deadline:
                    return None
                await asyncio.sleep(0.1)
            self._leaders[strike] = leader
        return self._leaders.get(strike)
