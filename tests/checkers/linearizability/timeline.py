"""Calls as drawings: an operation a line, from its invocation to its return, time from left to right.

    w: write 1      |---|
    w: read -> 1      |-----|
    w: cas! [1, 2]             |--|     failed: it met another value
    w: write 2                    ...   crashed: never returned

1. A bar is an event, and no two events stand in one column. An operation without a second bar crashed.
2. Arguments and results are JSON. The key before the colon may be absent. `!` marks a failure that tells something.
3. Processes are numbered from the top line, from 0.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability.frozen_values import freeze
from splitbrain.checkers.linearizability.model import Call

_LINE = re.compile(r"\s*(?:(\w+): )?(\w+)(!?) *([^|]*?)(?:-> *([^|]*?))?\s*(\|)(?:[-.]*(\||$)).*")


@dataclass(frozen=True)
class _Drawn:
    key: str | None
    f: str
    argument: Any
    result: Any
    failed: bool
    began: int
    ended: int | None


def _read(drawing: str) -> list[_Drawn]:
    lines = []
    for line in drawing.splitlines():
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        assert found is not None, f"no drawing of an operation: {line}"
        key, f, failed, argument, result, _, end = found.groups()
        asked, got = (json.loads(text) if text else None for text in (argument.strip(), (result or "").strip()))
        lines.append(_Drawn(key, f, asked, got, bool(failed), found.start(6), found.start(7) if end else None))
    columns = sorted(column for each in lines for column in (each.began, each.ended) if column is not None)
    assert len(set(columns)) == len(columns), f"two events stand in one column of {drawing}"
    place = {column: index for index, column in enumerate(columns)}
    return [
        replace(each, began=place[each.began], ended=None if each.ended is None else place[each.ended])
        for each in lines
    ]


def drawn(drawing: str) -> list[Call]:
    """The calls of a drawing, in the order of their invocations; events are numbered from the left."""
    calls = [
        Call(
            each.f,
            freeze(each.argument),
            freeze(each.result) if each.ended is not None else None,
            each.ended is not None,
            each.failed,
            each.began,
            FOREVER if each.ended is None else each.ended,
            each.key,
        )
        for each in _read(drawing)
    ]
    return sorted(calls, key=lambda call: call.invoked)


def recorded(drawing: str) -> History:
    """The drawing as a history. A write's completion repeats its argument; a millisecond lies between two events."""
    events: dict[int, Event] = {}
    for process, each in enumerate(_read(drawing)):
        events[each.began] = Event(
            each.began, each.began * 1_000_000, process, "invoke", each.f, each.key, each.argument
        )
        if each.ended is not None:
            events[each.ended] = Event(
                each.ended,
                each.ended * 1_000_000,
                process,
                "fail" if each.failed else "ok",
                each.f,
                each.key,
                each.argument if each.result is None else each.result,
                error="mismatch: another value" if each.failed else None,
            )
    return History([events[index] for index in sorted(events)])
