"""The account of a queue: which enqueue each value that came out is from, and what became of the rest.

The words are those of `total_queue`. How the assignment is found:

1. Values that came out are taken in the order of their completions. Each gets the most urgent of the enqueues of that
   value that were invoked before it was out, if any is left.
2. An acknowledged enqueue is more urgent than a crashed one. One that the queue was emptied after is more urgent than
   one that may still be there; and the sooner that emptying was over, the more urgent, for the fewer are the crashed
   dequeues that may account for it.
3. An enqueue that is not chosen now is there for every later one to choose. So this is a greedy choice in a matroid: no
   assignment leaves fewer without an enqueue, or fewer lost.
4. What is left is accounted for by crashed dequeues, in the order in which the emptyings were over: whatever may
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
class Enqueued:
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
    def urgency(self) -> tuple[bool, int, int]:
        """Lower is more urgent (rule 2)."""
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
class ValueAccount:
    """What concerns one value: enqueues that may have happened, those that failed, and what came out."""

    enqueued: list[Enqueued] = field(default_factory=list)
    failed: list[Operation] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)


@dataclass(eq=False)
class QueueAccount:
    """One queue. Filled operation by operation, in the order of their invocations, then settled once."""

    values: dict[Hashable, ValueAccount] = field(default_factory=dict)
    drains: list[Operation] = field(default_factory=list)
    emptied: list[Operation] = field(default_factory=list)
    crashed: list[Operation] = field(default_factory=list)
    lost: list[Enqueued] = field(default_factory=list)
    maybe_taken: list[Enqueued] = field(default_factory=list)
    undelivered: list[Enqueued] = field(default_factory=list)
    recovered: int = 0
    dequeued: int = 0
    surplus: list[tuple[str, Taken]] = field(default_factory=list)

    def enqueue(self, operation: Operation) -> None:
        """Take in an enqueue."""
        each = self.values.setdefault(identity(operation.invocation.value), ValueAccount())
        if operation.outcome == "fail":
            each.failed.append(operation)
        else:
            each.enqueued.append(Enqueued(operation))

    def take(self, operation: Operation, value: Any) -> None:
        """Take in a value that an ok dequeue or drain took."""
        self.values.setdefault(identity(value), ValueAccount()).taken.append(Taken(operation, value, self.dequeued))
        self.dequeued += 1

    def drained(self, operation: Operation) -> None:
        """Take in an ok drain."""
        self.drains.append(operation)

    def found_nothing(self, operation: Operation) -> None:
        """Take in a dequeue that found nothing."""
        self.emptied.append(operation)

    def crash(self, operation: Operation) -> None:
        """Take in a dequeue or a drain that crashed."""
        self.crashed.append(operation)

    def settle(self) -> None:
        """Fill in what became of everything. O(n log n)."""
        enqueued = [
            enqueue for each in self.values.values() for enqueue in each.enqueued if enqueue.acknowledged != FOREVER
        ]
        last = max((enqueue.acknowledged for enqueue in enqueued), default=-1)
        late = [operation for operation in self.emptied if operation.invocation.index > last]
        self.emptied = sorted([*self.drains, *late], key=lambda operation: operation.invocation.index)
        self._set_deadlines(enqueued)
        for each in self.values.values():
            self._assign(each)
        self._blame_crashes()

    def emptying_after(self, enqueue: Enqueued) -> Operation | None:
        """The emptying after that enqueue that was over first."""
        return next(
            (o for o in self.emptied if o.completion is not None and o.completion.index == enqueue.gone_by), None
        )

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

    def _set_deadlines(self, enqueued: list[Enqueued]) -> None:
        begun = [operation.invocation.index for operation in self.emptied]
        soonest = [FOREVER]  # From the last emptying to the first: when the first of those from here on was over.
        for operation in reversed(self.emptied):
            assert operation.completion is not None
            soonest.append(min(soonest[-1], operation.completion.index))
        soonest.reverse()
        for enqueue in enqueued:
            enqueue.gone_by = soonest[bisect_left(begun, enqueue.acknowledged)]

    def _assign(self, each: ValueAccount) -> None:
        ahead = iter(each.enqueued)
        coming = next(ahead, None)
        tie = count()
        there: list[tuple[tuple[bool, int, int], int, Enqueued]] = []
        before: list[Operation] = []
        for taken in sorted(each.taken, key=lambda taken: (taken.out, taken.number)):
            while coming is not None and coming.invoked < taken.out:
                heapq.heappush(there, (coming.urgency, next(tie), coming))
                coming = next(ahead, None)
            if there:
                _, _, enqueue = heapq.heappop(there)
                self.recovered += enqueue.acknowledged == FOREVER
            else:
                self._note_surplus(each, taken, before)
            if len(before) < _SHOWN:
                before.append(taken.operation)
        left = [enqueue for _, _, enqueue in there] + ([coming, *ahead] if coming is not None else [])
        for enqueue in left:
            if enqueue.acknowledged != FOREVER:
                (self.undelivered if enqueue.gone_by == FOREVER else self.lost).append(enqueue)

    def _note_surplus(self, each: ValueAccount, taken: Taken, before: list[Operation]) -> None:
        if each.enqueued and each.enqueued[0].invoked < taken.out:
            kind = "duplicated"
        elif each.failed and each.failed[0].invocation.index < taken.out:
            kind = "phantom"
        else:
            kind = "unexpected"
        taken.others = [operation for operation in before if operation is not taken.operation]
        taken.enqueues = [*(enqueue.operation for enqueue in each.enqueued[:_SHOWN]), *each.failed[:_SHOWN]]
        self.surplus.append((kind, taken))

    def _blame_crashes(self) -> None:
        """Let crashed operations account for what they may of what went missing (rule 4)."""
        dequeues = [operation for operation in self.crashed if operation.f == "dequeue"]
        drain = next((operation for operation in self.crashed if operation.f == "drain"), None)
        missing, self.lost = sorted(self.lost, key=lambda enqueue: (enqueue.gone_by, enqueue.invoked)), []
        used = 0
        for enqueue in missing:
            if drain is not None and drain.invocation.index < enqueue.gone_by:
                enqueue.taker = drain
            elif used < len(dequeues) and dequeues[used].invocation.index < enqueue.gone_by:
                enqueue.taker = dequeues[used]
                used += 1
            (self.lost if enqueue.taker is None else self.maybe_taken).append(enqueue)
