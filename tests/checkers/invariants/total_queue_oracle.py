"""What `total_queue` must say: all ways to assign what came out of a queue to what went in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from splitbrain.checkers.histories.history import History, Operation
from tests.checkers.plain_history import span, verdict_of


def total_queue(history: History) -> dict[str, Any]:
    """The best of all assignments, key by key."""
    figures = dict.fromkeys(("lost", "maybe_taken", "undelivered", "surplus"), 0)
    for key in dict.fromkeys(operation.key for operation in history.operations):
        of_key = [operation for operation in history.operations if operation.key == key]
        for name, number in zip(figures, _queue(of_key), strict=True):
            figures[name] += number
    acknowledged = any(o.f == "enqueue" and o.outcome == "ok" for o in history.operations)
    wrong = bool(figures["lost"] or figures["surplus"])
    return {"verdict": verdict_of(wrong, acknowledged and not figures["undelivered"]), **figures}


class _Queue:
    """One queue, read once: its enqueues, what came out of it and when, and when it was emptied after each enqueue."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.enqueues = [o for o in operations if o.f == "enqueue" and o.outcome != "fail"]
        self.crashed = [o for o in operations if o.f != "enqueue" and o.outcome == "info"]
        self.outs = [(span(o)[1], json.dumps(value)) for o in operations for value in _took(o)]
        acknowledged = [o for o in self.enqueues if o.outcome == "ok"]
        last = max((span(o)[1] for o in acknowledged), default=-1)
        emptyings = [span(o) for o in operations if _drained(o) or (_found_nothing(o) and span(o)[0] > last)]
        self.emptied = {id(o): [end for begun, end in emptyings if begun > span(o)[1]] for o in acknowledged}

    def assigned(self, number: int, free: frozenset[int], surplus: int) -> Iterator[tuple[int, frozenset[int]]]:
        """Every way to say where the outs from that number on are from: how many from nowhere, and what is left."""
        if number == len(self.outs):
            yield surplus, free
            return
        end, value = self.outs[number]
        yield from self.assigned(number + 1, free, surplus + 1)
        tried = set()
        for at in sorted(free):
            enqueue = self.enqueues[at]
            if json.dumps(enqueue.invocation.value) == value and span(enqueue)[0] < end:
                alike = (enqueue.outcome, tuple(self.emptied.get(id(enqueue), ())), span(enqueue)[0])
                if alike not in tried:
                    tried.add(alike)
                    yield from self.assigned(number + 1, free - {at}, surplus)

    def blamed(self, missing: Sequence[Operation], takers: frozenset[int]) -> int:
        """How many of the missing can't be with a crashed operation, at best."""
        if not missing:
            return 0
        first, rest = missing[0], missing[1:]
        best = 1 + self.blamed(rest, takers)
        for at in sorted(takers):
            taker = self.crashed[at]
            if span(taker)[0] < min(self.emptied[id(first)]):
                left = takers if taker.f == "drain" else takers - {at}
                best = min(best, self.blamed(rest, left))
        return best

    def fates(self, left: tuple[int, ...]) -> tuple[int, int, int]:
        """How many of the acknowledged enqueues that are left are lost, maybe taken, and undelivered."""
        missing = [self.enqueues[at] for at in left if self.emptied[id(self.enqueues[at])]]
        lost = self.blamed(missing, frozenset(range(len(self.crashed))))
        return lost, len(missing) - lost, len(left) - len(missing)


def _queue(operations: Sequence[Operation]) -> tuple[int, int, int, int]:
    queue = _Queue(operations)
    best: tuple[int, int, int, int] | None = None
    judged: dict[tuple[int, ...], tuple[int, int, int]] = {}
    for surplus, free in queue.assigned(0, frozenset(range(len(queue.enqueues))), 0):
        if best is not None and surplus > best[0]:
            continue
        left = tuple(sorted(at for at in free if queue.enqueues[at].outcome == "ok"))
        if left not in judged:
            judged[left] = queue.fates(left)
        # Fewest out of nowhere, then fewest lost; then as few as can be whose fate is open.
        found = (surplus, *judged[left])
        if best is None or found < best:
            best = found
    assert best is not None
    surplus, lost, maybe, undelivered = best
    return lost, maybe, undelivered, surplus


def _drained(operation: Operation) -> bool:
    return operation.f == "drain" and operation.outcome == "ok"


def _took(operation: Operation) -> list[Any]:
    """The values that came out with an operation."""
    if operation.completion is None or operation.outcome != "ok" or operation.f == "enqueue":
        return []
    value = operation.completion.value
    return value if operation.f == "drain" else [value] if value is not None else []


def _found_nothing(operation: Operation) -> bool:
    if operation.f != "dequeue" or operation.completion is None:
        return False
    if operation.outcome == "fail":
        return _says_empty(operation.completion.error)
    return operation.outcome == "ok" and operation.completion.value is None


def _says_empty(error: str | None) -> bool:
    return not error or error.split(":")[0].strip() in ("", "empty", "exhausted")
