"""The operations in a Jepsen log, for runs of which only the log was kept.

1. An operation's line ends in process, type, f and value, and perhaps an error: `INFO  jepsen.util - 4 :ok :read 1`,
   separated by tabs or spaces. What precedes them has changed over the years, but always names jepsen. Other lines are
   ignored.
2. An `info` or `fail` with a keyword for a value has an error there and no value (`:info :read :timed-out`), unless the
   keyword is the argument of the operation.
3. A `cas` that fails without an error met another value than it expected. That is an observation, and its error says
   `mismatch`.
4. Logs have no clock that a history could use: an operation's time is its position, in nanoseconds.
5. A last line without a newline and without a value was cut off.

The format is that of the etcd logs in Porcupine's test_data, and of jepsen.util's log-op.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from splitbrain.checkers.histories.builder import HistoryBuilder
from splitbrain.checkers.histories.columns import TYPES
from splitbrain.checkers.histories.event import NEMESIS, Event, HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.jepsen import clipped, error_text, split_independent
from splitbrain.checkers.histories.nesting import DEEPEST
from splitbrain.checkers.histories.notation.edn import EdnError, read_all, write

_operation = re.compile(
    r"(?:.*?jepsen.*?[ \t:-])?[ \t]*([0-9]{1,18}|:nemesis)[ \t]+:(\S+)[ \t]+:(\S+)(?:[ \t]+(\S.*?))?\s*", re.DOTALL
)


def read_log(lines: Iterable[bytes], *, independent: bool = False) -> History:
    """A history from a log. O(n log n).

    lines: in order, each with its end. independent: values are [key value] (see `jepsen`).
    Raises HistoryError naming the line that can't be read, or an operation that may not follow those before it.
    """
    builder = HistoryBuilder(numbered=False)
    asked: dict[int | str, Any] = {}
    cut_at = 0
    position = 0
    for number, line in enumerate(lines, 1):
        found = _operation.fullmatch(line.decode("utf-8", "replace"))
        if found is None:
            continue
        if found[4] is None and not line.endswith(b"\n"):
            cut_at = number
            break
        event = _event(number, position, found, asked)
        if event.type == "invoke":
            asked[event.process] = event.value
        builder.add(number, split_independent(number, event) if independent else event)
        position += 1
    return History.of(builder, cut_at=cut_at)


def _event(line: int, position: int, found: re.Match[str], asked: dict[int | str, Any]) -> Event:
    name, type_, f, text = found[1], found[2], found[3], found[4] or "nil"
    if type_ not in TYPES:
        raise HistoryError(line, f"type is :{type_}; it must be one of {', '.join(':' + each for each in TYPES)}")
    if name == ":nemesis":
        return Event(position, position, NEMESIS, type_, f, value=_nemesis_value(text))
    process = int(name)
    try:
        values = read_all(text, deepest=DEEPEST)
    except EdnError as problem:
        raise HistoryError(line, f"the value is no EDN ({problem.problem}): {clipped(text)}") from None
    if len(values) > 2:
        raise HistoryError(line, f"{len(values)} values where a value and an error may be: {clipped(text)}")
    value, error = values[0] if values else None, error_text(values[1]) if len(values) == 2 else None
    uncertain = type_ in ("fail", "info")
    if uncertain and len(values) == 1 and text[0] == ":" and value != asked.get(process):
        value, error = None, value
    if type_ == "fail" and f == "cas" and error is None:
        expected = value[0] if isinstance(value, list) and value else None
        error = f"mismatch: the value was not {write(expected)}"
    return Event(position, position, process, type_, f, value=value, error=error)


def _nemesis_value(text: str) -> Any:
    """What the nemesis logged, which is often not EDN."""
    try:
        values = read_all(text, deepest=DEEPEST)
    except EdnError:
        return text
    return values[0] if len(values) == 1 else text
