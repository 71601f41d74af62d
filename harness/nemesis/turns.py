"""Turns: how the families of one lane share the time.

1. A family's episode is a quiet time, a start, a hold and a stop. Every family of a lane has its first episode before
   any has its second.
2. In that first round, no pause (quiet or hold) is longer than its share of the time left. The time that the actions
   will take is set aside. The rest is shared evenly among the pauses to come, and one after them. But no hold is
   shorter than `LEAST_S`.
3. Pauses count from when the nemesis is done. On a real network, cutting and observing take seconds; where they took
   longer than was set aside, the later pauses are shorter.
4. Where time is so short that pauses shrink, no lane begins its second round before all have ended their first. There
   is one nemesis, and the families that have not struck yet need it.
5. A time in which not every pause can last `LEAST_S` is too short for a schedule (`least_s`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.harness.generators import PENDING, Context, Generator, Step, Test, sequence, sleep, synchronize, unfold
from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.operation import Invocation

LEAST_S = 0.5
"""The shortest pause: a shorter fault fits between two retransmissions."""


def least_s(lanes: Sequence[int], actions_s: float) -> float:
    """The shortest time in which every family of every lane has a whole episode, in seconds.

    lanes: how many families each has. actions_s: what the actions of all lanes' first round take together, for there is
    one nemesis.
    """
    pauses = 2 * max(lanes) + 1 + (len(lanes) - 1) / 2 if lanes else 0
    return actions_s + pauses * LEAST_S


def half_pause_s(families: int, longest_s: float, left_s: float) -> float:
    """How much later a lane begins than the one before, in seconds.

    families: of the fullest lane. longest_s: of a pause. left_s: the time without the actions.
    """
    return min(longest_s, left_s / (2 * families + 1.5)) / 2


@dataclass(frozen=True, slots=True)
class Turns:
    """Episodes of some families in turns, without end.

    interval_s: the longest that a pause lasts. actions_s: as in `least_s`. end_ns: when the time is over.
    """

    families: Sequence[FaultFamily]
    interval_s: float
    actions_s: float
    end_ns: int

    @property
    def generator(self) -> Generator:
        """What the nemesis does for this lane."""
        return unfold(self._episode)

    def _episode(self, number: int) -> Generator:
        family = self.families[number % len(self.families)]
        turn = number // len(self.families)
        quiet, hold = (synchronize(self._pause(2 * number + half)) for half in (0, 1))
        return sequence(quiet, family.start(turn), hold, family.stop(turn))

    def _pause(self, number: int) -> Generator:
        pauses = 2 * len(self.families)
        if number >= pauses:
            return sleep(self.interval_s)
        return WhenAsked(lambda now_ns: sleep(self._share_s((self.end_ns - now_ns) / 1e9, pauses - number, pauses)))

    def _share_s(self, left_s: float, pauses_left: int, pauses: int) -> float:
        set_aside_s = self.actions_s * pauses_left / pauses
        # A fault held for too short a time is none, but quiet can be done without.
        least_s = LEAST_S if pauses_left % 2 else 0.0
        return max(least_s, min(self.interval_s, (left_s - set_aside_s) / (pauses_left + 1)))


@dataclass(frozen=True, slots=True)
class FirstOfAll:
    """A lane's turns, without a second episode of any family while others have not had their first (rule 4).

    left: the families, of all lanes, whose first episode is not over.
    """

    inner: Generator
    left: frozenset[str]

    def op(self, test: Test, context: Context) -> Step:
        step = self.inner.op(test, context)
        match step:
            case (Invocation(value={"fault": fault, "phase": "start"}), _) if self.left and fault not in self.left:
                return PENDING, self
            case (offered, after):
                return offered, replace(self, inner=after)
        return None

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        left = self.left
        if event.process == NEMESIS and isinstance(event.value, dict) and event.value.get("phase") == "stop":
            left -= {event.value["fault"]}
        return replace(self, inner=self.inner.update(test, context, event), left=left)


@dataclass(frozen=True, slots=True)
class WhenAsked:
    """A generator that is made when it is first asked. make: takes that moment, in ns since the start of the run."""

    make: Callable[[int], Generator]

    def op(self, test: Test, context: Context) -> Step:
        return self.make(context.time_ns).op(test, context)

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return self
