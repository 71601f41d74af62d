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


def _queue(operations: Sequence[Operation]) -> tuple[int, int, int, int]:
    enqueues = [o for o in operations if o.f == "enqueue" and o.outcome != "fail"]
    acknowledged = [o for o in enqueues if o.outcome == "ok"]
    last = max((span(o)[1] for o in acknowledged), default=-1)
    outs: list[tuple[int, str]] = []
    emptyings: list[tuple[int, int]] = []
    for o in operations:
        if o.f == "drain" and o.outcome == "ok" and o.completion:
            emptyings.append(span(o))
            outs += [(span(o)[1], json.dumps(value)) for value in o.completion.value]
        if o.f == "dequeue" and o.completion and o.outcome != "info":
            nothing = o.completion.value is None if o.outcome == "ok" else _says_empty(o.completion.error)
            if nothing and span(o)[0] > last:
                emptyings.append(span(o))
            if o.outcome == "ok" and o.completion.value is not None:
                outs.append((span(o)[1], json.dumps(o.completion.value)))
    crashed = [o for o in operations if o.f != "enqueue" and o.outcome == "info"]
    emptied = {id(o): [end for begun, end in emptyings if begun > span(o)[1]] for o in acknowledged}

    def assigned(number: int, free: frozenset[int], surplus: int) -> Iterator[tuple[int, frozenset[int]]]:
        """Every way to say where the outs from that number on are from: how many from nowhere, and what is left."""
        if number == len(outs):
            yield surplus, free
            return
        end, value = outs[number]
        yield from assigned(number + 1, free, surplus + 1)
        tried = set()
        for at in sorted(free):
            enqueue = enqueues[at]
            if json.dumps(enqueue.invocation.value) == value and span(enqueue)[0] < end:
                alike = (enqueue.outcome, tuple(emptied.get(id(enqueue), ())), span(enqueue)[0])
                if alike not in tried:
                    tried.add(alike)
                    yield from assigned(number + 1, free - {at}, surplus)

    def blamed(missing: Sequence[Operation], takers: frozenset[int]) -> int:
        """How many of the missing can't be with a crashed operation, at best."""
        if not missing:
            return 0
        first, rest = missing[0], missing[1:]
        best = 1 + blamed(rest, takers)
        for at in sorted(takers):
            taker = crashed[at]
            if span(taker)[0] < min(emptied[id(first)]):
                left = takers if taker.f == "drain" else takers - {at}
                best = min(best, blamed(rest, left))
        return best

    best: tuple[int, int, int, int] | None = None
    judged: dict[tuple[int, ...], tuple[int, int, int]] = {}
    for surplus, free in assigned(0, frozenset(range(len(enqueues))), 0):
        if best is not None and surplus > best[0]:
            continue
        left = tuple(sorted(at for at in free if enqueues[at].outcome == "ok"))
        if left not in judged:
            missing = [enqueues[at] for at in left if emptied[id(enqueues[at])]]
            lost = blamed(missing, frozenset(range(len(crashed))))
            judged[left] = (lost, len(missing) - lost, len(left) - len(missing))
        # Fewest out of nowhere, then fewest lost; then as few as can be whose fate is open.
        found = (surplus, judged[left][0], judged[left][1], judged[left][2])
        if best is None or found < best:
            best = found
    assert best is not None
    surplus, lost, maybe, undelivered = best
    return lost, maybe, undelivered, surplus


def _says_empty(error: str | None) -> bool:
    return error is not None and error.split(":")[0].strip() in ("empty", "exhausted")
