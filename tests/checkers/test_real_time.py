"""Histories of completions only: no checker that needs the order in time says valid or invalid of one."""

from __future__ import annotations

import pytest

from splitbrain import checkers
from splitbrain.checkers.real_time import recorded_line

HISTORY = checkers.read([b"{:type :ok, :value [[:w 1 1]]}\n", b"{:type :ok, :value [[:r 1 1]]}\n"])
# Each checker that judges such histories all the same, and why it may.
JUDGES = {
    "transactions": "it looks for cycles of dependencies, and promises no order in time",
    "stats": "it counts",
    "unhandled-errors": "it counts",
    "unique-ids": "an id that was given out twice is so in any order",
    "log-patterns": "it reads logs",
}


@pytest.mark.parametrize("name", checkers.names())
def test_a_checker_that_needs_real_time_says_unknown_where_there_is_none(name: str) -> None:
    options = {"transactions": {"consistency": "serializable"}}.get(name, {})
    verdict = checkers.check(name, HISTORY, **options)
    if name in JUDGES:
        assert "so it is unknown" not in verdict.reason or name == "transactions"
    else:
        assert verdict.outcome == "unknown"
        assert verdict.reason.startswith("the history has completions only")
        assert verdict.evidence["real_time"] is False


def test_all_completions_may_have_happened_at_once() -> None:
    operations = HISTORY.columns.operations
    assert operations.invoked.max() < operations.completed.min()
    assert len({operation.process for operation in HISTORY.operations}) == 2


def test_lines_are_those_of_the_file() -> None:
    assert [recorded_line(HISTORY, line) for line in (1, 2, 3, 4)] == [1, 2, 1, 2]
