"""Random histories of groups of keys."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from tests.checkers.simulated_clients import KEYS, half_altered, record


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


def long_fork(random: Random) -> History:
    def answer(event: Event) -> Any:
        if event.value[0][0] == "w":
            return event.value
        other = [None, 1] if random.random() < 0.85 else [True, 2]
        return [["r", name, random.choice([value, *other])] for _, name, value in event.value]

    return half_altered(random, record(random, Groups(random), random.randint(10, 60)), answer)
