from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from splitbrain.checkers.histories.event import Event, HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.versions.distinct_writes import INITIAL, STRAY, DistinctWrites
from splitbrain.checkers.versions.reads import is_versioned


def history(*operations: tuple[int, str, Any, str]) -> History:
    """Operations one after the other: (process, f, value, outcome), of one key, by `None` a completion never came."""
    events: list[Event] = []
    for process, f, value, outcome in operations:
        asked = value if f != "read" else None
        events.append(Event(len(events), len(events), process, "invoke", f, "x", asked))
        if outcome != "none":
            got = value if outcome == "ok" or f != "read" else None
            events.append(Event(len(events), len(events), process, outcome, f, "x", got))  # type: ignore[arg-type]
    return History(events)


def versions(*operations: tuple[int, str, Any, str]) -> list[int]:
    return DistinctWrites.of(history(*operations)).version.tolist()


def test_a_read_is_of_the_write_of_its_value() -> None:
    assert versions((0, "write", 1, "ok"), (1, "write", 2, "ok"), (0, "read", 2, "ok")) == [0, 1, 1]


def test_null_is_what_a_key_holds_before_any_write() -> None:
    assert versions((0, "read", None, "ok"), (0, "write", 1, "ok")) == [INITIAL, 1]


def test_true_is_not_one() -> None:
    assert versions((0, "write", 1, "ok"), (0, "write", True, "ok"), (0, "read", True, "ok")) == [0, 1, 1]
    assert versions((0, "write", 1, "ok"), (0, "read", True, "ok")) == [0, STRAY]


def test_values_may_be_lists_and_objects() -> None:
    some = [(0, "write", [1], "ok"), (0, "write", {"a": 1, "b": 2}, "ok"), (0, "read", {"b": 2, "a": 1}, "ok")]
    assert versions(*some) == [0, 1, 1]


def test_a_value_written_twice_is_refused_naming_both_lines() -> None:
    with pytest.raises(HistoryError, match="line 3: 1 is written to x a second time, after line 1; writes must be"):
        versions((0, "write", 1, "ok"), (1, "write", 1, "info"))


def test_a_written_null_is_refused() -> None:
    with pytest.raises(HistoryError, match="line 1: a write needs a value"):
        versions((0, "write", None, "ok"))


def test_a_failed_write_may_be_tried_again_with_the_same_value() -> None:
    assert versions((0, "write", 1, "fail"), (0, "write", 1, "ok"), (0, "read", 1, "ok")) == [0, 0]


def test_a_read_of_a_failed_write_is_a_stray() -> None:
    assert versions((0, "write", 1, "fail"), (0, "read", 1, "ok")) == [STRAY]


@pytest.mark.parametrize("outcome", ["info", "none"])
def test_an_indeterminate_write_counts_once_it_was_read(outcome: str) -> None:
    read = DistinctWrites.of(history((0, "write", 1, outcome), (1, "read", 1, "ok")))
    unread = DistinctWrites.of(history((0, "write", 1, outcome), (1, "read", None, "ok")))
    assert (read.version.tolist(), read.acknowledged.tolist()) == ([0, 0], [False, False])
    assert (unread.version.tolist(), unread.unread) == ([INITIAL], 1)


def test_reads_that_returned_nothing_known_are_left_out() -> None:
    assert len(DistinctWrites.of(history((0, "read", 1, "info"), (1, "read", 1, "fail"), (2, "read", 1, "none")))) == 0


@pytest.mark.parametrize(("first", "second"), [("write", "put"), ("put", "write"), ("write", "cas"), ("put", "append")])
def test_an_operation_that_such_registers_do_not_have_is_refused(first: str, second: str) -> None:
    with pytest.raises(HistoryError, match=r"line [13]: .* has no operation '(write|cas|append)', asked by process"):
        is_versioned(history((0, first, {"write": 1}, "ok"), (1, second, {"write": 2}, "ok")))


def test_where_nothing_is_written_a_list_that_was_read_makes_a_register_versioned() -> None:
    assert is_versioned(history((0, "read", [], "ok")))
    assert not is_versioned(history((0, "read", None, "ok")))
    assert not is_versioned(history((0, "write", [1], "ok"), (0, "read", [1], "ok")))


def test_sessions_are_processes() -> None:
    of = DistinctWrites.of(history((7, "write", 1, "ok"), (3, "read", 1, "ok"), (7, "read", 1, "ok")))
    assert np.unique(of.session).tolist() == [0, 1]
    assert [of.process(row) for row in range(3)] == [7, 3, 7]
