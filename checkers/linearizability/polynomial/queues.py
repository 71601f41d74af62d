"""FIFO queues whose values are distinct: linearizability in O(n log n).

1. Not linearizable is a queue that gave a value which nobody put in, or before it was put in, or twice; that gave y and
   then x (or x never) though x was put in before y; that was found empty while at every moment something was surely
   inside. Nothing else is: these are all there is (Henzinger, Sezgin, Vafeiadis 2013, Aspect-oriented linearizability
   proofs, on VFresh, VRepet, VOrd and VWit; Bouajjani, Emmi, Enea, Hamza 2015, On reducing linearizability to state
   reachability).
2. Why pairs suffice: enqueues, and dequeues, must each be ordered as their durations say, and both in one order of the
   values. Both are interval orders: of two orderings a < b, c < d one also has a < d or c < b. So a cycle of such
   orderings has a shorter one, down to two values. Any order without a cycle will do: between two values, enqueues and
   dequeues ask for nothing more, for a dequeue of x that returned before the enqueue of y says no more than x before y.
3. `deadlines` says what crashed calls may have taken. With crashed dequeues the verdict is
   exact, but for a queue that was also found empty: there it may be None.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.linearizability.model import Call, Finding
from splitbrain.checkers.linearizability.polynomial.deadlines import Sight, decide
from splitbrain.checkers.linearizability.polynomial.lifetimes import (
    END,
    LINEARIZABLE,
    Lifetime,
    calls_of,
    found_nothing,
    gather,
    unlinearizable,
)


def judge(calls: Sequence[Call]) -> Finding | None:
    """Calls of one FIFO queue (`enqueue`, `dequeue`), in the order of their invocations. O(n log n).

    Returns None where a value was enqueued twice, and where crashed dequeues leave it open (rule 3).
    """
    return decide(gather(calls, "enqueue", "dequeue"), _judge, _sights, lambda each: 0)


def _judge(values: Sequence[Lifetime], empties: Sequence[Call]) -> Finding:
    return _overtaken(values) or found_nothing(values, empties) or LINEARIZABLE


def _overtaken(values: Sequence[Lifetime]) -> Finding | None:
    """The soonest y that was gone before x began to leave, though x was inside before y came."""
    if not values:
        return None
    begin, inside, leaving, gone = np.array([(v.begin, v.inside, v.leaving, v.gone) for v in values]).T
    by_inside = np.argsort(inside)
    # Of the values inside by then, the one that leaves last: if any was overtaken, it was.
    latest = np.maximum.accumulate(leaving[by_inside])
    before = np.searchsorted(inside[by_inside], begin)
    overtaking = np.flatnonzero((before > 0) & (latest[before - 1] > gone))
    if not len(overtaking):
        return None
    y = int(overtaking[np.argmin(gone[overtaking])])
    x = int(by_inside[np.flatnonzero(latest == latest[before[y] - 1])[0]])
    first, second = values[x], values[y]
    told = "never" if first.leaving == END else "after it"
    x_name, y_name = literal(first.value), literal(second.value)
    text = f"{x_name} was enqueued before {y_name}, and yet {y_name} was dequeued and {x_name} {told}"
    return unlinearizable(text, calls_of([first, second]))


def _sights(values: Sequence[Lifetime]) -> list[Sight]:
    """Whatever was inside before a value came had to leave before it was gone."""
    return [Sight(-1, each.begin, each.gone, each.calls) for each in values]
