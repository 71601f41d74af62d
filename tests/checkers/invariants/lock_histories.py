"""Random histories of locks with leases: half of them from a service that makes mistakes."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.invariants.process_clients import Answer, Asked, Recording
from tests.checkers.simulated_clients import KEYS


class Locks:
    """careless: how often it gives a lock away that is held, or a token that it gave before."""

    def __init__(self, random: Random) -> None:
        self.random, self.keys = random, random.choice(KEYS)
        self.careless = random.choice([0.0, 0.3])
        self.fenced, self.leased = random.random() < 0.7, random.random() < 0.8
        self.held: dict[str | None, tuple[int, int, float]] = {}
        self.tokens: dict[str | None, int] = {}
        self.own: dict[tuple[int, str | None], int] = {}

    def ask(self, process: int) -> Asked:
        key = self.random.choice(self.keys)
        if self.random.random() < 0.45:
            named = self.fenced and (process, key) in self.own and self.random.random() < 0.5
            return Asked("release", key, {"token": self.own[process, key]} if named else None)
        if not self.leased:
            return Asked("acquire", key, None)
        return Asked("acquire", key, {"lease_ms": self.random.choice([10, 30, 100])})

    def do(self, process: int, node: str, asked: Asked, now_ms: int) -> Answer:
        holder, token, end = self.held.get(asked.key, (-1, 0, 0))
        if asked.f == "release":
            if holder != process or end <= now_ms:
                return Answer("fail", None)
            del self.held[asked.key]
            return Answer("ok", {"token": token} if self.fenced else None)
        if end > now_ms and self.random.random() >= self.careless:
            return Answer("fail", None)
        if self.random.random() >= self.careless:
            self.tokens[asked.key] = self.tokens.get(asked.key, 0) + 1
        token = self.own[process, asked.key] = self.tokens.get(asked.key, 0)
        lease_ms = float("inf") if asked.value is None else asked.value["lease_ms"]
        self.held[asked.key] = (process, token, now_ms + lease_ms)
        answer: Any = dict(asked.value or {}) | ({"token": token} if self.fenced else {})
        return Answer("ok", answer)


def lock(random: Random) -> History:
    return Recording(random, Locks(random)).run(random.randint(0, 80)).history
