"""What is taken for a transaction, and what is refused, with its line."""

from __future__ import annotations

from typing import Any

import pytest

from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.transactions import check
from splitbrain.checkers.transactions.micro_operations import parse
from tests.checkers.transactions.script import Script

READ = ["r", "x", None]


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (None, "a transaction is a list of micro-operations"),
        ({"r": "x"}, "a transaction is a list of micro-operations"),
        ([5], "a micro-operation is"),
        ([["append", "x"]], "a micro-operation is"),
        ([["append", "x", 1, 2]], "a micro-operation is"),
        ([["cas", "x", 1]], "a micro-operation is"),
        ([[["r"], "x", None]], "a micro-operation is"),
        ([["append", True, 1]], "a key is an integer or a string"),
        ([["append", None, 1]], "a key is an integer or a string"),
        ([["append", ["x"], 1]], "a key is an integer or a string"),
        ([["append", "x", {"a": 1}]], "what is written is a number"),
        ([["append", "x", [1]]], "what is written is a number"),
        ([["w", "x", None]], "null is what a register holds before it is written"),
        ([["w", "x", []]], "what is written is a number"),
        ([["append", "x", 1], ["w", "y", 1]], "a list-append history"),
        ([["append", "x", 1], ["append", "x", 1]], "an element is appended to a key once"),
        ([["w", "x", 1], ["w", "x", 1]], "a value is written to a key once"),
    ],
)
def test_an_invocation_of_another_shape_is_refused_at_its_line(asked: Any, problem: str) -> None:
    script = Script().run(READ).event(1, "invoke", asked)
    with pytest.raises(HistoryError, match=problem) as refused:
        check(script.history)
    assert refused.value.line == 3
    assert "process 1" in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "completed", "problem"),
    [
        ([READ], [["r", "x", 5]], "a read of a list returns a list"),
        ([READ], [["r", "x", [[1]]]], "the elements of a list are"),
        ([READ], [["r", "y", []]], 'asked for \\["r", "x", null\\]'),
        ([READ], [["r", "x", []], READ], "process 1 asked for 1 of them and was told of 2"),
        ([READ], None, "a transaction is a list of micro-operations"),
        ([["append", "x", 2]], [["append", "x", 3]], 'asked for \\["append", "x", 2\\]'),
        ([["append", "x", 0]], [["append", "x", False]], 'asked for \\["append", "x", 0\\]'),
        ([["append", 1, 2]], [["append", "1", 2]], 'asked for \\["append", 1, 2\\]'),
    ],
)
def test_a_completion_that_is_not_its_invocation_filled_in_is_refused(asked: Any, completed: Any, problem: str) -> None:
    script = Script().run(["append", "x", 1]).event(1, "invoke", asked).event(1, "ok", completed)
    with pytest.raises(HistoryError, match=problem) as refused:
        check(script.history)
    assert refused.value.line == 4


def test_a_read_of_a_register_that_is_a_list_is_refused() -> None:
    script = Script().run(["w", "x", 1]).run(["r", "x", [1]])
    with pytest.raises(HistoryError, match="a read of a register returns"):
        check(script.history)


@pytest.mark.parametrize("outcome", ["ok", "fail", "info"])
def test_an_element_appended_twice_is_refused_whatever_became_of_the_first(outcome: str) -> None:
    script = Script().run(["append", "x", 1], outcome=outcome).run(["append", "x", 1], process=1)
    with pytest.raises(HistoryError, match=r'appended to a key once; .* process 1 has \["append", "x", 1\]') as refused:
        check(script.history)
    assert refused.value.line == 4


def test_values_that_look_alike_to_python_are_different() -> None:
    elements = [1, True, 1.0, "1", 0, False, None, ""]
    script = Script().run(*(["append", "x", element] for element in elements))
    verdict = check(script.run(["r", "x", elements]).history)
    assert verdict.outcome == "valid", verdict.reason


def test_keys_1_and_one_in_quotes_are_two() -> None:
    script = Script().run(["append", 1, 7]).run(["append", "1", 8])
    assert check(script.run(["r", 1, [7]], ["r", "1", [8]]).history).outcome == "valid"


def test_true_read_where_1_was_appended_was_never_written() -> None:
    script = Script().run(["append", "x", 1]).run(["r", "x", [1]]).run(["r", "x", [True]])
    assert "garbage-read" in check(script.history).evidence["anomaly_types"]


def test_true_read_where_1_was_written_was_never_written() -> None:
    script = Script().run(["w", "x", 1]).run(["r", "x", True])
    assert check(script.history).evidence["anomaly_types"] == ["garbage-read"]


def test_null_is_the_empty_list() -> None:
    script = Script().run(READ).run(["r", "x", []]).run(["append", "x", 1])
    assert check(script.history).outcome == "valid"


def test_tuples_are_lists() -> None:
    script = Script().run(["append", "x", 1]).run(("r", "x", (1,)), ["r", "x", [1]])  # type: ignore[arg-type]
    assert check(script.history).outcome == "valid"


def test_the_name_of_the_operation_does_not_matter() -> None:
    events = [event.__class__(event.index, event.time, event.process, event.type, "transact", None, event.value)
              for event in Script().run(["append", "x", 1]).run(["r", "x", [1]]).events]  # fmt: skip
    assert check(Script().history.__class__(events)).outcome == "valid"


def test_the_model_is_inferred_from_what_the_transactions_do() -> None:
    assert parse(Script().run(["append", "x", 1]).history).model == "list-append"
    assert parse(Script().run(["w", "x", 1]).history).model == "rw-register"
    assert parse(Script().run(["r", "x", [1]]).history).model == "list-append"
    assert parse(Script().run(["r", "x", 1]).history).model == "rw-register"


def test_a_history_of_another_model_than_asked_for_is_refused() -> None:
    with pytest.raises(HistoryError, match="a rw-register history don't have 'append'"):
        check(Script().run(["append", "x", 1]).history, model="rw-register")


def test_an_empty_transaction_is_one() -> None:
    transactions = parse(Script().run().run(["append", "x", 1]).history)
    assert [len(transactions.of(txn)) for txn in range(2)] == [0, 1]


def test_what_a_crashed_transaction_read_is_unknown() -> None:
    script = Script().event(0, "invoke", [READ]).event(0, "info", [["r", "x", [9]]])
    assert check(script.run(["append", "x", 1], process=1).run(["r", "x", [1]], process=1).history).outcome == "valid"
