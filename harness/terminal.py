"""The terminal: one live status line while a run goes on, plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

REFRESH_S = 0.1


class Progress:
    """Says what goes on, on standard error. Call it with a line of text; `status` replaces the live line.

    quiet: say nothing (`--json`).
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._shown = ""
        self._refreshed = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._erase()

    def __call__(self, text: str) -> None:
        if not self._quiet:
            self._erase()
            print(text, file=sys.stderr, flush=True)

    def status(self, text: str) -> None:
        """Show on the live line; nothing where there is no terminal."""
        # Real time, not the run's: a simulation passes a minute in a blink, and must not flood the terminal.
        now = time.monotonic()
        if self._live and now - self._refreshed >= REFRESH_S:
            self._refreshed = now
            self._erase()
            print(text, end="", file=sys.stderr, flush=True)
            self._shown = text

    def _erase(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = ""
