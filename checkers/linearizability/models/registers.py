"""Registers, as models: plain, with compare-and-set, and several at once.

1. A register holds its initial value until it is written. By default that is null: the register is empty.
2. A `cas` [old, new] that is `ok` found old and left new. One that failed with the error code `mismatch` is an
   observation: the register held another value. With any other error it did not happen, and tells nothing.
3. A multi-register's `txn` is a list of ["r", name, value] and ["w", name, value], all at one moment, in that order.
4. The initial value of a multi-register is an object from name to value. Names that are no texts are named as JSON
   writes them: 1 is "1". All others are empty.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.linearizability.frozen_values import Fields
from splitbrain.checkers.linearizability.model import Call, Finding, Model, State
from splitbrain.checkers.linearizability.polynomial import zones

MISMATCH = "mismatch"


class Register(Model):
    """`write` a value, `read` it."""

    name = "register"
    fs = frozenset({"read", "write"})
    repeating = frozenset({"write"})

    def step(self, state: State, call: Call) -> Sequence[State]:
        if call.f == "write":
            return (call.argument,)
        return (state,) if not call.known or call.result == state else ()

    def read_only(self, call: Call) -> bool:
        return call.f == "read"

    def overwrites(self, call: Call) -> bool:
        return call.f == "write"

    def leads_to(self, state: State, call: Call) -> bool:
        return bool(state == call.result)

    def shows(self, call: Call) -> Iterable[Hashable]:
        return (call.result,) if call.f == "read" else ()

    def supplies(self, call: Call) -> Iterable[Hashable]:
        return (call.argument,) if call.f == "write" else ()

    def held(self, state: State) -> Iterable[Hashable]:
        return (state,)

    def shortcut(self, calls: Sequence[Call]) -> Finding | None:
        return zones.judge(calls, write="write", read="read", initial=self.initial)


class CasRegister(Register):
    """A register with `cas` [old, new]."""

    name = "cas-register"
    fs = frozenset({"read", "write", "cas"})
    repeating = frozenset({"write", "cas"})

    def malformed(self, call: Call) -> str | None:
        if call.f == "cas" and not (isinstance(call.argument, tuple) and len(call.argument) == 2):
            return f"a cas needs a pair [old, new], has {literal(call.argument)}"
        return None

    def step(self, state: State, call: Call) -> Sequence[State]:
        if call.f != "cas":
            return super().step(state, call)
        old, new = call.argument
        if call.failed:
            return (state,) if state != old else ()
        return (new,) if state == old else ()

    def read_only(self, call: Call) -> bool:
        return call.f == "read" or call.failed

    def shows(self, call: Call) -> Iterable[Hashable]:
        if call.f != "cas":
            return super().shows(call)
        return () if call.failed else (call.argument[0],)

    def supplies(self, call: Call) -> Iterable[Hashable]:
        if call.f != "cas":
            return super().supplies(call)
        return () if call.failed else (call.argument[1],)

    # By way of other values, calls of cas can lead from any state to any other.
    leads_to = Model.leads_to

    def observes(self, f: str, error: str | None) -> bool:
        return f == "cas" and error is not None and error.split(":", 1)[0] == MISMATCH


class MultiRegister(Model):
    """Registers by name, several of them read and written at one moment."""

    name = "multi-register"
    initial: State = ()
    fs = frozenset({"txn"})

    def malformed(self, call: Call) -> str | None:
        asked, answered = call.argument, call.result if call.known else call.argument
        for micro in (asked, answered):
            if not isinstance(micro, tuple) or not all(
                isinstance(each, tuple) and len(each) == 3 and each[0] in _READ | _WRITE for each in micro
            ):
                return f'a txn needs a list of ["r", name, value] and ["w", name, value], has {literal(micro)}'
        if [_fixed(each) for each in asked] != [_fixed(each) for each in answered]:
            return f"a txn answers what it was asked, {literal(asked)}, and not {literal(answered)}"
        return None

    def malformed_initial(self, value: Hashable) -> str | None:
        return None if isinstance(value, Fields) else "an object from name to value"

    def initial_state(self, value: Hashable, calls: Sequence[Call]) -> State:
        assert isinstance(value, Fields)
        names = {name: _text(name) for call in calls for _, name, _ in call.argument}
        return _sorted({name: value[text] for name, text in names.items() if text in value})

    def step(self, state: State, call: Call) -> Sequence[State]:
        held = dict(state)
        for f, name, value in call.result if call.known else call.argument:
            if f in _WRITE:
                held[name] = value
            elif call.known and held.get(name) != value:
                return ()
        return (_sorted(held),)

    def read_only(self, call: Call) -> bool:
        return all(f in _READ for f, _, _ in call.argument)

    def blind(self, call: Call) -> bool:
        return all(f in _WRITE for f, _, _ in call.argument)

    def shows(self, call: Call) -> Iterable[Hashable]:
        # Null is what a name holds that nobody wrote.
        return [(name, value) for f, name, value in call.result if f in _READ and value is not None]

    def supplies(self, call: Call) -> Iterable[Hashable]:
        return [(name, value) for f, name, value in call.argument if f in _WRITE]

    def held(self, state: State) -> Iterable[Hashable]:
        return state  # type: ignore[no-any-return]

    def describe(self, state: State) -> str:
        return ", ".join(f"{name} = {literal(value)}" for name, value in state) or "nothing"


def _sorted(held: Mapping[Hashable, Hashable]) -> tuple[tuple[Hashable, Hashable], ...]:
    # Names of different types can't be compared, but how they are written can.
    return tuple(sorted(held.items(), key=lambda pair: repr(pair[0])))


def _text(name: Hashable) -> str:
    return name if isinstance(name, str) else literal(name)


def _fixed(micro: tuple[str, Hashable, Hashable]) -> tuple[object, ...]:
    """What an answer can't change: a write as a whole, and the name that is read."""
    return (micro[0] in _WRITE, micro[1], micro[2] if micro[0] in _WRITE else None)


_READ = frozenset({"r", "read"})
_WRITE = frozenset({"w", "write"})
