"""Arguments that completions tell: filled in, repeated, or refused by their line."""

from __future__ import annotations

from typing import Any

import pytest

from splitbrain import checkers
from splitbrain.checkers import HistoryError
from splitbrain.checkers.histories.event import encode
from splitbrain.checkers.histories.told_arguments import filled_in
from splitbrain.checkers.linearizability.model import Call, Model
from tests.checkers.lines import Lines


def told(asked: Any, said: Any, f: str = "write") -> Lines:
    """A write whose completion says `said`, null included."""
    lines = Lines("x").invoke(0, f, asked)
    return lines._event(0, "ok", f, said, "x")


@pytest.mark.parametrize(
    ("asked", "said", "known"),
    [
        (None, 7, 7),
        (7, None, 7),
        (7, 7, 7),
        (None, None, None),
        ([1, None], [1, 5], [1, 5]),
        ([None, None], [1, 5], [1, 5]),
        ([1, 5], [1, None], [1, 5]),
        (None, [1, 5], [1, 5]),
        ({"from": "a", "amount": None}, {"from": "a", "amount": 3}, {"from": "a", "amount": 3}),
        ([[None, 1], None], [[2, 1], {"a": None}], [[2, 1], {"a": None}]),
    ],
)
def test_a_completion_fills_in_what_was_null(asked: Any, said: Any, known: Any) -> None:
    assert filled_in(told(asked, said).history, {"write"}).operations[0].invocation.value == known


@pytest.mark.parametrize(
    ("asked", "said"),
    [(4, 5), (4, "OK"), (1, True), (1, 1.0), (1, "1"), ([1, 2], [1, 3]), ([1], [1, 2]), ({"a": 1}, {"a": 1, "b": 2})],
)
def test_a_completion_that_says_something_else_is_refused_by_its_line(asked: Any, said: Any) -> None:
    with pytest.raises(
        HistoryError, match=r"asked for .*, and its completion says .*must repeat the rest or be null"
    ) as no:
        filled_in(told(asked, said).history, {"write"})
    assert no.value.line == 2


def test_a_history_that_tells_nothing_more_stays_the_same_object() -> None:
    history = told([1, None], [1, None]).invoke(1, "write", 2).history
    assert filled_in(history, {"write"}) is history


def test_what_other_operations_answer_is_no_argument() -> None:
    history = told(None, 5, "read").history
    assert filled_in(history, {"write"}) is history


def test_the_events_stay_as_they_were_recorded() -> None:
    history = told(None, 7).history
    before = [encode(event) for event in history.events]
    filled_in(history, {"write"})
    assert [encode(event) for event in history.events] == before


def test_an_indeterminate_operation_of_which_nobody_says_what_it_asked_is_refused() -> None:
    lines = told(None, 7).crash(1, "write")
    with pytest.raises(HistoryError, match="may have happened, and nothing says what was null") as refused:
        checkers.check("linearizable", lines.history)
    assert refused.value.line == 3


def test_an_indeterminate_write_of_null_is_one_where_no_completion_tells_arguments() -> None:
    lines = told(3, 3).crash(1, "write").ok(2, "read", None, None)
    assert checkers.check("linearizable", lines.history, model="register").outcome == "valid"


@pytest.mark.parametrize(
    ("checker", "f", "asked", "said", "read"),
    [
        ("linearizable", "write", None, 7, 7),
        ("counter", "add", None, 7, 7),
        ("lost-writes", "add", None, 7, [7]),
        ("staleness", "write", None, 7, 7),
        ("sessions", "write", None, 7, 7),
        ("causal", "write", None, 7, 7),
    ],
)
def test_every_checker_takes_what_the_completion_tells(checker: str, f: str, asked: Any, said: Any, read: Any) -> None:
    right = told(asked, said, f).ok(0, "read", None, read).history
    assert checkers.check(checker, right).outcome == "valid"
    with pytest.raises(HistoryError, match="completion says 9"):
        checkers.check(checker, told(said, 9, f).ok(0, "read", None, read).history)


def test_a_queue_takes_what_the_completion_tells() -> None:
    lines = told(None, 7, "enqueue").ok(1, "dequeue", None, 7)
    assert checkers.check("total-queue", lines.history).outcome == "valid"
    assert checkers.check("linearizable", lines.history, model="fifo-queue").outcome == "valid"


def test_a_cas_takes_the_half_that_the_completion_tells() -> None:
    lines = told(None, 1).invoke(0, "cas", [1, None])
    lines._event(0, "ok", "cas", [1, 5], "x")
    assert checkers.check("linearizable", lines.ok(0, "read", None, 5).history).outcome == "valid"
    assert checkers.check("linearizable", lines.ok(0, "read", None, 6).history).outcome == "invalid"


def test_a_write_that_a_completion_tells_can_be_lost() -> None:
    verdict = checkers.check("lost-writes", told(None, 7, "add").ok(1, "read", None, [1]).history)
    assert verdict.outcome == "invalid"
    assert verdict.evidence["lost"] == 1


def test_a_put_whose_completion_names_another_write_is_refused() -> None:
    lines = told({"write": 1}, {"write": 2, "seen": []}, "put").ok(0, "read", None, [1])
    with pytest.raises(HistoryError, match="a completion repeats the id of its put, 1, and does not say 2") as refused:
        checkers.check("lost-writes", lines.history)
    assert refused.value.line == 2


def test_a_write_of_long_fork_that_its_completion_contradicts_is_refused() -> None:
    lines = Lines().ok(0, "txn", [["w", "x", 1]], [["w", "x", 2]]).ok(0, "txn", [["r", "x", None]], [["r", "x", 1]])
    with pytest.raises(HistoryError, match="the completion of a write repeats it") as refused:
        checkers.check("long-fork", lines.history)
    assert refused.value.line == 2


def test_what_the_operations_of_a_users_own_model_answer_is_theirs() -> None:
    class Length(Model):
        name = "length"

        def step(self, state: Any, call: Call) -> tuple[Any, ...]:
            length = (state or 0) + 1
            return (length,) if not call.known or call.result == length else ()

    lines = told("a", 1, "add").invoke(1, "add", "b")
    lines._event(1, "ok", "add", 2, "x")
    assert checkers.check("linearizable", lines.history, model=Length()).outcome == "valid"
