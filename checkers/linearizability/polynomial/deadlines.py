"""Deadlines: removals from queues and stacks whose answers nobody knows, and the values that they may have taken.

1. Such a removal may have taken any value that no other took, or none, at any moment from its invocation on.
2. If the calls are not linearizable even where every value that no other call took could leave from the first such
   removal on, they are not linearizable.
3. A value that must have left before some event, its deadline, was taken by one of them. Those with the soonest ones
   get the earliest of them; if that is too late for one, nothing else would do, and the calls are not linearizable.
4. If the calls are linearizable with the removals given out like that, they are. Else nothing is said: other values may
   have been taken, or in another order. (Of FIFO queues that were never found empty this can't be: there, deadlines are
   all that such values ask for.)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from splitbrain.checkers.histories.prose import count, listing, literal
from splitbrain.checkers.linearizability.model import Call, Finding
from splitbrain.checkers.linearizability.polynomial.lifetimes import Lifetime, Lifetimes, unlinearizable


@dataclass(frozen=True, slots=True)
class Sight:
    """Something that shows when other values must have left. key: what it is compared by. since: values that are
    inside by this moment are concerned. before: the event before which they must have left. calls: that show it."""

    key: int
    since: int
    before: int
    calls: Sequence[Call]


def decide(
    found: Lifetimes | Finding | None,
    judge: Callable[[Sequence[Lifetime], Sequence[Call]], Finding],
    sights: Callable[[Sequence[Lifetime]], Sequence[Sight]],
    key: Callable[[Lifetime], int],
) -> Finding | None:
    """A finding about lifetimes, by the rules above where there are removals whose answers nobody knows.

    judge: exact, of lifetimes and of removals that found nothing. sights: what lifetimes that a removal ended show of
    values that none did. key: of such a value; it is concerned by the sights with a lower key.
    """
    if not isinstance(found, Lifetimes):
        return found
    if not found.unknown:
        return judge(found.values, found.empties)
    left = [each for each in found.values if each.removal is None]
    taken = [each for each in found.values if each.removal is not None]
    first = found.unknown[0]
    most = judge([*taken, *(Lifetime.of(each.value, each.insertion, first) for each in left)], found.empties)
    if not most.linearizable:
        return replace(most, text=f"{most.text}, whatever the calls that nobody knows took")
    lowest = min(map(key, left), default=0) - 1
    empties = [Sight(lowest, call.invoked, call.returned, [call]) for call in found.empties]
    due = deadlines(left, key, [*sights(taken), *empties])
    invocations = [call.invoked for call in found.unknown]
    for at, (sight, _) in enumerate(due):
        if at >= len(invocations) or invocations[at] >= sight.before:
            return _shortage(due[: at + 1], found.unknown[: bisect_left(invocations, sight.before)])
    given = [Lifetime.of(each.value, each.insertion, call) for (_, each), call in zip(due, found.unknown, strict=False)]
    served = {each.insertion.invoked for each in given}
    rest = [each for each in left if each.insertion.invoked not in served]
    least = judge([*taken, *given, *rest], found.empties)
    return least if least.linearizable else None


def deadlines(
    left: Sequence[Lifetime], key: Callable[[Lifetime], int], sights: Sequence[Sight]
) -> list[tuple[Sight, Lifetime]]:
    """For each value that something concerns, the sight that bids it leave soonest; the soonest first. O(n log n)."""
    # Sights are let in by ascending keys. Tree: at each node the soonest of the sights whose `since` is among its, the
    # latest `since` at position 1 (a Fenwick tree of minima).
    moments = sorted({sight.since for sight in sights})
    soonest: list[Sight | None] = [None] * (len(moments) + 1)
    waiting = sorted(sights, key=lambda sight: sight.key, reverse=True)
    due: list[tuple[Sight, Lifetime]] = []
    for each in sorted(left, key=key):
        while waiting and waiting[-1].key < key(each):
            sight = waiting.pop()
            at = len(moments) - bisect_left(moments, sight.since)
            while at < len(soonest):
                held = soonest[at]
                if held is None or sight.before < held.before:
                    soonest[at] = sight
                at += at & -at
        at = len(moments) - bisect_left(moments, each.inside)
        best: Sight | None = None
        while at:
            held = soonest[at]
            if held is not None and (best is None or held.before < best.before):
                best = held
            at -= at & -at
        if best is not None:
            due.append((best, each))
    return sorted(due, key=lambda pair: (pair[0].before, pair[1].begin))


def _shortage(due: Sequence[tuple[Sight, Lifetime]], unknown: Sequence[Call]) -> Finding:
    values = listing(literal(each.value) for _, each in due)
    text = (
        f"{values} must have left before event {due[-1][0].before} and no call answered "
        f"{'it' if len(due) == 1 else 'them'}, but only {count(len(unknown), 'call')} that nobody knows could have "
        "taken one by then"
    )
    return unlinearizable(text, [*unknown, *(call for sight, each in due for call in (*each.calls, *sight.calls))])
