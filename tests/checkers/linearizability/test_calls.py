"""Calls: what becomes of each outcome, how they fall into parts, and operations that no model has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.event import Event, HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import MODELS
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.linearizable import check
from splitbrain.checkers.linearizability.model import Call
from tests.checkers.linearizability.calls_by_hand import history_of
from tests.checkers.linearizability.timeline import recorded

# Operations that are refused.


MALFORMED: list[tuple[str, str, Any, str]] = [
    ("cas-register", "cas", [1], "a cas needs a pair [old, new], has [1]"),
    ("cas-register", "cas", [1, 2, 3], "a cas needs a pair [old, new], has [1, 2, 3]"),
    ("cas-register", "cas", 5, "a cas needs a pair [old, new], has 5"),
    ("cas-register", "cas", None, "a cas needs a pair [old, new], has null"),
    ("cas-register", "cas", "12", 'a cas needs a pair [old, new], has "12"'),
    ("cas-register", "cas", {"old": 1, "new": 2}, 'a cas needs a pair [old, new], has {"'),
    ("kv", "append", 5, "an append needs a text, has 5"),
    ("kv", "append", None, "an append needs a text, has null"),
    ("kv", "append", True, "an append needs a text, has true"),
    ("counter", "add", "5", 'an add needs an integer, has "5"'),
    ("counter", "add", True, "an add needs an integer, has true"),
    ("counter", "add", 1.5, "an add needs an integer, has 1.5"),
    ("counter", "add", None, "an add needs an integer, has null"),
    ("multi-register", "txn", None, 'a txn needs a list of ["r", name, value] and ["w", name, value], has null'),
    ("multi-register", "txn", [["x", "a", 1]], "a txn needs a list of"),
    ("multi-register", "txn", [["r", "a"]], "a txn needs a list of"),
    ("multi-register", "txn", ["r", "a", None], "a txn needs a list of"),
    ("multi-register", "txn", {"r": 1}, "a txn needs a list of"),
    ("multi-register", "txn", [[["r"], "a", 1]], "a txn needs a list of"),
]


@pytest.mark.parametrize(("name", "f", "value", "problem"), MALFORMED)
@pytest.mark.parametrize("ending", ["ok", "info", None])
def test_an_argument_of_the_wrong_shape_is_refused_with_line_rule_and_operation(
    name: str, f: str, value: Any, problem: str, ending: str | None
) -> None:
    good = {"cas": ("write", 1), "append": ("put", "a"), "add": ("add", 1), "txn": ("txn", [["w", "a", 1]])}[f]
    events = [(0, "invoke", *good), (0, "ok", *good), (3, "invoke", f, value)]
    events += [(3, ending, f, value)] if ending else []
    with pytest.raises(HistoryError) as refusal:
        check(history_of(*events), model=name)
    assert refusal.value.line == 3
    assert refusal.value.problem.startswith(f"{f} by process 3: {problem}")


@pytest.mark.parametrize("result", [None, 7, [["r", "a"]], [["q", "a", 1]]])
def test_a_result_of_the_wrong_shape_is_refused_too(result: Any) -> None:
    asked = [["r", "a", None]]
    with pytest.raises(HistoryError, match=r'line 1: txn by process 0: a txn needs a list of \["r", name, value\]'):
        check(history_of((0, "invoke", "txn", asked), (0, "ok", "txn", result)), model="multi-register")


@pytest.mark.parametrize(
    "result",
    [
        [["r", "b", 1]],  # another name
        [["w", "a", 1]],  # a write in place of the read
        [["r", "a", 1], ["w", "a", 2]],  # more than was asked
        [],
    ],
)
def test_an_answer_to_another_question_than_was_asked_is_refused(result: Any) -> None:
    asked = [["r", "a", None]]
    with pytest.raises(HistoryError, match="line 1: txn by process 0: "):
        check(history_of((0, "invoke", "txn", asked), (0, "ok", "txn", result)), model="multi-register")


def test_an_answer_that_wrote_something_else_than_was_asked_is_refused() -> None:
    asked = [["w", "a", 1]]
    with pytest.raises(HistoryError, match="line 1: txn by process 0: "):
        check(history_of((0, "invoke", "txn", asked), (0, "ok", "txn", [["w", "a", 2]])), model="multi-register")


def test_names_of_any_kind_may_stand_in_one_multi_register() -> None:
    """true and false, and lists of different things, can't be sorted beside each other."""
    names: list[Any] = [True, False, None, 1, "1", [1], ["a"], [None]]
    writes = [["w", name, n] for n, name in enumerate(names)]
    reads = [["r", name, n] for n, name in enumerate(names)]
    events = [
        (0, "invoke", "txn", writes),
        (0, "ok", "txn", writes),
        (0, "invoke", "txn", reads),
        (0, "ok", "txn", reads),
    ]
    assert check(history_of(*events), model="multi-register").outcome == "valid"


@pytest.mark.parametrize("name", ["register", "cas-register", "multi-register", "kv", "counter", "mutex"])
def test_an_operation_that_a_model_does_not_have_is_refused_with_its_line_and_what_there_is(name: str) -> None:
    known_fs = ", ".join(sorted(MODELS[name].fs or ()))
    some = {
        "register": "read",
        "cas-register": "read",
        "multi-register": "txn",
        "kv": "get",
        "counter": "read",
        "mutex": "acquire",
    }
    value = [["r", "a", None]] if name == "multi-register" else None
    events = [(0, "invoke", some[name], value), (0, "ok", some[name], value), (1, "invoke", "frobnicate", 1)]
    with pytest.raises(HistoryError) as refusal:
        check(history_of(*events), model=name)
    assert refusal.value.line == 3
    assert refusal.value.problem == f"a {name} has no operation 'frobnicate'; it has {known_fs}"


def test_polls_of_replicas_and_what_the_nemesis_does_are_no_calls() -> None:
    events = [
        Event(0, 0, "nemesis", "info", "kill"),
        Event(1, 1, 0, "invoke", "replica", "k"),
        Event(2, 2, 1, "invoke", "write", "k", 1),
        Event(3, 3, 0, "ok", "replica", "k", {"home": True}),
        Event(4, 4, 1, "ok", "write", "k", 1),
    ]
    parts = calls_of(History(events), MODELS["register"])
    assert [(call.f, call.invoked, call.returned) for calls in parts.values() for call in calls] == [("write", 2, 4)]


# Outcomes (`calls`).


def test_outcomes_become_calls_or_nothing() -> None:
    def one(type_: str | None, f: str, value: Any, error: str | None = None) -> Sequence[Call]:
        events = [Event(0, 0, 0, "invoke", f, None, value)]
        if type_:
            events.append(Event(1, 1, 0, type_, f, None, value, error=error))  # type: ignore[arg-type]
        return calls_of(History(events), MODELS["cas-register"]).get(None, [])

    def told(calls: Sequence[Call]) -> list[tuple[bool, bool, int]]:
        return [(call.known, call.failed, call.returned) for call in calls]

    assert told(one("ok", "write", 1)) == [(True, False, 1)]
    assert told(one("info", "write", 1)) == [(False, False, FOREVER)]
    assert told(one(None, "write", 1)) == [(False, False, FOREVER)]
    assert told(one("fail", "write", 1)) == []
    assert told(one("fail", "write", 1, "mismatch: a write has no mismatch")) == []
    assert told(one("ok", "read", None)) == [(True, False, 1)]
    assert told(one("info", "read", None)) == []
    assert told(one(None, "read", None)) == []
    assert told(one("ok", "cas", [1, 2])) == [(True, False, 1)]
    assert told(one("info", "cas", [1, 2])) == [(False, False, FOREVER)]
    assert told(one("fail", "cas", [1, 2])) == []
    assert told(one("fail", "cas", [1, 2], "timeout: gave up")) == []
    assert told(one("fail", "cas", [1, 2], "mismatch")) == [(True, True, 1)]
    assert told(one("fail", "cas", [1, 2], "mismatch: it was 3")) == [(True, True, 1)]
    assert told(one("fail", "cas", [1, 2], "mismatched")) == []
    assert told(one("info", "cas", [1, 2], "mismatch: or so it seemed")) == [(False, False, FOREVER)]


def test_parts_are_the_keys_in_the_order_of_their_first_call() -> None:
    parts = calls_of(recorded("b: write 1  |-|\na: write 2     |-|\nb: read -> 1      |-|"), MODELS["register"])
    assert {part: [call.f for call in calls] for part, calls in parts.items()} == {
        "b": ["write", "read"],
        "a": ["write"],
    }
    assert list(parts) == ["b", "a"]
