"""Random histories of counters."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from tests.checkers.simulated_clients import KEYS, half_altered, record


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


def counter(random: Random) -> History:
    def answer(event: Event) -> Any:
        return event.value + random.choice([1, -1, 3, -4]) if event.f == "read" else event.value

    return half_altered(random, record(random, Counters(random), random.randint(0, 40)), answer)
