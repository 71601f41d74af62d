"""Deadlines: indeterminate removals from queues and stacks, and the values that they may have removed.

1. An indeterminate removal may have removed any value that no other did, or none, at any moment from its invocation on.
2. Let every value that no known call removed leave at any time after the first such removal. If the calls are not
   linearizable even so, they are not linearizable.
3. A value that must have left before some event, its deadline, was removed by one of them. The values with the soonest
   deadlines are assigned the earliest removals. If one of these comes too late, no other assignment will do, and the
   calls are not linearizable.
4. If the calls are linearizable with that assignment, they are. Else the verdict is left open: other values may have
   been removed, or in another order. In FIFO queues that were never found empty this can't be: deadlines are all that
   such values require there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from splitbrain.checkers.histories.prose import count, listing, literal
from splitbrain.checkers.linearizability.model import Call, Finding
from splitbrain.checkers.linearizability.polynomial.lifetimes import Lifetime, Lifetimes, unlinearizable


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence that other values must have left before some event.

    key: by which it is compared with values. since: it concerns values that are inside by this moment. before: the
    event before which they must have left. calls: which show it.
    """

    key: int
    since: int
    before: int
    calls: Sequence[Call]


def decide(
    found: Lifetimes | Finding | None,
    judge: Callable[[Sequence[Lifetime], Sequence[Call]], Finding],
    evidence: Callable[[Sequence[Lifetime]], Sequence[Evidence]],
    key: Callable[[Lifetime], int],
) -> Finding | None:
    """Judge lifetimes, by the rules above if there are indeterminate removals.

    judge: judges lifetimes, and removals that found nothing, exactly. evidence: what lifetimes with a known removal
    show. key: a value's, to compare with that evidence: the value is concerned by what has a lower key.
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
        return replace(most, text=f"{most.text}, whatever the indeterminate calls removed")
    lowest = min(map(key, left), default=0) - 1
    empties = [Evidence(lowest, call.invoked, call.returned, [call]) for call in found.empties]
    due = deadlines(left, key, [*evidence(taken), *empties])
    invocations = [call.invoked for call in found.unknown]
    for at, (proof, _) in enumerate(due):
        if at >= len(invocations) or invocations[at] >= proof.before:
            return _shortage(due[: at + 1], found.unknown[: bisect_left(invocations, proof.before)])
    given = [Lifetime.of(each.value, each.insertion, call) for (_, each), call in zip(due, found.unknown, strict=False)]
    served = {each.insertion.invoked for each in given}
    rest = [each for each in left if each.insertion.invoked not in served]
    least = judge([*taken, *given, *rest], found.empties)
    return least if least.linearizable else None


def deadlines(
    left: Sequence[Lifetime], key: Callable[[Lifetime], int], evidence: Sequence[Evidence]
) -> list[tuple[Evidence, Lifetime]]:
    """For each value that evidence concerns, that with the soonest deadline; the soonest first. O(n log n)."""
    # A Fenwick tree of minima over `since`, the latest at position 1: each node has the soonest deadline of its range.
    # Evidence is added by ascending keys.
    moments = sorted({proof.since for proof in evidence})
    soonest: list[Evidence | None] = [None] * (len(moments) + 1)
    waiting = sorted(evidence, key=lambda proof: proof.key, reverse=True)
    due: list[tuple[Evidence, Lifetime]] = []
    for each in sorted(left, key=key):
        while waiting and waiting[-1].key < key(each):
            proof = waiting.pop()
            at = len(moments) - bisect_left(moments, proof.since)
            while at < len(soonest):
                held = soonest[at]
                if held is None or proof.before < held.before:
                    soonest[at] = proof
                at += at & -at
        at = len(moments) - bisect_left(moments, each.inside)
        best: Evidence | None = None
        while at:
            held = soonest[at]
            if held is not None and (best is None or held.before < best.before):
                best = held
            at -= at & -at
        if best is not None:
            due.append((best, each))
    return sorted(due, key=lambda pair: (pair[0].before, pair[1].begin))


def _shortage(due: Sequence[tuple[Evidence, Lifetime]], unknown: Sequence[Call]) -> Finding:
    values = listing(literal(each.value) for _, each in due)
    text = (
        f"{values} must have left before event {due[-1][0].before} and no call answered "
        f"{'it' if len(due) == 1 else 'them'}, but only {count(len(unknown), 'indeterminate call')} could have removed "
        "one by then"
    )
    return unlinearizable(text, [*unknown, *(call for proof, each in due for call in (*each.calls, *proof.calls))])
