"""The recorder: a run's history as a file, readable at any moment.

1. One event a line, in the order in which they happened. A line is with the operating system before `write` returns, so
   a killed harness loses at most the last line.
"""

from __future__ import annotations

from pathlib import Path

from splitbrain.checkers.histories.event import Event, encode


class HistoryWriter:
    """An append-only JSONL file. Raises FileExistsError rather than write over a history."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")

    def write(self, event: Event) -> None:
        """Append the event."""
        self._file.write(encode(event))
        self._file.flush()

    def close(self) -> None:
        """Idempotent."""
        self._file.close()
