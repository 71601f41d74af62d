"""Real time: which operation was over before which other one began, and verdicts where that is ambiguous.

1. A history of completions only (`History.real_time` is false) has no order of its operations in time, and none within
   a process. All of them may have happened at once.
2. A checker whose verdict rests on either says `unknown`, and what to record. Those that rest on neither judge.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.verdict import Verdict

P = ParamSpec("P")
NOT_RECORDED = "the history has completions only, so it is unknown what was over before what else began"


def needs_real_time(check: Callable[Concatenate[History, P], Verdict]) -> Callable[Concatenate[History, P], Verdict]:
    """The checker, with rule 2 for one whose verdict rests on the order in time."""

    @functools.wraps(check)
    def checked(history: History, /, *args: P.args, **options: P.kwargs) -> Verdict:
        if not history.real_time:
            return Verdict.unknown(f"{NOT_RECORDED}; record the invocations too", real_time=False)
        return check(history, *args, **options)

    return checked


def recorded_line(history: History, line: int) -> int:
    """The position, from 1, that an event of a history has in its file.

    line: its position in the history. They differ where the invocations were not recorded.
    """
    if history.real_time:
        return line
    operations = history.columns.operations
    number = len(operations.invoked)
    index = int(operations.completed[line - 1]) if line <= number else line - 1
    return index - number + 1
