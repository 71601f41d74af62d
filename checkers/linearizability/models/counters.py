"""A counter and a mutex, as models.

1. A counter starts at its initial value, an integer, by default 0. `add` n (a negative n subtracts), `read` the sum.
2. `acquire` takes a mutex that is free, and `release` frees one that is taken. Neither can happen otherwise.
3. The initial value of a mutex is its holder (a number or a name), or null if it is free, as by default. The model
   does not care who holds it: any process may release.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.linearizability.model import Call, Model, State


class Counter(Model):
    """`add` an integer, `read` the sum."""

    name = "counter"
    initial: State = 0
    fs = frozenset({"add", "read"})
    repeating = frozenset({"add"})

    def malformed(self, call: Call) -> str | None:
        if call.f == "add" and type(call.argument) is not int:
            return f"an add needs an integer, has {literal(call.argument)}"
        return None

    def malformed_initial(self, value: Hashable) -> str | None:
        return None if type(value) is int else "an integer"

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

    def malformed_initial(self, value: Hashable) -> str | None:
        return None if type(value) in (int, str) else "its holder (a number or a name), or null"

    def initial_state(self, value: Hashable, calls: Sequence[Call]) -> State:
        return "taken"

    def step(self, state: State, call: Call) -> Sequence[State]:
        needed, left = ("free", "taken") if call.f == "acquire" else ("taken", "free")
        return (left,) if state == needed else ()
