"""Histories of transactions by hand: `run(["append", "x", 1])` is one by itself; `Together` are those that overlap."""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History

MicroOperation = list[Any]


def _asked(did: list[MicroOperation]) -> list[MicroOperation]:
    return [[name, key, None if name == "r" else value] for name, key, value in did]


class Script:
    """Events at a millisecond each."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @property
    def history(self) -> History:
        return History(self.events)

    def event(self, process: int, type_: Any, value: Any) -> Script:
        at = len(self.events)
        self.events.append(Event(at, at * 1_000_000, process, type_, "txn", None, value))
        return self

    def run(self, *did: MicroOperation, process: int = 0, outcome: str = "ok") -> Script:
        self.event(process, "invoke", _asked(list(did)))
        return self.event(process, outcome, list(did) if outcome == "ok" else _asked(list(did)))

    def together(self, *transactions: list[MicroOperation]) -> Script:
        """Each by a process of its own, all at once."""
        for process, did in enumerate(transactions):
            self.event(process, "invoke", _asked(did))
        for process, did in enumerate(transactions):
            self.event(process, "ok", did)
        return self
