"""Random histories of values that are written one after the other and read together."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from tests.checkers.simulated_clients import KEYS, half_altered, record


class Values:
    def __init__(self, random: Random) -> None:
        self.random, self.keys = random, random.choice(KEYS)
        self.next = dict.fromkeys(self.keys, 0)
        self.written: dict[str | None, list[int]] = {key: [] for key in self.keys}

    def ask(self) -> tuple[str, str | None, Any]:
        key = self.random.choice(self.keys)
        if self.random.random() < 0.5:
            return "read", key, None
        self.next[key] += 1
        return "write", key, self.next[key]

    def do(self, f: str, key: str | None, argument: Any) -> Any:
        if f == "write":
            self.written[key].append(argument)
            return argument
        return list(self.written[key])


def causal_reverse(random: Random) -> History:
    def answer(event: Event) -> Any:
        if event.f == "write":
            return event.value
        shown = list(event.value)
        if shown and random.random() < 0.8:
            del shown[random.randrange(len(shown))]
            return shown
        return [*shown, random.choice([99, "1", True])]

    return half_altered(random, record(random, Values(random), random.randint(0, 40)), answer)
