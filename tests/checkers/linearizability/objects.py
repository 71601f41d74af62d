"""Random small histories of objects: honest ones come from a real sequential object behind concurrent clients.

A dishonest one is an honest one with a few answers changed, or two of its events exchanged in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Any

import msgspec

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability.frozen_values import TRUE
from splitbrain.checkers.linearizability.model import Call, Model, State
from splitbrain.checkers.linearizability.models.counters import Counter, Mutex
from splitbrain.checkers.linearizability.models.kv import KeyValue
from splitbrain.checkers.linearizability.models.registers import CasRegister, MultiRegister, Register


class Dice(Model):
    """Not deterministic: a roll leaves any number up to its argument, and a look shows which."""

    name = "dice"
    initial: State = 0
    fs = frozenset({"roll", "look"})

    def step(self, state: State, call: Call) -> tuple[State, ...]:
        if call.f == "roll":
            return tuple(range(call.argument + 1))
        return (state,) if not call.known or call.result == state else ()

    def read_only(self, call: Call) -> bool:
        return call.f == "look"

    def overwrites(self, call: Call) -> bool:
        return call.f == "roll"


Answer = tuple[str, Any, str | None]
"""Type of the completion, its value, its error."""


@dataclass(frozen=True)
class Kind:
    """A kind of object. ask: draws f and argument. act: does it to the state, gives the new state and the answer.
    spoil: another answer instead of that."""

    model: Model
    ask: Callable[[Random], tuple[str, Any]]
    act: Callable[[Any, str, Any, Random], tuple[Any, Answer]]
    spoil: Callable[[Random, Event], Any]
    initial: Any = None
    begin: Callable[[Random], Start] | None = None


@dataclass(frozen=True)
class Start:
    """An initial state. given: as `initial=` has it. held: by key, what the object of `Kind.act` holds. states: by key,
    the model's state."""

    given: Any
    held: Mapping[str, Any]
    states: Mapping[str, State]


def _everywhere(given: Any, held: Any, state: State) -> Start:
    return Start(given, dict.fromkeys(_KEYS, held), dict.fromkeys(_KEYS, state))


_KEYS = ("k0", "k1")
_VALUES = (0, 1, 1, 2, 2, True, None)  # true is not 1, and an empty register may have been written so.


def _register_ask(random: Random, cas: bool) -> tuple[str, Any]:
    f = random.choice(["read", "write", "cas"] if cas else ["read", "write"])
    one, other = random.choice(_VALUES), random.choice(_VALUES)
    return f, {"read": None, "write": one, "cas": [one, other]}[f]


def _register_act(state: Any, f: str, argument: Any, random: Random) -> tuple[Any, Answer]:
    if f == "read":
        return state, ("ok", state, None)
    if f == "write":
        return argument, ("ok", argument, None)
    if state == argument[0]:
        return argument[1], ("ok", argument, None)
    return state, ("fail", argument, "mismatch: another value" if random.random() < 0.5 else None)


def _kv_ask(random: Random) -> tuple[str, Any]:
    f = random.choice(["get", "put", "append"])
    return f, None if f == "get" else random.choice("ab")


def _kv_act(state: Any, f: str, argument: Any, random: Random) -> tuple[Any, Answer]:
    if f == "get":
        return state, ("ok", state, None)
    return (argument if f == "put" else state + argument), ("ok", argument, None)


def _multi_ask(random: Random) -> tuple[str, Any]:
    names = random.sample(["x", "y"], random.randint(1, 2))
    return "txn", [["r", n, None] if random.random() < 0.5 else ["w", n, random.randrange(2)] for n in names]


def _multi_act(state: Any, f: str, argument: Any, random: Random) -> tuple[Any, Answer]:
    held = dict(state)
    done = []
    for kind, name, value in argument:
        if kind == "w":
            held[name] = value
        done.append([kind, name, held.get(name)])
    return held, ("ok", done, None)


def _multi_spoil(random: Random, event: Event) -> Any:
    return [[k, n, random.choice([None, 0, 1]) if k == "r" else v] for k, n, v in event.value]


def _counter_ask(random: Random) -> tuple[str, Any]:
    return ("add", random.choice([-1, 1, 1, 2])) if random.random() < 0.6 else ("read", None)


def _counter_act(state: Any, f: str, argument: Any, random: Random) -> tuple[Any, Answer]:
    return (state, ("ok", state, None)) if f == "read" else (state + argument, ("ok", argument, None))


def _mutex_act(state: Any, f: str, argument: Any, random: Random) -> tuple[Any, Answer]:
    if (f == "acquire") == state:
        return state, ("fail", None, None)
    return not state, ("ok", None, None)


def _dice_act(state: Any, f: str, argument: Any, random: Random) -> tuple[Any, Answer]:
    if f == "roll":
        return random.randint(0, argument), ("ok", argument, None)
    return state, ("ok", state, None)


def _register_begin(random: Random) -> Start:
    value = random.choice([0, 1, 2, True, "x", [1, True]])
    return _everywhere(value, value, {"True": TRUE, "[1, True]": (1, TRUE)}.get(str(value), value))


def _kv_begin(random: Random) -> Start:
    given = {key: random.choice(["", "a", "b", "ab"]) for key in random.sample(_KEYS, random.randint(0, 2))}
    held = {key: given.get(key, "") for key in _KEYS}
    return Start({"another": "c", **given}, held, held)


def _multi_begin(random: Random) -> Start:
    given = {name: random.choice([0, 1]) for name in random.sample(["x", "y"], random.randint(1, 2))}
    return _everywhere(given, given, tuple(sorted(given.items())))


def _counter_begin(random: Random) -> Start:
    value = random.choice([-2, 1, 2])
    return _everywhere(value, value, value)


def _small(random: Random, event: Event) -> Any:
    return random.choice([*_VALUES]) if event.f in ("read", "look") else event.value


KINDS: Mapping[str, Kind] = {
    "register": Kind(Register(), lambda r: _register_ask(r, False), _register_act, _small, begin=_register_begin),
    "cas-register": Kind(CasRegister(), lambda r: _register_ask(r, True), _register_act, _small, begin=_register_begin),
    "kv": Kind(
        KeyValue(),
        _kv_ask,
        _kv_act,
        lambda r, e: "".join(r.choices("ab", k=r.randrange(3))) if e.f == "get" else e.value,
        "",
        _kv_begin,
    ),
    "multi-register": Kind(MultiRegister(), _multi_ask, _multi_act, _multi_spoil, {}, _multi_begin),
    "counter": Kind(
        Counter(),
        _counter_ask,
        _counter_act,
        lambda r, e: r.randrange(-1, 4) if e.f == "read" else e.value,
        0,
        _counter_begin,
    ),
    "mutex": Kind(
        Mutex(),
        lambda r: (r.choice(["acquire", "release"]), None),
        _mutex_act,
        lambda r, e: e.value,
        False,
        lambda r: _everywhere(r.choice([3, "n1"]), True, "taken"),
    ),
    "dice": Kind(
        Dice(),
        lambda r: ("roll", r.randrange(3)) if r.random() < 0.5 else ("look", None),
        _dice_act,
        _small,
        0,
        lambda r: _everywhere(2, 2, 2),
    ),
}


def distinct(kind: Kind) -> Kind:
    """The register, with every write of a value of its own."""
    fresh = count(1)

    def ask(random: Random) -> tuple[str, Any]:
        f, argument = kind.ask(random)
        return f, next(fresh) if f == "write" else argument

    def spoil(random: Random, event: Event) -> Any:
        # Often a value that was written, now and then one that was never written.
        return random.choice([None, *range(1, 7)]) if event.f == "read" else event.value

    return replace(kind, ask=ask, spoil=spoil)


def distinct_puts(kind: Kind) -> Kind:
    """The key-value store without append, with every put of a text of its own, null and the empty text among them."""
    texts: Iterator[Any] = iter([])

    def ask(random: Random) -> tuple[str, Any]:
        nonlocal texts
        if random.random() < 0.5:
            return "get", None
        # Few histories put more than these; then they are for the search.
        put = next(texts, "none left")
        if put == "none left":
            texts = iter(random.sample(["1", "2", "3", "4", "5", "6", "7", "a", random.choice(["", None])], 9))
            put = next(texts)
        return "put", put

    def act(state: Any, f: str, argument: Any, random: Random) -> tuple[Any, Answer]:
        if f == "put":
            return argument, ("ok", argument, None)
        return state, ("ok", random.choice(["", None]) if state in ("", None) else state, None)

    def spoil(random: Random, event: Event) -> Any:
        return random.choice(["", None, "a", "1", "2", "3"]) if event.f == "get" else event.value

    return replace(kind, ask=ask, act=act, spoil=spoil)


def history(
    random: Random, kind: Kind, *, operations: int = 8, clients: int = 4, keys: int = 1, start: Start | None = None
) -> History:
    """A random history, with operations that crash, fail and never end; dishonest in half of the cases."""
    events: list[Event] = []
    states: dict[str, Any] = {key: start.held[key] if start else kind.initial for key in _KEYS[:keys]}
    open_: dict[int, list[Any]] = {}
    processes = list(range(clients))
    asked = 0
    total = random.randint(2, operations)
    crashes = random.choice([0.0, 0.1, 0.4])
    while (
        asked < total or any(answer is not None for *_, answer in open_.values()) or (open_ and random.random() < 0.5)
    ):
        slot = random.randrange(clients)
        process = processes[slot]
        if process not in open_:
            if asked == total:
                continue
            f, argument = kind.ask(random)
            key = random.choice(list(states))
            open_[process] = [f, argument, key, None]
            asked += 1
            events.append(Event(len(events), len(events), process, "invoke", f, key, argument))
            continue
        f, argument, key, answer = open_[process]
        if answer is None:
            if random.random() < crashes / 2:
                answer = ("info", None, "timeout: it may never happen")
            else:
                states[key], answer = kind.act(states[key], f, argument, random)
                if random.random() < crashes:
                    answer = ("info", None, "timeout: it did happen")
            open_[process][3] = answer
            continue
        type_, value, error = answer
        del open_[process]
        if type_ == "info":
            processes[slot] = max(processes) + 1
            if random.random() < 0.3:
                continue  # It never ends at all.
        events.append(Event(len(events), len(events), process, type_, f, key, value, error=error))
    if random.random() < 0.6:
        for _ in range(random.randint(1, 4)):
            events = _spoilt(random, kind, events)
    return History(events)


def _spoilt(random: Random, kind: Kind, events: list[Event]) -> list[Event]:
    done = [at for at, event in enumerate(events) if event.type == "ok"]
    if not done:
        return events
    if random.random() < 0.6:
        at = random.choice(done)
        changed = msgspec.structs.replace(events[at], value=kind.spoil(random, events[at]))
        return [*events[:at], changed, *events[at + 1 :]]
    refused = [at for at, event in enumerate(events) if event.type == "fail"]
    if refused and random.random() < 0.5:
        # It did not happen, and its client was told that it did.
        at = random.choice(refused)
        return [*events[:at], msgspec.structs.replace(events[at], type="ok", error=None), *events[at + 1 :]]
    # An answer that came sooner: less overlaps.
    at = random.choice(done)
    began = max(i for i in range(at) if events[i].process == events[at].process)
    rest = [*events[: began + 1], events[at], *events[began + 1 : at], *events[at + 1 :]]
    return [msgspec.structs.replace(event, index=i, time=i) for i, event in enumerate(rest)]
