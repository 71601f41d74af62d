"""A key-value store with append, as a model.

1. `put` a value under a key, `append` text to what is there, `get` it. Keys are independent.
2. A key that was never put holds the empty text. A `get` of it may answer "" or null.
3. An `append` turns whatever was put into text.
4. The initial value is an object from key to value. Keys that are numbers are named by their text, as JSON has it. All
   others are empty.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.linearizability.frozen_values import Fields
from splitbrain.checkers.linearizability.model import Call, Finding, Model, State
from splitbrain.checkers.linearizability.polynomial import zones

EMPTY = ""


class KeyValue(Model):
    """`put`, `append` and `get`, a key at a time."""

    name = "kv"
    initial: State = EMPTY
    fs = frozenset({"get", "put", "append"})
    repeating = frozenset({"put", "append"})

    def malformed(self, call: Call) -> str | None:
        if call.f == "append" and not isinstance(call.argument, str):
            return f"an append needs a text, has {literal(call.argument)}"
        return None

    def malformed_initial(self, value: Hashable) -> str | None:
        return None if isinstance(value, Fields) else "an object from key to value"

    def initial_state(self, value: Hashable, calls: Sequence[Call]) -> State:
        assert isinstance(value, Fields)
        key = calls[0].key
        if key is None and value:
            raise ValueError("initial: it names keys, and the operations of this history have none")
        held = value.get(str(key))
        return EMPTY if held is None else held

    def step(self, state: State, call: Call) -> Sequence[State]:
        match call.f:
            case "put":
                return (EMPTY if call.argument is None else call.argument,)
            case "append":
                return (_text(state) + call.argument,)
            case _:
                found = EMPTY if call.result is None else call.result
                return (state,) if not call.known or found == state else ()

    def read_only(self, call: Call) -> bool:
        return call.f == "get"

    def overwrites(self, call: Call) -> bool:
        return call.f == "put"

    def blind(self, call: Call) -> bool:
        return call.f != "get"

    def leads_to(self, state: State, call: Call) -> bool:
        found = EMPTY if call.result is None else call.result
        return found == state or (isinstance(found, str) and found.startswith(_text(state)))

    def shortcut(self, calls: Sequence[Call]) -> Finding | None:
        return zones.judge(calls, write="put", read="get", initial=self.initial, null=EMPTY)


def _text(value: State) -> str:
    return str(value)
