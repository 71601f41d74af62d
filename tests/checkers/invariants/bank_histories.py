"""Random histories of banks."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from tests.checkers.simulated_clients import KEYS, half_altered, record


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

    return half_altered(random, record(random, Banks(random), random.randint(0, 36)), answer)
