"""Lifetimes: when each value of a queue or stack came, and when it left. For calls whose values are all distinct.

1. A value comes with its insertion and leaves with its removal, each at a moment within that call's duration. Moments
   lie between events: moment p is after event p and before the next. From a to b means the moments a <= p < b.
2. A value is surely inside from the return of its insertion to the invocation of its removal. A removal that returned
   sooner than the insertion, or was invoked before it, bounds that time too: the value came before it left.
3. An indeterminate insertion happened if its value was removed. If not, it is left out: a legal order without a value,
   its insertion and its removal is still legal. Values that were never removed leave after the last event, all at
   once: removing them there is always possible.
4. A removal that found nothing is possible if at some moment of its duration no value is surely inside: by that moment
   each value may have left, or not have come yet. If each such removal is possible by itself and the other calls are
   linearizable, all of them are. What lies between two such moments is whole lifetimes, legal by themselves (rule 3),
   and can be moved in between.

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
from splitbrain.checkers.linearizability.polynomial.initial_elements import insertions, recorded

LINEARIZABLE = Finding(True)
END = FOREVER
"""The moment after the last event, at which whatever is still inside leaves."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a value came and left: at a moment from `begin` to `inside`, and at one from `leaving` to `gone`.

    From `inside` to `leaving` it is surely inside (rule 2). removal: None if it was never removed.
    """

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
    """The lifetimes of one object's values, in the order of their insertions.

    empties: removals that found nothing. unknown: indeterminate removals. Both are in the order of their invocations.
    """

    values: Sequence[Lifetime]
    empties: Sequence[Call]
    unknown: Sequence[Call]


def gather(
    calls: Sequence[Call], insertion: str, removal: str, initial: Sequence[Hashable]
) -> Lifetimes | Finding | None:
    """The lifetimes of the values of these calls. O(n).

    insertion, removal: the names of the two operations. initial: the values inside at first, in the order in which they
    were inserted.
    Returns a Finding if a value was removed that can't have been, None if one was inserted twice.
    """
    inserted: dict[Hashable, Call] = {}
    removed: dict[Hashable, Call] = {}
    empties, unknown = [], []
    twice: tuple[Hashable, Call] | None = None
    for call in (*insertions(insertion, initial), *calls):
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
    """The finding that these calls are not linearizable."""
    return Finding(False, text, recorded(calls))


class Presence:
    """When some value is surely inside."""

    def __init__(self, values: Iterable[Lifetime]) -> None:
        self._values = sorted((each for each in values if each.inside < each.leaving), key=lambda each: each.inside)
        self._starts = [each.inside for each in self._values]
        # For each value, the one that leaves last among it and those before it.
        self._last: list[Lifetime] = list(accumulate(self._values, _later))
        # The maximal intervals throughout which some value is inside.
        self._intervals: list[tuple[int, int]] = []
        for at, each in enumerate(self._values):
            if not at or self._last[at - 1].leaving < each.inside:
                self._intervals.append((each.inside, each.leaving))
            else:
                self._intervals[-1] = self._intervals[-1][0], self._last[at].leaving
        self._begun = [start for start, _ in self._intervals]

    def always(self, start: int, stop: int) -> bool:
        """Whether at every moment from start to stop (there is at least one) some value is inside. O(log n)."""
        at = bisect_right(self._begun, start) - 1
        return at >= 0 and stop <= self._intervals[at][1]

    def cover(self, start: int, stop: int) -> list[Lifetime]:
        """The fewest values that keep the object from being empty from start to stop. There must be such. O(log n)
        each."""
        chosen: list[Lifetime] = []
        while start < stop:
            chosen.append(self._last[bisect_right(self._starts, start) - 1])
            start = chosen[-1].leaving
        return chosen


def found_nothing(values: Sequence[Lifetime], empties: Sequence[Call]) -> Finding | None:
    """The finding against the first removal that found nothing though something was inside all the time (rule 4).

    None if there is none. O(n log n).
    """
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
        f"{literal(each.value)} was surely inside from {'the start' if each.inside < 0 else f'event {each.inside}'} "
        + ("on" if each.leaving == END else f"to event {each.leaving}")
        for each in values
    )
    return listing(spans, limit=10)


def calls_of(values: Iterable[Lifetime]) -> list[Call]:
    """The insertions and removals of the values."""
    return [call for each in values for call in each.calls]


def _later(one: Lifetime, other: Lifetime) -> Lifetime:
    return one if one.leaving >= other.leaving else other
