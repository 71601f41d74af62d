"""Lifetimes: when each value of a queue or stack came, and when it left. For calls whose values are all distinct.

1. A value comes with its insertion and leaves with its removal, each at a moment within that call's duration. Moments
   lie between events: moment p is after event p and before the next. From a to b: the moments a <= p < b.
2. A value is surely inside from the return of its insertion (of its removal, if that returned sooner: it came before it
   left) to the invocation of its removal (of its insertion, if that came later).
3. An insertion that nobody knows of happened if its value was taken out. If not, it is left out: take a value, with its
   insertion and its removal, out of a legal order, and the order stays legal. Values that nobody took out leave after
   the last event, all at once: taking them out there is always possible.
4. A removal that found nothing is possible if at some moment of its duration no value is surely inside: each value can
   then be done with by that moment, or not have come yet. And if that holds for each such removal by itself and the
   calls without them are linearizable, all of them are: what lies between two such moments is whole lifetimes, legal by
   themselves (rule 3), and can be moved in between.

Rules 3 and 4: Lee and Mathur 2025, Efficient Decrease-and-Conquer Linearizability Monitoring, "Simplifying histories".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.prose import listing, literal
from splitbrain.checkers.linearizability.model import Call, Finding

LINEARIZABLE = Finding(True)
END = FOREVER
"""The moment after every event, at which whatever is still inside leaves."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A value's. It comes at a moment from `begin` to `inside` and leaves at one from `leaving` to `gone`; from
    `inside` to `leaving` it is surely inside (rule 2). removal: None where nobody took it out."""

    value: Hashable
    insertion: Call
    removal: Call | None
    begin: int
    inside: int
    leaving: int
    gone: int

    @classmethod
    def of(cls, value: Hashable, insertion: Call, removal: Call | None) -> Lifetime:
        begin, returned = insertion.invoked, insertion.returned
        if removal is None:
            return cls(value, insertion, None, begin, returned, END, END + 1)
        gone = removal.returned if removal.known else END + 1
        return cls(value, insertion, removal, begin, min(returned, gone), max(removal.invoked, begin), gone)

    @property
    def calls(self) -> tuple[Call, ...]:
        return (self.insertion,) if self.removal is None else (self.insertion, self.removal)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Of one object. values: in the order of their insertions. empties: removals that found nothing. unknown: removals
    whose answers nobody knows. Both in the order of their invocations."""

    values: Sequence[Lifetime]
    empties: Sequence[Call]
    unknown: Sequence[Call]


def gather(calls: Sequence[Call], insertion: str, removal: str) -> Lifetimes | Finding | None:
    """The lifetimes of the values of these calls. O(n).

    insertion, removal: the names of the two operations.
    Returns a Finding where a value came out that can't have, None where one was put in twice.
    """
    inserted: dict[Hashable, Call] = {}
    removed: dict[Hashable, Call] = {}
    empties, unknown = [], []
    twice: tuple[Hashable, Call] | None = None
    for call in calls:
        if call.f == insertion:
            if inserted.setdefault(call.argument, call) is not call:
                return None
        elif not call.known:
            unknown.append(call)
        elif call.result is None:
            empties.append(call)
        elif removed.setdefault(call.result, call) is not call and twice is None:
            twice = call.result, call
    for value, call in removed.items():
        put = inserted.get(value)
        if put is None:
            return unlinearizable(
                f"a {removal} answered {literal(value)}, which no {insertion} can have put in", [call]
            )
        if call.returned < put.invoked:
            text = f"the {removal} of {literal(value)} returned before its {insertion} was invoked"
            return unlinearizable(text, [call, put])
    if twice is not None:
        value, again = twice
        text = f"{literal(value)} was put in once, and two calls of {removal} answered it"
        return unlinearizable(text, [inserted[value], removed[value], again])
    values = [
        Lifetime.of(value, call, removed.get(value))
        for value, call in inserted.items()
        if call.known or value in removed
    ]
    return Lifetimes(values, empties, unknown)


def unlinearizable(text: str, calls: Iterable[Call]) -> Finding:
    """A finding against these calls, each once and in the order of their invocations."""
    # Calls have an identity only, and an invocation is one call's.
    return Finding(False, text, tuple({call.invoked: call for call in sorted(calls, key=_invoked)}.values()))


class Presence:
    """When some value is surely inside."""

    def __init__(self, values: Iterable[Lifetime]) -> None:
        self._values = sorted((each for each in values if each.inside < each.leaving), key=lambda each: each.inside)
        self._starts = [each.inside for each in self._values]
        # Of the values up to each, the one that leaves last.
        self._last: list[Lifetime] = list(accumulate(self._values, _later))
        # The stretches of moments at which always one is inside.
        self._stretches: list[tuple[int, int]] = []
        for at, each in enumerate(self._values):
            if not at or self._last[at - 1].leaving < each.inside:
                self._stretches.append((each.inside, each.leaving))
            else:
                self._stretches[-1] = self._stretches[-1][0], self._last[at].leaving
        self._begun = [start for start, _ in self._stretches]

    def always(self, start: int, stop: int) -> bool:
        """Whether at every moment from start to stop (there is at least one) some value is inside. O(log n)."""
        at = bisect_right(self._begun, start) - 1
        return at >= 0 and stop <= self._stretches[at][1]

    def cover(self, start: int, stop: int) -> list[Lifetime]:
        """The fewest values of which always one is inside from start to stop; there must be such. O(log n) each."""
        chosen: list[Lifetime] = []
        while start < stop:
            chosen.append(self._last[bisect_right(self._starts, start) - 1])
            start = chosen[-1].leaving
        return chosen


def found_nothing(values: Sequence[Lifetime], empties: Sequence[Call]) -> Finding | None:
    """Against the first removal that found nothing though at every moment something was inside; None if there is none
    (rule 4). O(n log n)."""
    presence = Presence(values)
    call = next((each for each in empties if presence.always(each.invoked, each.returned)), None)
    if call is None:
        return None
    cover = presence.cover(call.invoked, call.returned)
    text = f"a {call.f} found nothing (events {call.invoked} to {call.returned}), but {during(cover)}"
    return unlinearizable(text, [call, *calls_of(cover)])


def during(values: Sequence[Lifetime]) -> str:
    """When values were inside, in a sentence."""
    spans = (
        f"{literal(each.value)} was surely inside from event {each.inside} "
        + ("on" if each.leaving == END else f"to event {each.leaving}")
        for each in values
    )
    return listing(spans, limit=10)


def calls_of(values: Iterable[Lifetime]) -> list[Call]:
    return [call for each in values for call in each.calls]


def _invoked(call: Call) -> int:
    return call.invoked


def _later(one: Lifetime, other: Lifetime) -> Lifetime:
    return one if one.leaving >= other.leaving else other
