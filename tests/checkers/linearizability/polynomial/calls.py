"""Calls by hand: `enqueue(1, 0, 3)` was invoked at event 0 and returned at event 3; without the latter it crashed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.linearizability.frozen_values import freeze
from splitbrain.checkers.linearizability.model import Call

Asking = Callable[..., Call]


def _telling(f: str) -> Asking:
    """A call with an argument, of which it is known that it happened."""

    def call(value: Any, first: int, last: int = FOREVER) -> Call:
        return Call(f, freeze(value), freeze(value), last != FOREVER, False, first, last)

    return call


def _answering(f: str) -> Asking:
    """A call without an argument, that answered something."""

    def call(answer: Any, first: int, last: int = FOREVER) -> Call:
        return Call(f, None, freeze(answer) if last != FOREVER else None, last != FOREVER, False, first, last)

    return call


enqueue, push, add, remove = map(_telling, ("enqueue", "push", "add", "remove"))
dequeue, pop, read = map(_answering, ("dequeue", "pop", "read"))


def contains(value: Any, answer: bool, first: int, last: int = FOREVER) -> Call:
    return Call(
        "contains", freeze(value), freeze(answer) if last != FOREVER else None, last != FOREVER, False, first, last
    )
