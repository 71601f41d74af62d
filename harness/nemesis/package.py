"""Fault packages: which faults a run injects, when, and how they end.

1. Episodes of one lane never overlap. So a heal ends only what its own start broke, and no killed process is paused.
   The families of a lane take turns (`turns`). Lanes overlap freely.
2. The final generator ends every fault that still stands, in a fixed order: cuts, then pauses, then kills. A process
   may need the others to start, so they must be neither paused nor cut off.
3. A nemesis observes whether an action took effect, and records that as evidence. It never trusts the command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from splitbrain.harness.environment import Environment
from splitbrain.harness.generators import Generator, any_of, seconds, sequence, sleep
from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.nemesis.turns import FirstOfAll, Turns, WhenAsked, half_pause_s
from splitbrain.harness.operation import Invocation, Nemesis
from splitbrain.harness.system import System


@dataclass(frozen=True)
class FaultPackage:
    """Several families together; none is a package too.

    interval_s: how long it is quiet before each fault, and how long the fault is held, at most. time_limit_s: of the
    load. actions_s: what the starts and stops of one episode of each take together.
    """

    families: tuple[FaultFamily, ...]
    interval_s: float
    time_limit_s: float
    actions_s: float

    @property
    def requires(self) -> frozenset[str]:
        """The abilities the environment must have."""
        return frozenset[str]().union(*(family.requires for family in self.families))

    @property
    def lanes(self) -> list[tuple[FaultFamily, ...]]:
        """The families of each lane."""
        names = dict.fromkeys(family.lane for family in self.families)
        return [tuple(family for family in self.families if family.lane == name) for name in names]

    @property
    def generator(self) -> Generator:
        """Faults without end. Each lane begins half a pause after the one before, so that faults overlap in part."""
        return WhenAsked(lambda now_ns: self._until(now_ns + seconds(self.time_limit_s)))

    def _until(self, end_ns: int) -> Generator:
        late_s = half_pause_s(max(map(len, self.lanes), default=0), self.interval_s, self.time_limit_s - self.actions_s)
        short = late_s < self.interval_s / 2
        waited_for = frozenset(family.name for family in self.families if short)
        turns = [Turns(lane, self.interval_s, self.actions_s, end_ns).generator for lane in self.lanes]
        lanes = [sequence(sleep(number * late_s), lane) for number, lane in enumerate(turns)]
        return any_of(*(FirstOfAll(lane, waited_for) for lane in lanes))

    @property
    def final(self) -> Generator:
        """Ends every fault that still stands; harmless where none does."""
        return sequence(*(family.final for family in sorted(self.families, key=lambda family: family.healed)))

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
