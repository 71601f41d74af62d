"""Priority queues whose values are distinct: linearizability in O(n log n).

1. Three anomalies are all there are. A value was dequeued that was never enqueued, or before it was, or twice. A value
   was dequeued while a lesser one was surely inside at every moment of that dequeue. A dequeue found nothing while
   something was surely inside at every moment of it.
2. Why nothing else: leave out the largest value with its two calls. Let the rest be linearizable, and let the dequeue
   have a moment at which each other value may have left or not have come yet. The rest can then be split at that
   moment and the dequeue put there; where its enqueue stands affects no other call. So on with the largest of the rest.
   (Lee and Mathur 2025, Efficient Decrease-and-Conquer Linearizability Monitoring, section on priority queues.)
3. `deadlines` says what crashed dequeues may have removed. They may leave the verdict open: None.
"""

from __future__ import annotations

from collections.abc import Sequence

from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.linearizability.model import Call, Finding
from splitbrain.checkers.linearizability.polynomial.deadlines import Evidence, decide
from splitbrain.checkers.linearizability.polynomial.lifetimes import (
    LINEARIZABLE,
    Lifetime,
    Presence,
    calls_of,
    during,
    found_nothing,
    gather,
    unlinearizable,
)


def judge(calls: Sequence[Call], initial: Sequence[int] = ()) -> Finding | None:
    """Calls of one priority queue (`enqueue`, `dequeue`), in the order of their invocations. O(n log n).

    initial: the values inside at first.
    Returns None if a value was enqueued twice, or if crashed dequeues leave the verdict open (rule 3).
    """
    return decide(gather(calls, "enqueue", "dequeue", initial), _judge, _evidence, lambda each: -_priority(each))


def _judge(values: Sequence[Lifetime], empties: Sequence[Call]) -> Finding:
    return _preferred(values) or found_nothing(values, empties) or LINEARIZABLE


def _preferred(values: Sequence[Lifetime]) -> Finding | None:
    """The finding against the least value whose dequeue had no moment without a lesser one inside."""
    moments = sorted({moment for v in values for moment in (v.inside, v.leaving, v.gone)})
    rank = {moment: at for at, moment in enumerate(moments)}
    # For each moment a link towards the next at which nothing is inside (union-find, with path compression).
    free = list(range(len(moments) + 1))

    def next_free(at: int) -> int:
        while free[at] != at:
            free[at] = free[free[at]]
            at = free[at]
        return at

    for each in sorted(values, key=_priority):
        if next_free(rank[each.leaving]) >= rank[each.gone]:
            lesser = (v for v in values if _priority(v) < _priority(each))
            cover = Presence(lesser).cover(each.leaving, each.gone)
            text = (
                f"{literal(each.value)} was dequeued (events {each.leaving} to {each.gone}) though a lesser value was "
                f"there: {during(cover)}"
            )
            return unlinearizable(text, calls_of([each, *cover]))
        at, stop = next_free(rank[each.inside]), rank[each.leaving]
        while at < stop:
            free[at] = at + 1
            at = next_free(at)
    return None


def _evidence(values: Sequence[Lifetime]) -> list[Evidence]:
    """A lesser value inside before a dequeue could begin had to leave before it ended."""
    return [Evidence(-_priority(each), each.leaving, each.gone, each.calls) for each in values]


def _priority(each: Lifetime) -> int:
    assert isinstance(each.value, int)
    return each.value
