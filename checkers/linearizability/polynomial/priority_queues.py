"""Priority queues whose values are distinct: linearizability in O(n log n).

1. Not linearizable is a queue that gave a value which nobody put in, or before it was put in, or twice; or that gave a
   value (or nothing) while at every moment of that dequeue some lesser value (or any) was surely inside.
2. Why nothing else: take the largest value out, with its two calls. If the rest is linearizable, and the dequeue has a
   moment at which each other value can be done with or not have come yet, the rest can be split at that moment, and
   the dequeue put there; when its value was enqueued hinders nobody. And so on with the largest of the rest. (Lee and
   Mathur 2025, Efficient Decrease-and-Conquer Linearizability Monitoring, section on priority queues.)
3. `deadlines` says what crashed dequeues may have taken; they may leave it open: None.
"""

from __future__ import annotations

from collections.abc import Sequence

from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.linearizability.model import Call, Finding
from splitbrain.checkers.linearizability.polynomial.deadlines import Sight, decide
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


def judge(calls: Sequence[Call]) -> Finding | None:
    """Calls of one priority queue (`enqueue`, `dequeue`), in the order of their invocations. O(n log n).

    Returns None where a value was enqueued twice, and where crashed dequeues leave it open (rule 3).
    """
    return decide(gather(calls, "enqueue", "dequeue"), _judge, _sights, lambda each: -_priority(each))


def _judge(values: Sequence[Lifetime], empties: Sequence[Call]) -> Finding:
    return _preferred(values) or found_nothing(values, empties) or LINEARIZABLE


def _preferred(values: Sequence[Lifetime]) -> Finding | None:
    """The least value whose dequeue had no moment without a lesser one inside."""
    moments = sorted({moment for v in values for moment in (v.inside, v.leaving, v.gone)})
    rank = {moment: at for at, moment in enumerate(moments)}
    # From each moment, a way to the next at which nothing is inside; ways are shortened as they are walked.
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


def _sights(values: Sequence[Lifetime]) -> list[Sight]:
    """A lesser value inside before a dequeue could begin had to leave before it ended."""
    return [Sight(-_priority(each), each.leaving, each.gone, each.calls) for each in values]


def _priority(each: Lifetime) -> int:
    assert isinstance(each.value, int)
    return each.value
