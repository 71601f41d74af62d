"""Random histories of a container: honest, or with some of their answers changed.

1. Structure is always right: one open operation a process, `info` retires it.
2. An honest history comes from a container that works, with operations that overlap, fail, crash before they take effect
   or after, or are never completed.
3. A dishonest one is an honest one with answers exchanged, changed or dealt anew, or an operation invoked later or
   completed sooner.
4. Everything follows from the `Random` that is passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from tests.checkers.linearizability.polynomial.oracle import RUN, Op

INSERTIONS = {"fifo-queue": "enqueue", "priority-queue": "enqueue", "stack": "push"}
REMOVALS = {"fifo-queue": "dequeue", "priority-queue": "dequeue", "stack": "pop"}


class _Asking:
    """What clients ask of a container: each value once, but sometimes."""

    def __init__(self, random: Random, kind: str, size: int) -> None:
        self.random = random
        self.kind = kind
        self.fresh = list(range(1, size + 1))
        if random.random() < 0.7:
            random.shuffle(self.fresh)
        if kind != "priority-queue" and random.random() < 0.1:
            self.fresh.append(True)
        self.repeats = random.random() < 0.1
        self.used: list[Any] = []
        self.insertions = random.choice((0.4, 0.5, 0.5, 0.6))
        self.style = random.choice(("whole", "whole", "element", "element", "mixed"))

    def ask(self) -> tuple[str, Any]:
        draw = self.random.random()
        if self.kind != "set":
            if draw < self.insertions:
                return INSERTIONS[self.kind], self._value()
            return REMOVALS[self.kind], None
        if self.style == "whole":
            return ("add", self._value()) if draw < self.insertions else ("read", None)
        few = self.random.choice((1, 1, 2, 3))
        if draw < 0.5:
            return self.random.choice(("add", "add", "remove")), self.random.randint(1, few)
        if self.style == "mixed" and draw < 0.75:
            return "read", None
        return "contains", self.random.randint(1, few)

    def _value(self) -> Any:
        if self.used and self.repeats and self.random.random() < 0.3:
            return self.random.choice(self.used)
        self.used.append(self.fresh.pop())
        return self.used[-1]


def initial(random: Random, kind: str, size: int) -> list[Any]:
    """Values that a container may hold at first, in the order in which they were inserted; now and then one of those
    that are inserted later."""
    values = (
        random.sample([1, 2, 3, 4], random.randint(1, 3)) if kind == "set" else [101, 102, 103][: random.randint(1, 3)]
    )
    if random.random() < 0.1:
        values = list(dict.fromkeys([*values, random.randint(1, size)]))
    if kind == "priority-queue":
        return sorted(random.choice((1, -1)) * each for each in values)
    random.shuffle(values)
    return values


def history(random: Random, kind: str, size: int, processes: int = 4, held: Sequence[Any] = ()) -> History:
    """A history of that many operations, dishonest in most cases. held: what the container holds at first."""
    asking = _Asking(random, kind, size)
    crashes = random.choice((0.0, 0.0, 0.1, 0.25))
    slow = random.choice((0.2, 0.5, 0.8))
    held = list(held)
    first = list(held)
    events: list[Event] = []
    idle = list(range(random.randint(1, processes)))
    most = len(idle)
    # By process: what it asked; whether that took effect; what the answer is.
    open_: dict[int, list[Any]] = {}

    def record(process: int, type_: Any, f: str, value: Any) -> None:
        events.append(Event(len(events), len(events) * 1_000_000, process, type_, f, None, value))

    asked = 0
    while asked < size or open_:
        if asked < size and idle and (not open_ or random.random() < 0.5):
            process = idle.pop(random.randrange(len(idle)))
            f, argument = asking.ask()
            record(process, "invoke", f, argument)
            open_[process] = [f, argument, False, None]
            asked += 1
            continue
        process = random.choice(sorted(open_))
        f, argument, done, answer = open_[process]
        if not done and random.random() < crashes:
            # It crashes before it took effect, or fails, or nothing is heard of it.
            ending = random.choice(("info", "fail", "nothing"))
        elif not done:
            held, open_[process][3] = _effect(kind, held, f, argument)
            open_[process][2] = True
            if random.random() < slow:
                continue
            answer, ending = open_[process][3], "ok"
        else:
            ending = "ok"
        if ending == "ok" and random.random() < crashes:
            ending = random.choice(("info", "nothing"))
        del open_[process]
        if ending in ("ok", "fail"):
            idle.append(process)
        else:
            idle.append(most)
            most += 1
        if ending != "nothing":
            record(process, ending, f, answer if ending == "ok" else argument)
    style = random.choice(("honest", "changed", "changed", "dealt"))
    if style == "dealt" and kind != "set":
        events = _dealt(random, events, first)
    elif style != "honest":
        for _ in range(random.choice((1, 1, 2))):
            events = _mutated(random, events)
    return History(tuple(events))


def _effect(kind: str, held: list[Any], f: str, argument: Any) -> tuple[list[Any], Any]:
    """What the container holds after the operation, and what it answered."""
    answer: Any = argument
    if f == "read":
        answer = list(held)
    elif f == "contains":
        answer = any(each is argument or (each == argument and type(each) is type(argument)) for each in held)
    elif f in ("dequeue", "pop"):
        answer = (held[-1] if kind == "stack" else held[0]) if held else None
    after = RUN[kind](held, Op(f, argument, answer, True, 0, 0))
    assert after is not None
    return after, answer


def _dealt(random: Random, events: list[Event], there: list[Any]) -> list[Event]:
    """The removals answer values that were put in by then, any of them: nothing is wrong but the order."""
    found = []
    eager = random.choice((0.6, 0.8, 1.0))
    for event in events:
        if event.type == "invoke" and event.f in ("enqueue", "push"):
            there.append(event.value)
        if event.type == "ok" and event.f in ("dequeue", "pop"):
            answer = there.pop(random.randrange(len(there))) if there and random.random() < eager else None
            event = msgspec.structs.replace(event, value=answer)
        found.append(event)
    return found


def _mutated(random: Random, events: list[Event]) -> list[Event]:
    answers = [e.index for e in events if e.type == "ok" and e.f in ("read", "contains", "dequeue", "pop")]
    if not answers or random.random() < 0.5:
        return _moved(random, list(events))
    changed = list(events)
    at = random.choice(answers)
    event = events[at]
    alike = [other for other in answers if events[other].f == event.f and events[other].value != event.value]
    if event.f == "contains":
        value = not event.value
    elif alike and random.random() < 0.8:
        other = random.choice(alike)
        value = events[other].value
        if random.random() < 0.9:
            changed[other] = msgspec.structs.replace(events[other], value=event.value)
    elif event.f == "read":
        value = list(event.value)
        if value and random.random() < 0.6:
            value.pop(random.randrange(len(value)))
        else:
            value.append(random.choice((1, 2, 99, *value)))
    else:
        value = random.choice((None, None, 1, 2, 3, 99))
    changed[at] = msgspec.structs.replace(event, value=value)
    return changed


def _moved(random: Random, events: list[Event]) -> list[Event]:
    """A completion comes sooner, or an invocation later, past events of other processes."""
    if len(events) < 2:
        return events
    at = random.randrange(len(events))
    event = events[at]
    step = 1 if event.type == "invoke" else -1
    to = at
    while 0 <= to + step < len(events) and events[to + step].process != event.process and random.random() < 0.8:
        to += step
    moved = events[:at] + events[at + 1 :]
    moved.insert(to, event)
    return [msgspec.structs.replace(each, index=i, time=i * 1_000_000) for i, each in enumerate(moved)]
