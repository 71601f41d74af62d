"""FIFO queues whose values are distinct: linearizability in O(n log n).

1. Four anomalies are all there are. A value was dequeued that was never enqueued, or before it was, or twice. x was
   enqueued before y, and y was dequeued and x after it or never. A dequeue found nothing while something was surely
   inside all the time. (Henzinger, Sezgin, Vafeiadis 2013, Aspect-oriented linearizability proofs, on VFresh, VRepet,
   VOrd and VWit. Bouajjani, Emmi, Enea, Hamza 2015, On reducing linearizability to state reachability.)
2. Why pairs of values suffice: one order of the values must respect the real-time order of the enqueues and that of the
   dequeues. Both are interval orders: from a < b and c < d follows a < d or c < b. So a cycle of such orderings
   contains a shorter one, down to two values, and any order without a cycle will do. A dequeue of x that returned
   before the enqueue of y says no more than that x comes before y.
3. `deadlines` says what crashed dequeues may have removed. With them the verdict is exact, unless the queue was also
   found empty: then it may be None.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.linearizability.model import Call, Finding
from splitbrain.checkers.linearizability.polynomial.deadlines import Evidence, decide
from splitbrain.checkers.linearizability.polynomial.lifetimes import (
    END,
    LINEARIZABLE,
    Lifetime,
    calls_of,
    found_nothing,
    gather,
    unlinearizable,
)


def judge(calls: Sequence[Call], initial: Sequence[Hashable] = ()) -> Finding | None:
    """Calls of one FIFO queue (`enqueue`, `dequeue`), in the order of their invocations. O(n log n).

    initial: the values inside at first, the next to leave first.
    Returns None if a value was enqueued twice, or if crashed dequeues leave the verdict open (rule 3).
    """
    return decide(gather(calls, "enqueue", "dequeue", initial), _judge, _evidence, lambda each: 0)


def _judge(values: Sequence[Lifetime], empties: Sequence[Call]) -> Finding:
    return _overtaken(values) or found_nothing(values, empties) or LINEARIZABLE


def _overtaken(values: Sequence[Lifetime]) -> Finding | None:
    """The finding against the first y that had left before x began to leave, though x was inside before y came."""
    if not values:
        return None
    begin, inside, leaving, gone = np.array([(v.begin, v.inside, v.leaving, v.gone) for v in values]).T
    by_inside = np.argsort(inside)
    # Of the values inside by then, the one that leaves last. If any was overtaken, it was.
    latest = np.maximum.accumulate(leaving[by_inside])
    before = np.searchsorted(inside[by_inside], begin)
    overtaking = np.flatnonzero((before > 0) & (latest[before - 1] > gone))
    if not len(overtaking):
        return None
    y = int(overtaking[np.argmin(gone[overtaking])])
    x = int(by_inside[np.flatnonzero(latest == latest[before[y] - 1])[0]])
    first, second = values[x], values[y]
    when = "never" if first.leaving == END else "after it"
    x_name, y_name = literal(first.value), literal(second.value)
    text = f"{x_name} was enqueued before {y_name}, and yet {y_name} was dequeued and {x_name} {when}"
    return unlinearizable(text, calls_of([first, second]))


def _evidence(values: Sequence[Lifetime]) -> list[Evidence]:
    """Whatever was inside before a value came had to leave before it was gone."""
    return [Evidence(-1, each.begin, each.gone, each.calls) for each in values]
