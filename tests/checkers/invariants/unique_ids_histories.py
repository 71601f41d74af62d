"""Random histories of generators of ids."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from tests.checkers.simulated_clients import KEYS, half_altered, record


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


def unique_ids(random: Random) -> History:
    events = record(random, Ids(random), random.randint(0, 30))

    def answer(event: Event) -> Any:
        given = [other.value for other in events if other.type == "ok"]
        return random.choice([*given, *given, True, 1, 1.0, "1"])

    return half_altered(random, events, answer)
