"""The longest prefix of a history that is linearizable, with one order of it, as data.

1. The prefix ends just before a return, the first one that no order gets past. A prefix of a linearizable history is
   linearizable, so the end is found by bisection where the search does not tell it.
2. Calls that had not returned by then are open in it, as crashed ones are: they may be in the order or not. Where the
   search told the end they have the answer that they came to give, and where it was found by bisection any.
3. The order is searched depth first: calls that read take effect as soon as they match, others in the order of their
   returns, open ones last. What failed once is not tried again (Lowe 2017).
4. It is a help to whoever reads the witness, not part of the verdict: where it takes too long, there is none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.linearizability.model import Call, Model, State, call_text, stepped

CALLS_MAX = 10_000  # Of more, no prefix is looked for: that would take longer than the verdict.
_STEPS_MAX = 400_000
_SHOWN = 1_000
_LOOK_EVERY = 4096


def prefix_before(calls: Sequence[Call], until: int, model: Model, *, answered: bool = False) -> list[Call]:
    """The calls as they were just before an event. Those that only read, and had not answered by then, are left out.

    answered: whether the others have the answers that they came to give.
    """
    found = []
    for call in calls:
        if call.invoked >= until:
            break
        if call.returned < until:
            found.append(call)
        elif not call.failed and not model.read_only(call):
            open_ = msgspec.structs.replace(call, returned=FOREVER)
            found.append(open_ if answered else msgspec.structs.replace(open_, known=False, result=None))
    return found


def end_of_longest(
    calls: Sequence[Call], model: Model, linearizable: Callable[[Sequence[Call]], bool | None], certain: int
) -> int | None:
    """The event of the first return that no order gets past, of calls that have none; None if it is not known.

    certain: an event by which no order was left. O(log n) prefixes are judged.
    """
    returns = sorted(call.returned for call in calls if call.returned <= certain)
    low, high = 0, len(returns) - 1  # Before returns[low] there is an order, and past returns[high] there is none.
    while low < high:
        middle = (low + high + 1) // 2
        found = linearizable(prefix_before(calls, returns[middle], model))
        if found is None:
            return None
        low, high = (middle, high) if found else (low, middle - 1)
    return returns[low] if returns else None


def some_order(calls: Sequence[Call], model: Model, budget: Budget) -> list[tuple[Call, State]] | None:
    """An order of the calls, all that returned and some of the others, each with the state it left. None if none was
    found in time. calls: of one object, in the order of their invocations.
    """
    return _Search(calls, model, budget).order()


class _Search:
    """known, open: calls that returned and must be in the order, and those that may be. first: of the known ones, how
    many at the beginning have taken effect; beyond: which ones after these, as bits; taken: which of the open ones.
    """

    def __init__(self, calls: Sequence[Call], model: Model, budget: Budget) -> None:
        self.model, self.budget = model, budget
        self.known = [call for call in calls if call.returned != FOREVER]
        self.open = [call for call in calls if call.returned == FOREVER]
        self.begun = [call.invoked for call in self.known]
        self.open_begun = [call.invoked for call in self.open]

    def order(self) -> list[tuple[Call, State]] | None:
        path: list[tuple[Call, State]] = []
        tried: set[tuple[int, int, int, State]] = set()
        now = (0, 0, 0, self.model.initial)
        stack = [self._options(*now)]
        steps = 0
        while now[0] < len(self.known):
            steps += 1
            if steps > _STEPS_MAX or (not steps % _LOOK_EVERY and self.budget.spent()):
                return None
            following = next(stack[-1], None)
            if following is None:
                stack.pop()
                if not stack:
                    return None
                path.pop()
                continue
            call, then = following
            if then in tried:
                continue
            tried.add(then)
            path.append((call, then[3]))
            now = then
            stack.append(self._options(*now))
        return path

    def _options(
        self, first: int, beyond: int, taken: int, state: State
    ) -> Iterator[tuple[Call, tuple[int, int, int, State]]]:
        if first == len(self.known):
            return
        ready: list[tuple[int, int, Call]] = []
        ends = FOREVER
        at = first
        while at < len(self.known) and self.begun[at] < ends:
            if not beyond >> at - first & 1:
                call = self.known[at]
                ends = min(ends, call.returned)
                ready.append((call.returned, at, call))
            at += 1
        ready = sorted(each for each in ready if each[2].invoked < ends)
        left: list[tuple[int, Call, Sequence[State]]] = []
        for _, at, call in ready:
            states: Sequence[State] = stepped(self.model, state, call)
            if states and self.model.read_only(call):
                # Whatever else it could do, it could do after this.
                yield call, (*_done(first, beyond, at), taken, state)
                return
            left.append((at, call, states))
        for at, call, states in left:
            for each in states:
                yield call, (*_done(first, beyond, at), taken, each)
        for at in range(bisect_left(self.open_begun, ends)):
            if not taken >> at & 1:
                for then in stepped(self.model, state, self.open[at]):
                    if then != state:
                        yield self.open[at], (first, beyond, taken | 1 << at, then)


def _done(first: int, beyond: int, at: int) -> tuple[int, int]:
    """The same with one more that has taken effect."""
    beyond |= 1 << at - first
    while beyond & 1:
        beyond >>= 1
        first += 1
    return first, beyond


def as_data(order: Sequence[tuple[Call, State]], until: int, model: Model) -> Mapping[str, Any]:
    """The prefix for a report. until: the event of the return that it ends before."""
    return {
        "until": until,
        "operations": len(order),
        "left_out": max(0, len(order) - _SHOWN),
        "order": [
            {"invoked": call.invoked, "call": call_text(call), "state": model.describe(state)}
            for call, state in order[-_SHOWN:]
        ],
    }
