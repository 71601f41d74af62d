"""A counter and a mutex, as models.

1. A counter starts at 0: `add` n (a negative n takes away), `read` the sum. What a completed `add` answers is not
   looked at: systems repeat the argument there, or answer nothing.
2. A mutex is free at first: `acquire` takes it and can't while it is taken; `release` frees it and can't while it is
   free.
"""

from __future__ import annotations

from collections.abc import Sequence

from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.linearizability.model import Call, Model, State


class Counter(Model):
    """`add` an integer, `read` the sum."""

    name = "counter"
    initial: State = 0
    fs = frozenset({"add", "read"})

    def malformed(self, call: Call) -> str | None:
        if call.f == "add" and type(call.argument) is not int:
            return f"an add needs an integer, has {literal(call.argument)}"
        return None

    def step(self, state: State, call: Call) -> Sequence[State]:
        if call.f == "add":
            return (state + call.argument,)
        return (state,) if not call.known or call.result == state else ()

    def read_only(self, call: Call) -> bool:
        return call.f == "read"

    def commutes(self, call: Call) -> bool:
        return call.f == "add"


class Mutex(Model):
    """`acquire` and `release`."""

    name = "mutex"
    initial: State = "free"
    fs = frozenset({"acquire", "release"})

    def step(self, state: State, call: Call) -> Sequence[State]:
        needed, left = ("free", "taken") if call.f == "acquire" else ("taken", "free")
        return (left,) if state == needed else ()
