"""Models of containers: set, FIFO queue, priority queue and stack.

1. A set: `add` inserts an element and `remove` deletes it, whether or not it was there. `contains` answers whether it
   is there. `read` answers all elements, in any order and each once; a read with an element twice is an anomaly.
2. A queue: `enqueue` inserts its element. `dequeue` removes one and answers it, or null if it found none. A stack has
   `push` and `pop`. Null can't be inserted: it could not be distinguished from the answer of an empty container.
3. A FIFO queue gives the element that has been in it the longest, and a stack the one that came last. A priority queue
   gives the least; its elements are whole numbers. A null from one that isn't empty is an anomaly.
4. An operation that failed did not happen. That holds for a dequeue too: Jepsen's queues answer `fail` for empty, and
   it tells nothing here. An indeterminate dequeue may have removed what it would have got, or found nothing.
5. The initial value is a list of the elements, by default empty, in the order in which they were inserted. The first of
   a FIFO queue is the next to leave, and the last of a stack is its top. In sets and priority queues the order is free.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

from splitbrain.checkers.histories.prose import listing, literal
from splitbrain.checkers.linearizability.frozen_values import FALSE, TRUE
from splitbrain.checkers.linearizability.model import Call, Finding, Model, State
from splitbrain.checkers.linearizability.models.unordered_queues import UnorderedQueue, timed
from splitbrain.checkers.linearizability.polynomial import grow_sets, priority_queues, queues, stacks

_SHOWN = 20


class SetModel(Model):
    """A set of elements. The state is a frozenset of them."""

    name = "set"
    initial: State = frozenset()
    fs = frozenset({"add", "remove", "read", "contains"})
    repeating = frozenset({"add", "remove"})

    def malformed(self, call: Call) -> str | None:
        if not call.known:
            return None
        if call.f == "read" and type(call.result) is not tuple:
            return f"a read answers the list of all elements, not {literal(call.result)}"
        if call.f == "contains" and call.result is not TRUE and call.result is not FALSE:
            return f"a contains answers true or false, not {literal(call.result)}"
        return None

    def malformed_initial(self, value: Hashable) -> str | None:
        if not isinstance(value, tuple) or len(frozenset(value)) < len(value):
            return "a list of its elements, each once"
        return None

    def initial_state(self, value: Hashable, calls: Sequence[Call]) -> State:
        assert isinstance(value, tuple)
        return frozenset(value)

    def step(self, state: State, call: Call) -> Sequence[State]:
        f, each = call.f, call.argument
        if f == "add":
            return (state if each in state else state | {each},)
        if f == "remove":
            return (state - {each} if each in state else state,)
        if not call.known:
            return (state,)
        if f == "contains":
            return (state,) if (call.result is TRUE) == (each in state) else ()
        # The lengths first: they nearly always differ where the elements do.
        return (state,) if len(call.result) == len(state) and state.issuperset(call.result) and _once(call) else ()

    def read_only(self, call: Call) -> bool:
        return call.f in ("read", "contains")

    def commutes(self, call: Call) -> bool:
        """Adds commute with each other; an add and a remove of one element don't."""
        return call.f == "add"

    def blind(self, call: Call) -> bool:
        return call.f in ("add", "remove")

    def shows(self, call: Call) -> Iterable[Hashable]:
        if call.f == "contains":
            return (call.argument,) if call.result is TRUE else ()
        return call.result if call.f == "read" else ()

    def supplies(self, call: Call) -> Iterable[Hashable]:
        return (call.argument,) if call.f == "add" else ()

    def held(self, state: State) -> Iterable[Hashable]:
        return state  # type: ignore[no-any-return]

    def shortcut(self, calls: Sequence[Call]) -> Finding | None:
        return grow_sets.judge(calls, self.initial)

    def describe(self, state: State) -> str:
        # The order of a set of strings differs from run to run.
        return f"{{{listing(sorted(map(literal, state)), limit=_SHOWN)}}}"


def _once(read: Call) -> bool:
    return len(frozenset(read.result)) == len(read.result)


class _Sequential(Model):
    """What queues and stacks share. The state is a tuple of the elements, in the order in which they would leave."""

    initial: State = ()
    insertion: str
    removal: str
    order: str = "the next to leave first"
    """Where an initial value begins, as part of a sentence."""

    def put(self, state: tuple[Any, ...], each: Any) -> State:
        raise NotImplementedError

    def malformed(self, call: Call) -> str | None:
        if call.f == self.insertion and call.argument is None:
            return f"{self.insertion} of null, which is what an empty {self.name} answers"
        return None

    def malformed_initial(self, value: Hashable) -> str | None:
        if not isinstance(value, tuple) or None in value:
            return f"a list of its elements, none of them null, {self.order}"
        return None

    def initial_state(self, value: Hashable, calls: Sequence[Call]) -> State:
        assert isinstance(value, tuple)
        state: State = ()
        for each in value:
            state = self.put(state, each)
        return state

    def step(self, state: State, call: Call) -> Sequence[State]:
        if call.f == self.insertion:
            return (self.put(state, call.argument),)
        if not call.known:
            return (state[1:],)
        if call.result is None:
            return () if state else (state,)
        return (state[1:],) if state and state[0] == call.result else ()

    def read_only(self, call: Call) -> bool:
        """A removal that found the container empty."""
        return call.f == self.removal and call.known and call.result is None

    def blind(self, call: Call) -> bool:
        return call.f == self.insertion

    def shows(self, call: Call) -> Iterable[Hashable]:
        return (call.result,) if call.f == self.removal and call.result is not None else ()

    def supplies(self, call: Call) -> Iterable[Hashable]:
        return (call.argument,) if call.f == self.insertion else ()

    def held(self, state: State) -> Iterable[Hashable]:
        return state  # type: ignore[no-any-return]

    def describe(self, state: State) -> str:
        return f"[{', '.join(_shown(state))}]"


class FifoQueue(_Sequential):
    """A first-in, first-out queue. Its state begins with the element that has been in it the longest."""

    name = "fifo-queue"
    fs = frozenset({"enqueue", "dequeue"})
    repeating = frozenset({"enqueue"})
    insertion, removal = "enqueue", "dequeue"

    def put(self, state: tuple[Any, ...], each: Any) -> State:
        return (*state, each)

    def shortcut(self, calls: Sequence[Call]) -> Finding | None:
        return queues.judge(calls, self.initial)

    def easier(self, calls: Sequence[Call]) -> tuple[Model, Sequence[Call]]:
        return UnorderedQueue(self.initial), timed(calls)


class PriorityQueue(_Sequential):
    """A queue of whole numbers that gives the least first. Its state is sorted."""

    name = "priority-queue"
    fs = frozenset({"enqueue", "dequeue"})
    repeating = frozenset({"enqueue"})
    insertion, removal = "enqueue", "dequeue"

    def malformed(self, call: Call) -> str | None:
        if call.f == "enqueue" and type(call.argument) is not int:
            return f"a priority queue holds whole numbers, each its own priority, not {literal(call.argument)}"
        return None

    def malformed_initial(self, value: Hashable) -> str | None:
        if not isinstance(value, tuple) or not all(type(each) is int for each in value):
            return "a list of whole numbers, in any order"
        return None

    def put(self, state: tuple[Any, ...], each: Any) -> State:
        at = bisect(state, each)
        return (*state[:at], each, *state[at:])

    def commutes(self, call: Call) -> bool:
        """Enqueues commute with each other, since the queue orders its elements itself."""
        return call.f == "enqueue"

    def shortcut(self, calls: Sequence[Call]) -> Finding | None:
        return priority_queues.judge(calls, self.initial)


class Stack(_Sequential):
    """A last-in, first-out stack. Its state begins with the top."""

    name = "stack"
    fs = frozenset({"push", "pop"})
    repeating = frozenset({"push"})
    insertion, removal = "push", "pop"
    order = "the top last"

    def put(self, state: tuple[Any, ...], each: Any) -> State:
        return (each, *state)

    def shortcut(self, calls: Sequence[Call]) -> Finding | None:
        return stacks.judge(calls, self.initial[::-1])


def _shown(state: Sequence[Any]) -> Iterator[str]:
    yield from map(literal, state[:_SHOWN])
    if len(state) > _SHOWN:
        yield f"{len(state) - _SHOWN} more"
