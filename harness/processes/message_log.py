"""The message log: every message that was sent, when, and when it arrived, as lines of JSON.

1. `{"at_ns", "event": "send", "id", "src", "dest", "body"}` is a message as it was sent, with `"cut": true` if its link
   was cut. `{"at_ns", "event": "receive", "id"}` is its arrival; a message that was duplicated has two, one that was
   lost has none. `{"at_ns", "event": "unread", "id"}` is an arrival where no process was, or one that was not told yet
   who it is. `{"at_ns", "event": "damaged", "src"}` is one whose checksum was wrong, so
   its number is not known either.
2. `{"at_ns", "event": "client", "name", "user"}` says for which process of the history a client was made.
3. Times are nanoseconds since the environment was opened.
4. A line is in the file once it is noted: the report is drawn from it while the environment is still open. Where it
   can't be written, the log ends, and the run goes on.
5. Past `LIMIT_BYTES` one last line says `{"event": "full"}`, and nothing more is kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

LIMIT_BYTES = 1 << 28
"""Enough for about two million messages. Who draws them looks at the first."""
NAME = "messages.jsonl"


class MessageLog:
    """A log under way. path: of the file; None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("wb", buffering=0) if path is not None else None
        self._left = LIMIT_BYTES
        self._encode = msgspec.json.Encoder().encode

    def note(self, at_s: float, event: str, **more: Any) -> None:
        """Write one line. at_s: seconds since the environment was opened."""
        if self._file is None or self._left <= 0:
            return
        line = self._encode({"at_ns": round(at_s * 1e9), "event": event, **more}) + b"\n"
        self._left -= len(line)
        try:
            self._file.write(line if self._left > 0 else b'{"event":"full"}\n')
        except OSError:
            self._left = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
