"""Histories of a key-value store that really is linearizable, for benchmarks: put, append and get on several keys."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers import History
from splitbrain.checkers.histories.builder import HistoryBuilder
from splitbrain.checkers.histories.event import Event


def kv_history(clients: int, operations: int, keys: int, *, seed: int, lost: bool = False) -> History:
    """A history of that many operations. lost: one append near the end is acknowledged and forgotten."""
    random = Random(seed)
    builder = HistoryBuilder(numbered=False)
    held = dict.fromkeys(map(str, range(keys)), "")
    open_: dict[int, tuple[str, str, Any, bool]] = {}
    invoked = lines = 0
    to_lose = lost
    while invoked < operations or open_:
        client = random.randrange(clients)
        if client not in open_:
            if invoked == operations:
                continue
            f = random.choice(["get", "append", "put"] if random.random() < 0.2 else ["get", "append"])
            key = random.choice(list(held))
            value: Any = None if f == "get" else f"x {client} {invoked} y"
            open_[client] = (f, key, value, False)
            invoked += 1
            type_ = "invoke"
        else:
            f, key, value, done = open_[client]
            if not done:
                if f == "get":
                    value = held[key]
                elif f == "append" and to_lose and invoked > operations * 0.8:
                    to_lose = False
                else:
                    held[key] = value if f == "put" else held[key] + value
                open_[client] = (f, key, value, True)
                continue
            del open_[client]
            type_ = "ok"
        lines += 1
        builder.add(lines, Event(lines - 1, lines * 1000, client, type_, f, key, value))  # type: ignore[arg-type]
    return History.of(builder)
