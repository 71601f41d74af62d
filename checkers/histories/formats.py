"""The formats of histories, distinguished by how a file begins.

1. `{"` begins JSONL, one event a line (`history`), and `[{"` a JSON array (`json_array`). Any other `{`, `[`, `(`, `#`
   or `;` begins EDN (`jepsen`). Anything else must be a Jepsen log (`jepsen_log`) with operations in it.
2. Blank lines and a byte order mark before the beginning are ignored. A file that begins with bytes that no text has is
   refused, so that garbage is not taken for a history that was cut off.
3. An empty file is an empty history.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

from splitbrain.checkers.histories.builder import HistoryBuilder
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.jepsen import history_of, read_operations, split_independent
from splitbrain.checkers.histories.jepsen_log import read_log
from splitbrain.checkers.histories.json_array import JsonOperations

EXPECTED = "JSONL (one event a line), a JSON array, Jepsen's EDN, or a log of Jepsen's"
_json_object = re.compile(rb'\{\s*(?:"|\}?$)')
_json_array = re.compile(rb'\[\s*\{\s*"[^"]*"\s*:')
_brackets = re.compile(rb"\[\s*\{?")
_wide = re.compile(rb"[^\x00]\x00|\x00[\t\n\r -~]")
_not_text = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")


def read(lines: Iterable[bytes] | Iterable[str], *, independent: bool = False) -> History:
    """Read a history in any format. O(n log n) for n events.

    lines: in order, each with its end. An open file will do, best opened for bytes.
    independent: values are [key value], as jepsen.independent writes them; they become key and value. Raises
    HistoryError naming the line that can't be read, or the event that may not follow those before it; TypeError for
    what are no lines, such as a path.
    """
    source = _as_bytes(lines)
    for blank, line in enumerate(source):
        begun = line.removeprefix(codecs.BOM_UTF8) if not blank else line
        if begun.strip():
            beginning, taken = _beginning(begun, source)
            # Blank lines are not kept: a file may be nothing else, and large.
            return _read(beginning, blank + 1, chain(repeat(b"\n", blank), taken, source), independent)
    return History([])


def _beginning(first: bytes, source: Iterator[bytes]) -> tuple[bytes, list[bytes]]:
    """What a text begins with, and the lines that were taken to see it: one, or more where brackets stand alone."""
    beginning, taken = first.strip(), [first]
    while _brackets.fullmatch(beginning) and (more := next(source, None)) is not None:
        taken.append(more)
        beginning += more.strip()
    return beginning, taken


def _as_bytes(lines: Iterable[bytes] | Iterable[str]) -> Iterator[bytes]:
    if isinstance(lines, str | bytes) or not isinstance(lines, Iterable):
        raise TypeError("read takes lines, such as an open file; not a path")
    source: Iterator[Any] = iter(lines)
    for first in source:
        if not isinstance(first, str | bytes):
            raise TypeError(f"read takes lines of bytes or text, not of type {type(first).__name__}")
        rest = chain([first], source)
        return rest if isinstance(first, bytes) else (line.encode("utf-8", "surrogatepass") for line in rest)
    return source


def _read(beginning: bytes, number: int, lines: Iterator[bytes], independent: bool) -> History:
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _wide.match(beginning):
        raise HistoryError(number, f"this is UTF-16; a history is UTF-8: {EXPECTED}")
    if _not_text.search(beginning) or not _is_utf8(beginning):
        raise HistoryError(number, f"this is no text; a history is {EXPECTED}")
    if _json_object.match(beginning):
        history = History.parse(lines)
        return _separated(history) if independent else history
    if _json_array.match(beginning):
        return history_of(JsonOperations(lines), independent=independent)
    if beginning[:1] in b"{[(#;":
        return read_operations(lines, independent=independent)
    history = read_log(lines, independent=independent)
    if not history.events and not history.cut_at:
        raise HistoryError(number, f"no operation in it; a history is {EXPECTED}")
    return history


def _separated(history: History) -> History:
    builder = HistoryBuilder(numbered=True)
    for event in history.events:
        builder.add(event.index + 1, split_independent(event.index + 1, event))
    return History.of(builder, cut_at=history.cut_at)


def _is_utf8(beginning: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)  # A character cut in half at its end is none yet.
    except UnicodeDecodeError:
        return False
    return True
