"""The judge by trying: every order of the operations that real time allows, every choice of crashed ones.

Containers are what Python has: lists and sets, changed and changed back. Nothing of the checkers is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from splitbrain.checkers.histories.history import History


@dataclass(frozen=True)
class Op:
    """answer: None, and known False, if it is indeterminate. last: its completion's event; after all others if unknown."""

    f: str
    argument: Any
    answer: Any
    known: bool
    first: int
    last: float


def operations(history: History) -> list[Op]:
    found = []
    for each in history.operations:
        if each.outcome == "fail":
            continue
        known = each.outcome == "ok"
        completion = each.completion
        assert completion is not None or not known
        answer = completion.value if known and completion is not None else None
        last = completion.index if known and completion is not None else float("inf")
        found.append(Op(each.f, each.invocation.value, answer, known, each.invocation.index, last))
    return found


def linearizable(kind: str, ops: Sequence[Op], held: Sequence[Any] = ()) -> bool:
    """Whether some choice and some order of them is a run of that kind of container, which holds those values at first."""
    return _from(list(held), list(ops), RUN[kind])


def _from(held: list[Any], rest: list[Op], run: Callable[[list[Any], Op], list[Any] | None]) -> bool:
    if not any(op.known for op in rest):
        return True
    soonest = min(op.last for op in rest)
    for op in rest:
        if op.first > soonest:
            continue
        after = run(held, op)
        if after is not None and _from(after, [other for other in rest if other is not op], run):
            return True
    return False


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)  # True is not 1.


def _within(each: Any, held: list[Any]) -> bool:
    return any(_same(each, other) for other in held)


def _set(held: list[Any], op: Op) -> list[Any] | None:
    if op.f == "add":
        return held if _within(op.argument, held) else [*held, op.argument]
    if op.f == "remove":
        return [each for each in held if not _same(each, op.argument)]
    if not op.known:
        return held
    if op.f == "contains":
        return held if op.answer is _within(op.argument, held) else None
    return held if sorted(map(json.dumps, op.answer)) == sorted(map(json.dumps, held)) else None


def _queue(sort: bool) -> Callable[[list[Any], Op], list[Any] | None]:
    def run(held: list[Any], op: Op) -> list[Any] | None:
        if op.f == "enqueue":
            return sorted([*held, op.argument]) if sort else [*held, op.argument]
        if op.known and not _same(op.answer, held[0] if held else None):
            return None
        return held[1:]

    return run


def _stack(held: list[Any], op: Op) -> list[Any] | None:
    if op.f == "push":
        return [*held, op.argument]
    if op.known and not _same(op.answer, held[-1] if held else None):
        return None
    return held[:-1]


RUN: dict[str, Callable[[list[Any], Op], list[Any] | None]] = {
    "set": _set,
    "fifo-queue": _queue(sort=False),
    "priority-queue": _queue(sort=True),
    "stack": _stack,
}
