"""The account of a queue: which enqueue each value that came out is from, and what became of the rest.

The words are those of `total_queue`. How the assignment is found:

1. Values that came out are taken in the order of their completions; each gets the most pressing of the enqueues of that
   value invoked before it was out, if any is left. An acknowledged enqueue presses more than a crashed one, one that
   the queue was emptied after more than one that may still be there, and the sooner that emptying was over the more,
   for the fewer are the crashed dequeues that may account for it.
2. An enqueue that is not chosen now is there for every later one to choose. So this is a greedy choice in a matroid: no
   assignment leaves fewer without an enqueue, or fewer lost.
3. What is left is accounted for by crashed dequeues, in the order in which the emptyings were over: whatever may
   account for one of them may for all after it.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import Operation
from splitbrain.checkers.histories.values import identity

_SHOWN = 20


@dataclass(eq=False, slots=True)
class Put:
    """An enqueue that may have happened.

    gone_by: the event index at which an emptying after it was over; FOREVER if there was none. taker: the crashed
    operation that may have taken it, if it counts as taken by one.
    """

    operation: Operation
    gone_by: int = FOREVER
    taker: Operation | None = None

    @property
    def key(self) -> Key:
        return self.operation.key

    @property
    def value(self) -> Any:
        return self.operation.invocation.value

    @property
    def invoked(self) -> int:
        return self.operation.invocation.index

    @property
    def acknowledged(self) -> int:
        """Index of its acknowledgement; FOREVER if none came."""
        completion = self.operation.completion
        return completion.index if completion is not None and self.operation.outcome == "ok" else FOREVER

    @property
    def pressing(self) -> tuple[bool, int, int]:
        """Lower presses more (rule 1)."""
        return self.acknowledged == FOREVER, self.gone_by, self.invoked


@dataclass(eq=False, slots=True)
class Taken:
    """A value that came out.

    number: its place among all that did. others, enqueues: where it is one too many, some other operations that took
    the same value before, and the enqueues of it.
    """

    operation: Operation
    value: Any
    number: int
    others: list[Operation] = field(default_factory=list)
    enqueues: list[Operation] = field(default_factory=list)

    @property
    def key(self) -> Key:
        return self.operation.key

    @property
    def out(self) -> int:
        """Index of the completion that brought it."""
        assert self.operation.completion is not None
        return self.operation.completion.index


@dataclass(eq=False, slots=True)
class _Of:
    """What concerns one value."""

    puts: list[Put] = field(default_factory=list)
    failed: list[Operation] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)


@dataclass(eq=False)
class Account:
    """One queue. Filled operation by operation, in the order of their invocations, then settled once."""

    values: dict[Hashable, _Of] = field(default_factory=dict)
    drains: list[Operation] = field(default_factory=list)
    emptied: list[Operation] = field(default_factory=list)
    crashed: list[Operation] = field(default_factory=list)
    lost: list[Put] = field(default_factory=list)
    maybe_taken: list[Put] = field(default_factory=list)
    undelivered: list[Put] = field(default_factory=list)
    recovered: int = 0
    dequeued: int = 0
    surplus: list[tuple[str, Taken]] = field(default_factory=list)

    def put(self, operation: Operation) -> None:
        """An enqueue."""
        of = self.values.setdefault(identity(operation.invocation.value), _Of())
        if operation.outcome == "fail":
            of.failed.append(operation)
        else:
            of.puts.append(Put(operation))

    def take(self, operation: Operation, value: Any) -> None:
        """A value that an ok dequeue or drain took."""
        self.values.setdefault(identity(value), _Of()).taken.append(Taken(operation, value, self.dequeued))
        self.dequeued += 1

    def drained(self, operation: Operation) -> None:
        """An ok drain."""
        self.drains.append(operation)

    def found_nothing(self, operation: Operation) -> None:
        """A dequeue that found nothing."""
        self.emptied.append(operation)

    def crash(self, operation: Operation) -> None:
        """A dequeue or a drain that crashed."""
        self.crashed.append(operation)

    def settle(self) -> None:
        """Fill in what became of everything. O(n log n)."""
        puts = [put for of in self.values.values() for put in of.puts if put.acknowledged != FOREVER]
        last = max((put.acknowledged for put in puts), default=-1)
        late = [operation for operation in self.emptied if operation.invocation.index > last]
        self.emptied = sorted([*self.drains, *late], key=lambda operation: operation.invocation.index)
        self._set_deadlines(puts)
        for of in self.values.values():
            self._assign(of)
        self._blame_crashes()

    def emptying_after(self, put: Put) -> Operation | None:
        """The emptying after that enqueue that was over first."""
        return next((o for o in self.emptied if o.completion is not None and o.completion.index == put.gone_by), None)

    def counts(self) -> dict[str, int]:
        kinds = [kind for kind, _ in self.surplus]
        return {
            "dequeued": self.dequeued,
            "crashed_dequeues": len(self.crashed),
            "lost": len(self.lost),
            "maybe_taken": len(self.maybe_taken),
            "undelivered": len(self.undelivered),
            "recovered": self.recovered,
            **{kind: kinds.count(kind) for kind in ("unexpected", "phantom", "duplicated")},
        }

    def _set_deadlines(self, puts: list[Put]) -> None:
        begun = [operation.invocation.index for operation in self.emptied]
        soonest = [FOREVER]  # From the last emptying to the first: when the first of those from here on was over.
        for operation in reversed(self.emptied):
            assert operation.completion is not None
            soonest.append(min(soonest[-1], operation.completion.index))
        soonest.reverse()
        for put in puts:
            put.gone_by = soonest[bisect_left(begun, put.acknowledged)]

    def _assign(self, of: _Of) -> None:
        ahead = iter(of.puts)
        coming = next(ahead, None)
        tie = count()
        there: list[tuple[tuple[bool, int, int], int, Put]] = []
        before: list[Operation] = []
        for taken in sorted(of.taken, key=lambda taken: (taken.out, taken.number)):
            while coming is not None and coming.invoked < taken.out:
                heapq.heappush(there, (coming.pressing, next(tie), coming))
                coming = next(ahead, None)
            if there:
                _, _, put = heapq.heappop(there)
                self.recovered += put.acknowledged == FOREVER
            else:
                self._note_surplus(of, taken, before)
            if len(before) < _SHOWN:
                before.append(taken.operation)
        left = [put for _, _, put in there] + ([coming, *ahead] if coming is not None else [])
        for put in left:
            if put.acknowledged != FOREVER:
                (self.undelivered if put.gone_by == FOREVER else self.lost).append(put)

    def _note_surplus(self, of: _Of, taken: Taken, before: list[Operation]) -> None:
        if of.puts and of.puts[0].invoked < taken.out:
            kind = "duplicated"
        elif of.failed and of.failed[0].invocation.index < taken.out:
            kind = "phantom"
        else:
            kind = "unexpected"
        taken.others = [operation for operation in before if operation is not taken.operation]
        taken.enqueues = [*(put.operation for put in of.puts[:_SHOWN]), *of.failed[:_SHOWN]]
        self.surplus.append((kind, taken))

    def _blame_crashes(self) -> None:
        """Of what went missing, let crashed operations account for what they may (rule 3)."""
        dequeues = [operation for operation in self.crashed if operation.f == "dequeue"]
        drain = next((operation for operation in self.crashed if operation.f == "drain"), None)
        missing, self.lost = sorted(self.lost, key=lambda put: (put.gone_by, put.invoked)), []
        used = 0
        for put in missing:
            if drain is not None and drain.invocation.index < put.gone_by:
                put.taker = drain
            elif used < len(dequeues) and dequeues[used].invocation.index < put.gone_by:
                put.taker = dequeues[used]
                used += 1
            (self.lost if put.taker is None else self.maybe_taken).append(put)
