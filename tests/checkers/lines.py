"""Histories by hand, an operation a line, of any f and value.

    Lines().ok(0, "add", 2).crash(1, "add", 3).ok(0, "read", None, 5).history

An operation is over before the next begins; `invoke` and `complete` are for those that overlap. An event is a
millisecond after the one before.
"""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.event import Event, encode
from splitbrain.checkers.histories.history import History

_MS = 1_000_000


class Lines:
    def __init__(self, key: str | None = None) -> None:
        self.key = key
        self.events: list[Event] = []
        self.asked: dict[int, tuple[str, Any, str | None]] = {}

    @property
    def history(self) -> History:
        return History.parse(encode(event) for event in self.events)

    def _event(self, process: Any, type_: Any, f: str, value: Any, key: str | None, error: str | None = None) -> Lines:
        at = len(self.events)
        self.events.append(Event(at, at * _MS, process, type_, f, key, value, error=error))
        return self

    def of(self, key: str) -> Lines:
        """What follows is of that key."""
        self.key = key
        return self

    def invoke(self, process: int, f: str, value: Any = None) -> Lines:
        self.asked[process] = f, value, self.key
        return self._event(process, "invoke", f, value, self.key)

    def complete(self, process: int, type_: str = "ok", value: Any = None, error: str | None = None) -> Lines:
        f, asked, key = self.asked.pop(process)
        return self._event(process, type_, f, asked if value is None and f not in READS else value, key, error)

    def ok(self, process: int, f: str, asked: Any = None, got: Any = None) -> Lines:
        return self.invoke(process, f, asked).complete(process, "ok", got)

    def fail(self, process: int, f: str, asked: Any = None, error: str | None = "refused: no") -> Lines:
        return self.invoke(process, f, asked).complete(process, "fail", None, error)

    def crash(self, process: int, f: str, asked: Any = None, error: str | None = "timeout: no answer") -> Lines:
        return self.invoke(process, f, asked).complete(process, "info", None, error)

    def nemesis(self, f: str, value: Any = None, error: str | None = None) -> Lines:
        return self._event("nemesis", "info", f, value, None, error)


READS = frozenset({"read", "dequeue", "drain", "generate", "txn", "replica"})
"""Their completions bring what they found, and not what they were asked."""
