"""Fault packages: which faults a run injects, when, and how they end.

1. Strikes that hold the same thing never overlap (`schedule`). So a heal ends only what its own start broke.
2. The final generator ends every fault that still stands, in a fixed order: links, then pauses, then processes. A
   process may need the others to start, so they must be neither paused nor cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
        return ByFamily({family.name: family.nemesis(environment, system) for family in self.families})


class ByFamily:
    """A nemesis that hands each operation to its family's own."""

    def __init__(self, nemeses: Mapping[str, Nemesis]) -> None:
        self._nemeses = nemeses

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        family = invocation.value["fault"]
        if family not in self._nemeses:
            raise ValueError(f"no nemesis for {family!r}; there is one for {', '.join(self._nemeses)}")
        return await self._nemeses[family].invoke(invocation)
