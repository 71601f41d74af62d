"""Arguments that completions tell: what an `ok` completion says counts.

1. Some operations repeat their argument in the completion: a write, a cas, an add, a remove, an enqueue, a transfer.
   Each checker names those of its object. What other completions hold is an answer, and stays one.
2. A null in the invocation's value, at any depth of lists and objects, was not known then. The `ok` completion fills it
   in. A null in the completion says nothing: the invocation's value counts.
3. What both say must be the same. Any other completion is refused by its line. Which of the two happened is not known,
   and a verdict would rest on a guess. Such a completion may also hold an answer, such as "OK".
4. Only `ok` completions count. Where some completions of an operation fill in what was null, one that is indeterminate
   with a null in its value may have done anything. It is refused by its line.

Jepsen does the same (jepsen.history/complete, knossos.history/complete), but lets the completion win where the two
differ. Its transactions are judged by `micro_operations`, with the same rule for what they write.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from splitbrain.checkers.histories.columns import INFO, OK
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import literal

_PLAIN = (int, str)


class _Differ(Exception):
    """An invocation and its completion say different things."""


def filled_in(history: History, fs: Collection[str]) -> History:
    """The history with invocations that say what their completions tell. O(n); the same object if none tells more.

    fs: the operations that repeat their argument. Raises HistoryError by rules 3 and 4.
    """
    columns = history.columns
    operations, values = columns.operations, columns.value
    f = columns.f[operations.invoked]
    repeating = np.isin(f, [code for code, name in enumerate(columns.fs) if name in fs])
    told = np.flatnonzero(repeating & (operations.outcome == OK))
    filled: dict[int, Any] = {}
    for at, end in zip(operations.invoked[told].tolist(), operations.completed[told].tolist(), strict=True):
        asked, said = values[at], values[end]
        if said is None or said is asked or (type(asked) is type(said) in _PLAIN and asked == said):
            continue
        try:
            known = _both(asked, said)
        except _Differ:
            who = f"{columns.fs[columns.f[at]]} by process {columns.process[at]}"
            problem = f"{who} asked for {literal(asked)}, and its completion says {literal(said)}; it may fill in what "
            problem += "was null, and must repeat the rest or be null"
            raise HistoryError(end + 1, problem) from None
        if known is not asked:
            filled[at] = known
    if not filled:
        return history
    filling = np.unique(columns.f[list(filled)])
    unsure = np.flatnonzero(np.isin(f, filling) & (operations.outcome == INFO))
    for at in operations.invoked[unsure].tolist():
        if _has_null(values[at]):
            who = f"{columns.fs[columns.f[at]]} by process {columns.process[at]}"
            problem = f"{who} may have happened, and nothing says what was null in {literal(values[at])}; "
            raise HistoryError(at + 1, problem + "other completions fill it in")
    every = list(values)
    for at, known in filled.items():
        every[at] = known
    return history.with_columns(replace(columns, value=every))


def _both(asked: Any, said: Any) -> Any:
    """What the two say together; `asked` itself if it says it all. Raises _Differ."""
    if said is None:
        return asked
    if asked is None:
        return said
    if type(asked) is not type(said):
        raise _Differ
    if isinstance(asked, list):
        if len(asked) != len(said):
            raise _Differ
        parts = [_both(mine, its) for mine, its in zip(asked, said, strict=True)]
        return asked if all(part is mine for part, mine in zip(parts, asked, strict=True)) else parts
    if isinstance(asked, dict):
        if asked.keys() != said.keys():
            raise _Differ
        fields = {name: _both(mine, said[name]) for name, mine in asked.items()}
        return asked if all(fields[name] is mine for name, mine in asked.items()) else fields
    if asked != said:
        raise _Differ
    return asked


def _has_null(value: Any) -> bool:
    match value:
        case list():
            return any(map(_has_null, value))
        case dict():
            return any(map(_has_null, value.values()))
        case _:
            return value is None
