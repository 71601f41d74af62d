"""The recorder: a run's history as a file, readable at any moment.

1. One event a line, in the order in which they happened. A line is with the operating system before `write` returns, so
   a killed harness loses at most the last line.
2. A line that could not be written whole (a full disk) is taken back, and nothing more is written.
"""

from __future__ import annotations

from pathlib import Path

from splitbrain.checkers.histories.event import Event, encode
from splitbrain.harness.running.results import unwritable


class HistoryWriter:
    """An append-only JSONL file. Raises ResultsError if it can't be made, and FileExistsError rather than write
    over a history.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failure: OSError | None = None
        self._length_bytes = 0
        try:
            self._file = path.open("xb", buffering=0)
        except FileExistsError:
            raise
        except OSError as problem:
            raise unwritable(path, problem) from None

    def write(self, event: Event) -> None:
        """Append the event. Raises ResultsError if it can't be written, and from then on."""
        if self._failure is None:
            line = encode(event)
            try:
                self._append(memoryview(line))
                self._length_bytes += len(line)
            except OSError as problem:
                self._failure = problem
                self._file.truncate(self._length_bytes)
        if self._failure is not None:
            raise unwritable(self._path, self._failure) from None

    def _append(self, line: memoryview) -> None:
        while line:
            line = line[self._file.write(line) :]  # A disk that gets full may take a part of it.

    def close(self) -> None:
        """Idempotent."""
        self._file.close()
