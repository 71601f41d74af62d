"""Random histories of queues."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from tests.checkers.simulated_clients import KEYS, half_altered, record


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
    return half_altered(random, events, answer)
