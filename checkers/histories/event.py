"""One event of a history: what a client or the nemesis did, as one line of JSONL.

1. An operation begins with an event of type `invoke`. It ends with `ok` (it happened), `fail` (it certainly did not
   happen) or `info` (its outcome is indeterminate).
2. Events of the nemesis have type `info`.
3. A history that breaks a rule is a `HistoryError`, which names the line.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

EventType = Literal["invoke", "ok", "fail", "info"]
NEMESIS: Literal["nemesis"] = "nemesis"


# gc=False: JSON has no cycles, and tracking a million events would slow every collection.
class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One line of a history.

    index: position, from 0. time: nanoseconds since the start, on one monotonic clock.
    process: a client process's number, or "nemesis". f: the operation. key, node, error: optional; error opens with its
    code (`timeout: no answer within 1 s`). due: when an invocation that had to wait for a free client should have
    started, on the clock of `time`; None on all others.
    """

    index: int
    time: int
    process: int | Literal["nemesis"]
    type: EventType
    f: str
    key: str | int | None = None
    value: Any = None
    node: str | None = None
    error: str | None = None
    due: int | None = None

    @property
    def intended_time(self) -> int:
        """When the operation should have started: `due` if it waited for a free client, else `time`."""
        return self.time if self.due is None else self.due


def encode(event: Event) -> bytes:
    """The event as one line of JSONL, newline included."""
    return msgspec.json.encode(event) + b"\n"


class HistoryError(ValueError):
    """A history that can't be read: `line` (from 1) and what is wrong with it."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem
