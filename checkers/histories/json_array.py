"""Operations in a JSON array, as Elle's command line and other tools write them.

1. `[{"type": "invoke", "process": 0, "f": "txn", "value": [["r", 1, null]]}, ...]`, over as many lines as you like. The
   fields are those of `jepsen`, and so are the rules.
2. A text that ends inside the array was cut off. What was complete counts.
3. NaN and infinities are no JSON. A number that no float holds exactly is read as Python reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.jepsen import Record, record_of
from splitbrain.checkers.histories.nesting import TOO_DEEP, too_deep
from splitbrain.checkers.histories.repeated_keys import told

_blank = re.compile(r"[ \t\r\n]*")


class JsonOperations:
    """The operations of an array: (line, event), as they are read. Raises HistoryError.

    cut_at, nameless: as in `EdnOperations`. The whole text is held in memory.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.cut_at = 0
        self.nameless: list[int] = []
        self._lines = lines

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        data = b"".join(self._lines)
        try:
            text = data.decode()
        except UnicodeDecodeError as problem:
            line = data.count(b"\n", 0, problem.start) + 1
            if problem.reason != "unexpected end of data":
                raise HistoryError(line, f"not UTF-8 from byte {problem.start + 1} of the file on") from None
            text = data[: problem.start].decode()
        decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant).raw_decode
        at = _after_blank(text, _after_blank(text, 0) + 1)
        line, counted = 1, 0
        if text[at : at + 1] == "]":
            self._end(text, at + 1)
            return
        while True:
            line, counted = line + text.count("\n", counted, at), at
            if at == len(text):
                self.cut_at = line
                return
            try:
                value, end = decode(text, at)
            except (ValueError, RecursionError) as problem:
                if isinstance(problem, json.JSONDecodeError) and _ended(text, problem):
                    self.cut_at = line
                    return
                raise HistoryError(line, _explained(problem)) from None
            if too_deep(text[at:end].encode("utf-8", "surrogatepass")):
                raise HistoryError(line, TOO_DEEP)
            if "\\u" in text[at:end] and _has_half_a_pair(value):
                raise HistoryError(line, "a string has half of a surrogate pair")
            yield line, record_of(line, value, self.nameless)
            at = _after_blank(text, end)
            match text[at : at + 1]:
                case ",":
                    at = _after_blank(text, at + 1)
                case "]":
                    self._end(text, at + 1)
                    return
                case "":
                    self.cut_at = line + text.count("\n", counted, at)
                    return
                case other:
                    where = line + text.count("\n", counted, at)
                    raise HistoryError(where, f"{other!r} where a comma or the end of the array must be")

    def _end(self, text: str, at: int) -> None:
        rest = _after_blank(text, at)
        if rest < len(text):
            raise HistoryError(text.count("\n", 0, rest) + 1, "more text after the end of the array")


def _after_blank(text: str, at: int) -> int:
    found = _blank.match(text, at)
    return found.end() if found else at


def _ended(text: str, problem: json.JSONDecodeError) -> bool:
    """Whether more text might have made it JSON."""
    if problem.msg.startswith("Unterminated string"):
        return "\n" not in text[problem.pos :]  # A string of JSON stays on its line.
    return problem.pos >= len(text.rstrip()) or text[problem.pos :] in _BEGINNINGS


_BEGINNINGS = {word[:size] for word in ("true", "false", "null") for size in range(1, len(word))} | {"-"}


def _explained(problem: Exception) -> str:
    if isinstance(problem, RecursionError):
        return TOO_DEEP
    if isinstance(problem, _Repeated):
        return str(problem)
    if isinstance(problem, json.JSONDecodeError):
        return f"not JSON: {problem.msg}, at column {problem.colno} of line {problem.lineno}"
    return f"not JSON: {problem}"


class _Repeated(ValueError):
    """A key is given twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(told(next(name for name in names if names.count(name) > 1)))
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _has_half_a_pair(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
