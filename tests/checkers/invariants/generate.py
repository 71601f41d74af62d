"""Random small histories of counters, queues, generators of ids, banks, and groups of keys: honest half of the time.

1. Structure is always right: one open operation a process, `info` retires it, indices ascend.
2. An honest history is a simulated object's own. An operation takes effect once, somewhere between its invocation and its
   completion; one that crashes takes effect then, or later, or never; one that fails, never.
3. A dishonest one is an honest one with some answers or outcomes changed.
4. Everything follows from the `Random` that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol

import msgspec

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History

KEYS: Sequence[Sequence[str | None]] = ([None], ["a"], ["a", "b"])


class Object(Protocol):
    """ask: a random operation (f, key, argument). do: let it take effect and give its answer."""

    def ask(self) -> tuple[str, str | None, Any]: ...

    def do(self, f: str, key: str | None, argument: Any) -> Any: ...


def record(
    random: Random, thing: Object, steps: int, *, errors: Sequence[str] = ("timeout: no answer",), crashes: int = 2
) -> list[Event]:
    """What clients of that object see of it, each with one operation at a time.

    crashes: how often one crashes, to 6 to 9 times that it doesn't.
    """
    events: list[Event] = []
    idle = list(range(random.randint(1, 4)))
    opened: dict[int, tuple[str, str | None, Any]] = {}
    answers: dict[int, Any] = {}
    zombies: list[tuple[str, str | None, Any]] = []
    next_process = len(idle)

    def log(process: int, type_: Any, f: str, key: str | None, value: Any, error: str | None = None) -> None:
        events.append(Event(len(events), len(events) * 1_000_000, process, type_, f, key, value, error=error))

    for _ in range(steps):
        move = random.random()
        ready = [process for process in sorted(opened) if process not in answers]
        if zombies and move < 0.05:
            thing.do(*zombies.pop(random.randrange(len(zombies))))
        elif idle and move < 0.45:
            process = idle.pop(random.randrange(len(idle)))
            opened[process] = thing.ask()
            log(process, "invoke", *opened[process])
        elif ready and move < 0.7:
            process = random.choice(ready)
            answers[process] = thing.do(*opened[process])
        elif opened:
            process = random.choice(sorted(opened))
            operation = opened.pop(process)
            done = process in answers
            outcome = random.choices(["ok", "info", "fail"], [9, crashes, 0] if done else [6, crashes, 2])[0]
            if not done and outcome == "ok":
                answers[process] = thing.do(*operation)
            if outcome == "info":
                if not done and random.random() < 0.5:
                    zombies.append(operation)
                idle.append(next_process)
                next_process += 1
            else:
                idle.append(process)
            answer = answers.pop(process, operation[2])
            f, key, argument = operation
            error = None if outcome == "ok" or random.random() < 0.1 else random.choice(errors)
            log(process, outcome, f, key, answer if outcome == "ok" else argument, error)
    return events


def altered(random: Random, events: list[Event], answer: Callable[[Event], Any]) -> list[Event]:
    """The same with one event changed: an answer, or an outcome.

    answer: another answer in place of that of an ok event; the same where it has none to give.
    """
    others = {event.index: answer(event) for event in events if event.type == "ok"}
    telling = [index for index, other in others.items() if other is not events[index].value]
    if telling and random.random() < 0.8:
        index = random.choice(telling)
        event = msgspec.structs.replace(events[index], value=others[index])
    else:
        done = [event.index for event in events if event.type != "invoke"]
        if not done:
            return events
        index = random.choice(done)
        event = events[index]
        if event.type == "ok":
            event = msgspec.structs.replace(event, type="fail", value=None, error="conflict: no")
        elif event.type == "fail" and event.value is not None:
            event = msgspec.structs.replace(event, type="ok", error=None)
    return [*events[:index], event, *events[index + 1 :]]


class Counters:
    def __init__(self, random: Random) -> None:
        self.random, self.keys = random, random.choice(KEYS)
        self.sums: dict[str | None, int] = {}

    def ask(self) -> tuple[str, str | None, Any]:
        key = self.random.choice(self.keys)
        if self.random.random() < 0.5:
            return "read", key, None
        return "add", key, self.random.choice([1, 2, 5, -1, -3, 0])

    def do(self, f: str, key: str | None, argument: Any) -> Any:
        if f == "add":
            self.sums[key] = self.sums.get(key, 0) + argument
            return argument
        return self.sums.get(key, 0)


class Queues:
    """An unordered queue; few values, so that they repeat. Some lose what they were given, now and then."""

    def __init__(self, random: Random) -> None:
        self.random, self.keys = random, random.choice(KEYS)
        self.held: dict[str | None, list[Any]] = {}
        self.distinct = random.random() < 0.4
        self.values = iter(range(100))
        self.drains = random.choice([0.0, 0.1, 0.25])
        self.loses = random.choice([0.0, 0.0, 0.3])

    def ask(self) -> tuple[str, str | None, Any]:
        key = self.random.choice(self.keys)
        kind = self.random.random()
        if kind < self.drains:
            return "drain", key, None
        if kind < 0.55:
            return "dequeue", key, None
        return "enqueue", key, next(self.values) if self.distinct else self.random.choice([1, True, "1"])

    def do(self, f: str, key: str | None, argument: Any) -> Any:
        held = self.held.setdefault(key, [])
        if f == "enqueue":
            if self.random.random() >= self.loses:
                held.append(argument)
            return argument
        if f == "drain":
            took, held[:] = held[:], []
            return took
        return held.pop(self.random.randrange(len(held))) if held else None


class Ids:
    def __init__(self, random: Random) -> None:
        self.random, self.keys = random, random.choice(KEYS)
        self.next: dict[str | None, int] = {}
        self.form: Callable[[int], Any] = random.choice([lambda n: n, lambda n: f"id-{n}", lambda n: [n, {"n": n}]])

    def ask(self) -> tuple[str, str | None, Any]:
        return "generate", self.random.choice(self.keys), None

    def do(self, f: str, key: str | None, argument: Any) -> Any:
        self.next[key] = self.next.get(key, 0) + 1
        return self.form(self.next[key])


class Banks:
    """Three accounts; an overdraft is refused, by most banks."""

    def __init__(self, random: Random) -> None:
        self.random, self.keys = random, random.choice(KEYS)
        self.accounts: dict[str | None, dict[str, int]] = {}
        self.overdraws = random.random() < 0.2
        self.as_pairs = random.random() < 0.3

    def ask(self) -> tuple[str, str | None, Any]:
        key = self.random.choice(self.keys)
        if self.random.random() < 0.5:
            return "read", key, None
        source, target = self.random.sample([0, 1, 2], 2)
        return "transfer", key, {"from": source, "to": target, "amount": self.random.randint(1, 4)}

    def do(self, f: str, key: str | None, argument: Any) -> Any:
        held = self.accounts.setdefault(key, {"0": 5, "1": 5, "2": 0})
        if f == "read":
            return [[int(name), held[name]] for name in held] if self.as_pairs else dict(held)
        source, target, amount = str(argument["from"]), str(argument["to"]), argument["amount"]
        if self.overdraws or held[source] >= amount:
            held[source] -= amount
            held[target] += amount
        return argument


class Groups:
    """Keys 0 to 3, or 0 to 5, in groups of two or three; each is written once."""

    def __init__(self, random: Random) -> None:
        self.random, self.keys = random, random.choice(KEYS)
        self.size = random.choice([2, 2, 3])
        self.unwritten = {key: list(range(2 * self.size)) for key in self.keys}
        self.written: dict[str | None, dict[int, Any]] = {key: {} for key in self.keys}
        self.named = random.random() < 0.3

    def ask(self) -> tuple[str, str | None, Any]:
        key = self.random.choice(self.keys)
        left = self.unwritten[key]
        if left and self.random.random() < 0.45:
            name = left.pop(self.random.randrange(len(left)))
            return "write" if self.named else "txn", key, [["w", name, 1]]
        first = self.random.choice([0, self.size])
        names = self.random.sample(range(first, first + self.size), self.size)
        return "read" if self.named else "txn", key, [["r", name, None] for name in names]

    def do(self, f: str, key: str | None, argument: Any) -> Any:
        if argument[0][0] == "w":
            self.written[key][argument[0][1]] = argument[0][2]
            return argument
        return [["r", name, self.written[key].get(name)] for _, name, _ in argument]


def counter(random: Random) -> History:
    def answer(event: Event) -> Any:
        return event.value + random.choice([1, -1, 3, -4]) if event.f == "read" else event.value

    return _half_altered(random, record(random, Counters(random), random.randint(0, 40)), answer)


def total_queue(random: Random) -> History:
    def answer(event: Event) -> Any:
        some = [1, True, "1", 2, 3]
        if event.f == "dequeue":
            return random.choice([*some, None, None])
        if event.f == "drain":
            left = [value for value in event.value if random.random() < 0.6]
            return left + random.choices(some, k=random.choice([0, 0, 1]))
        return event.value

    errors = ("timeout: no answer", "empty", "empty: nothing there", "refused: no")
    things = Queues(random)
    events = record(random, things, random.randint(0, 32), errors=errors, crashes=random.choice([2, 2, 8]))
    if random.random() < 0.4:  # A last drain, as most tests have.
        for key in things.keys:
            events.append(Event(len(events), len(events) * 1_000_000, 99, "invoke", "drain", key))
            left = things.do("drain", key, None)
            events.append(Event(len(events), len(events) * 1_000_000, 99, "ok", "drain", key, left))
    return _half_altered(random, events, answer)


def unique_ids(random: Random) -> History:
    events = record(random, Ids(random), random.randint(0, 30))

    def answer(event: Event) -> Any:
        given = [other.value for other in events if other.type == "ok"]
        return random.choice([*given, *given, True, 1, 1.0, "1"])

    return _half_altered(random, events, answer)


def bank(random: Random) -> History:
    def answer(event: Event) -> Any:
        if event.f != "read":
            return event.value
        pairs = [list(pair) for pair in (event.value.items() if isinstance(event.value, dict) else event.value)]
        match random.randrange(6):
            case 0 if len(pairs) > 1:
                pairs.pop()
            case 1 if len(pairs) == 3:
                pairs.append(["9", random.choice([0, 1, None])])
            case 2:
                pairs[random.randrange(len(pairs))][1] = None
            case _:
                pairs[random.randrange(len(pairs))][1] = random.choice([-1, 7, 2])
        return {str(name): balance for name, balance in pairs} if isinstance(event.value, dict) else pairs

    return _half_altered(random, record(random, Banks(random), random.randint(0, 36)), answer)


def long_fork(random: Random) -> History:
    def answer(event: Event) -> Any:
        if event.value[0][0] == "w":
            return event.value
        other = [None, 1] if random.random() < 0.85 else [True, 2]
        return [["r", name, random.choice([value, *other])] for _, name, value in event.value]

    return _half_altered(random, record(random, Groups(random), random.randint(10, 60)), answer)


def any_kind(random: Random) -> History:
    """With polls, nemesis events and many errors."""
    events = record(
        random,
        Queues(random),
        random.randint(0, 20),
        errors=("timeout: no answer", "timeout", "conflict: no", "", " refused : by n1"),
    )
    for _ in range(random.randint(0, 3)):
        process = 50 + len(events)
        kind = random.randrange(3)
        if kind == 0:
            error = random.choice([None, "ssh: no route"])
            events.append(Event(len(events), len(events), "nemesis", "info", "kill", None, None, error=error))
            continue
        f = "replica" if kind == 1 else "size"
        events.append(Event(len(events), len(events), process, "invoke", f, "a", None, node="n1"))
        if random.random() < 0.8:
            outcome: Any = random.choice(["ok", "fail", "info"])
            events.append(Event(len(events), len(events), process, outcome, f, "a", None, node="n1"))
    return History(events)


def _half_altered(random: Random, events: list[Event], answer: Callable[[Event], Any]) -> History:
    if random.random() < 0.5:
        for _ in range(random.randint(1, 2)):
            events = altered(random, events, answer)
    return History(events)
