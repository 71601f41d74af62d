"""A FIFO queue whose order is decided as late as it can be: the same question as `FifoQueue`, with far fewer states.

1. The state holds the elements inside with the invocation and the return of their enqueues, in no order.
2. An element may leave if its enqueue was invoked before that of each other one inside returned: then its enqueue can
   have come first. Whichever leave so, one order of the enqueues fits all of it.
3. Of equal elements that may leave, the one whose enqueue returned first does. Each of the others may leave later: what
   may leave once may always.
4. An enqueue has an argument of its own, so that no two are alike. Times are those of the call.

Why one order fits: let elements leave in the order e1, e2, and so on. If i < j, ei was invoked before ej returned, by
rule 2 if ej was inside, and else because ej came later. So the latest invocation among e1 to ei comes before the first
return among all from ei on, and ei can take effect just after it. Between two moments at which the queue was found
empty the same holds, and what never leaves comes last.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

import msgspec

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.prose import listing, literal
from splitbrain.checkers.linearizability.model import Call, Model, State

_SHOWN = 20

Inside = tuple[int, int, Hashable]
"""An element: when its enqueue returned and was invoked, and its value."""


class UnorderedQueue(Model):
    """The state is a frozenset of the elements inside. Its calls are those of `timed`."""

    name = "fifo-queue"

    def __init__(self, elements: Sequence[Hashable]) -> None:
        """elements: those inside at first, the next to leave first."""
        first = -2 * len(elements)
        self.initial: State = frozenset((first + 2 * at + 1, first + 2 * at, each) for at, each in enumerate(elements))

    def step(self, state: State, call: Call) -> Sequence[State]:
        if call.f == "enqueue":
            return (state | {(call.returned, call.invoked, call.argument[0])},)
        if call.known and call.result is None:
            return () if state else (state,)
        soonest = min((returned for returned, _, _ in state), default=FOREVER)
        leaving = {each[2]: each for each in sorted(state, key=_latest_first) if each[1] < soonest}
        if call.known:
            found = leaving.get(call.result)
            return (state - {found},) if found is not None else ()
        return tuple(state - {each} for each in leaving.values()) or (state,)

    def read_only(self, call: Call) -> bool:
        """A removal that found the queue empty."""
        return call.f == "dequeue" and call.known and call.result is None

    def commutes(self, call: Call) -> bool:
        """Enqueues commute with each other here, as the state has no order."""
        return call.f == "enqueue"

    def describe(self, state: State) -> str:
        inside: list[Inside] = sorted(state, key=lambda each: each[:2])
        values = [literal(value) for _, _, value in inside]
        fixed = all(one[0] < two[1] for one, two in pairwise(inside))
        shown = [*values[:_SHOWN], *([f"{len(values) - _SHOWN} more"] if len(values) > _SHOWN else [])]
        return f"[{', '.join(shown)}]" if fixed else f"{listing(shown)} in some order"


def timed(calls: Sequence[Call]) -> list[Call]:
    """The calls of a FIFO queue, for an `UnorderedQueue` (rule 4)."""
    return [
        msgspec.structs.replace(call, argument=(call.argument, call.invoked)) if call.f == "enqueue" else call
        for call in calls
    ]


def _latest_first(each: Inside) -> tuple[int, int]:
    return -each[0], -each[1]
