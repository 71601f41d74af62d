"""The terminal: one live status line during a run, a plain line now and then where there is no terminal.

1. Status that can't be printed during a run is dropped: it must never stop the run.
2. An answer that can't be printed (a full disk, a closed output) is an error, so that silence is never taken for an
   answer. A reader that left (`| head`) is no error.
3. Text from nodes, clients and files can't move the cursor, colour a verdict, or hide its end.
4. What the output's encoding lacks is escaped: an answer is never lost for a tick.
5. Verdicts are coloured on a terminal only, or where FORCE_COLOR asks for it; NO_COLOR outranks both
   (https://no-color.org). A colour repeats what a word or a mark says already.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
import unicodedata
from types import TracebackType
from typing import TextIO

REFRESH_S = 0.1
TOLD_FROM = 0.02
"""The share of the work that must be done before the rest can be told."""
LOGGED_S = 10.0
"""Between two lines of status where there is no terminal, such as in a CI log."""
# Controls but for tab and newline, marks that reorder what is read, line ends of Unicode's, and what no encoding has.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_VERDICT = re.compile(r"(VALID|INVALID|UNKNOWN|BROKEN)(?=:)")
_MARK = re.compile(r"(?m)^  ([✓✗?!]|valid|invalid|unknown|broken)(?= )")
_GREEN, _RED, _YELLOW = "\x1b[32m", "\x1b[31m", "\x1b[33m"
_COLOURS = {"valid": _GREEN, "✓": _GREEN, "invalid": _RED, "✗": _RED}
"""By verdict or mark; all others are yellow."""

_kept: TextIO | None = None
"""See `keep_output`."""


class OutputLost(Exception):
    """The answer could not be printed. The message says why."""


class Progress:
    """Shows progress on standard error. Call it with a line of text; `status` replaces the live line.

    quiet: show nothing (`--json`).
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._shown = ""
        self._began = self._refreshed = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._erase()

    def __call__(self, text: str) -> None:
        if not self._quiet:
            self._erase()
            warn(text)

    def status(self, text: str, done: float = 0.0) -> None:
        """Show on the live line; where there is no terminal, as a line of its own every `LOGGED_S` seconds.

        done: the share of the work that is done, from 0 to 1; from `TOLD_FROM` on, the line tells how long the rest
        will take at this rate.
        """
        # Real time, not the run's: a simulation passes a minute in a blink, and must not flood the terminal.
        now = time.monotonic()
        if self._quiet or now - self._refreshed < (REFRESH_S if self._live else LOGGED_S):
            return
        self._refreshed = now
        if TOLD_FROM <= done < 1:
            text += f"  {left(now - self._began, done)} left"
        if self._live:
            self._erase()
            # A line that wraps can't be erased as one, and would leave its first half at each refresh.
            text = fitting(text, _columns() - 1)
            warn(text, end="")
            self._shown = text
        else:
            warn(text)

    def _erase(self) -> None:
        if self._shown:
            _put("\r\x1b[K")
            self._shown = ""


def _columns() -> int:
    """The breadth of the terminal on standard error, 80 if it doesn't say."""
    with contextlib.suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    return 80


def fitting(text: str, columns: int) -> str:
    """The text as a terminal line of at most so many columns. Wide letters take two.

    >>> fitting("12.0 s  faults: kill n1", 12), fitting("short", 12)
    ('12.0 s  faul', 'short')
    """
    shown = printable(text)
    taken = 0
    for at, letter in enumerate(shown):
        taken += 0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if taken > columns:
            return shown[:at]
    return shown


def left(took_s: float, done: float) -> str:
    """How long the rest will take, where this share took so long.

    >>> left(10, 0.25), left(90, 0.5), left(3600, 0.1)
    ('30 s', '1 min 30 s', '9 h 0 min')
    """
    rest_s = round(took_s * (1 - done) / done)
    if rest_s < 60:
        return f"{rest_s} s"
    minutes, seconds = divmod(rest_s, 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def printable(text: str) -> str:
    r"""The text with control characters escaped as in JSON: a terminal does not obey it, and JSON stays the same JSON.

    >>> print(printable("lost\x1b[2K\rVALID"))
    lost\u001b[2K\u000dVALID
    """
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def coloured(output: TextIO) -> bool:
    """Whether verdicts are coloured there (rule 5). FORCE_COLOR=0 asks for nothing."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return os.environ.get("TERM") != "dumb" and output.isatty()


def painted(text: str) -> str:
    r"""The text with the verdict that it begins with in its colour, and the marks of its lines.

    >>> painted("VALID: none lost\n  ✓ sets: none lost")
    '\x1b[1m\x1b[32mVALID\x1b[0m: none lost\n  \x1b[32m✓\x1b[0m sets: none lost'
    """

    def colour(found: re.Match[str]) -> str:
        return f"{_COLOURS.get(found[1].lower(), _YELLOW)}{found[1]}\x1b[0m"

    head = _VERDICT.match(text)
    begin = f"\x1b[1m{colour(head)}" if head else ""
    return begin + _MARK.sub(lambda found: f"  {colour(found)}", text[head.end() if head else 0 :])


def _encodable(text: str, encoding: str | None) -> str:
    r"""The text with what the encoding lacks escaped as in JSON.

    >>> print(_encodable("✓ sets 𝄞", "ascii"))
    \u2713 sets \ud834\udd1e
    """
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError as problem:
        lacking = text[problem.start : problem.end]
        escaped = json.dumps(lacking)[1:-1]
        return text[: problem.start] + escaped + _encodable(text[problem.end :], encoding)
    except LookupError:
        pass
    return text


def warn(text: str, end: str = "\n") -> None:
    """Print on standard error, if it takes it."""
    _put(printable(text) + end)


def _put(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(_encodable(text, sys.stderr.encoding), end="", file=sys.stderr, flush=True)


def keep_output() -> None:
    """From now on `say` prints to what is standard output now, wherever a user's code redirects it."""
    global _kept
    if sys.stdout is not None:
        with contextlib.suppress(OSError, ValueError):
            kept = os.dup(sys.stdout.fileno())
            _kept = open(kept, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)  # noqa: SIM115, PTH123


def say(text: str, *, verdict: bool = False) -> None:
    """Print on standard output. verdict: it begins with one, for people, and may be coloured.

    Raises OutputLost if it is not taken, unless its reader left.
    """
    output = _kept or sys.stdout
    if output is None:
        raise OutputLost("can't write to standard output: it is closed")
    shown = printable(text)
    try:
        if verdict and coloured(output):
            shown = painted(shown)
        print(_encodable(shown, output.encoding), file=output, flush=True)
    except (OSError, ValueError) as problem:
        # Else the interpreter tries again on its way out, and makes its own exit code of it.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
        if not isinstance(problem, BrokenPipeError):
            reason = getattr(problem, "strerror", None) or problem
            raise OutputLost(f"can't write to standard output: {reason}") from None
