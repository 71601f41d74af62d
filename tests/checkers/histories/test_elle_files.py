"""Files of transactions as Elle and its command line write them: without `:f`, without `:process`, completions only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from splitbrain import checkers
from splitbrain.checkers import History, HistoryError
from splitbrain.checkers.histories.columns import OK

APPEND, READ = [["append", 1, 1]], [["r", 1, None]]
SEEN = [["r", 1, [1]]]


def edn(*operations: str) -> History:
    return checkers.read([f"{{{operation}}}\n".encode() for operation in operations])


def array(operations: list[dict[str, Any]], **how: Any) -> History:
    return checkers.read(json.dumps(operations, **how).encode().splitlines(keepends=True))


def test_transactions_may_lack_f() -> None:
    history = edn(
        ":type :invoke, :process 0, :value [[:append 1 1]]",
        ":type :info, :process 0",
        ":type :invoke, :process 1, :value [[:r 1 nil]]",
        ":type :ok, :process 1, :value [[:r 1 [1]]]",
    )
    assert [(each.process, each.f, each.outcome) for each in history.operations] == [
        (0, "txn", "info"),
        (1, "txn", "ok"),
    ]


def test_an_operation_that_is_no_transaction_must_name_its_f() -> None:
    with pytest.raises(HistoryError, match=r"line 1: :f is missing"):
        edn(":type :invoke, :process 0, :value 5")


def test_an_operation_that_is_no_transaction_must_name_its_process() -> None:
    """Whose it is decides about sessions."""
    with pytest.raises(HistoryError, match=r"line 1: :process is missing"):
        edn(":type :invoke, :f :write, :value 5")


def test_transactions_without_a_process_among_some_with_one_are_refused() -> None:
    """They would become part of the session of process 0."""
    with pytest.raises(HistoryError, match=r"line 3: :process is missing, and other operations have one"):
        edn(
            ":type :invoke, :f :txn, :process 0, :value [[:append 1 1]]",
            ":type :ok, :f :txn, :process 0, :value [[:append 1 1]]",
            ":type :invoke, :f :txn, :value [[:r 1 nil]]",
            ":type :ok, :f :txn, :value [[:r 1 [1]]]",
        )


COMPLETIONS = [
    ":type :ok, :value [[:append :a 1] [:r :b [1]]]",
    ":type :ok, :value [[:append :a 2] [:append :b 1]]",
    ":type :ok, :value [[:r :a [1 2]]]",
]


def test_completions_only_are_judged_without_real_time_and_the_verdict_says_so() -> None:
    """The second came after the first by a and before it by b."""
    verdict = checkers.check("transactions", edn(*COMPLETIONS), consistency="serializable")
    assert verdict.outcome == "invalid"
    assert verdict.evidence["anomaly_types"] == ["G1c"]
    assert verdict.evidence["real_time"] is False
    assert "judged without real time: the history has completions only" in verdict.reason


def test_completions_in_the_order_of_the_lines_are_not_taken_for_an_order_in_time() -> None:
    """The read of nothing stands last, and nobody knows that it was."""
    late = edn(":type :ok, :value [[:append 1 1]]", ":type :ok, :value [[:r 1 [1]]]", ":type :ok, :value [[:r 1 []]]")
    assert checkers.check("transactions", late, consistency="serializable").outcome == "valid"
    strict = checkers.check("transactions", late)
    assert strict.outcome == "unknown"
    assert "record the invocations too, or ask for serializable" in strict.reason
    timed = edn(
        *(
            f":process 0, :type :{type_}, :f :txn, :value {value}"
            for invoked, ended in [
                ("[[:append 1 1]]",) * 2,
                ("[[:r 1 nil]]", "[[:r 1 [1]]]"),
                ("[[:r 1 nil]]", "[[:r 1 []]]"),
            ]
            for type_, value in [("invoke", invoked), ("ok", ended)]
        )
    )
    assert checkers.check("transactions", timed).outcome == "invalid"


@pytest.mark.parametrize("consistency", ["strong-session-serializable", "strong-snapshot-isolation"])
def test_no_model_that_promises_an_order_in_time_is_said_to_hold_without_one(consistency: str) -> None:
    good = edn(":type :ok, :process 1, :value [[:append 1 1]]", ":type :ok, :process 1, :value [[:r 1 [1]]]")
    assert checkers.check("transactions", good, consistency=consistency).outcome == "unknown"


def test_the_nemesis_and_what_failed_may_stand_among_completions() -> None:
    history = edn(
        ":type :info, :process :nemesis, :f :start",
        ":type :fail, :value [[:append 1 2]]",
        ":type :info, :value [[:append 1 3]]",
        ":type :ok, :value [[:append 1 1]]",
        ":type :ok, :value [[:r 1 [1 3]]]",
    )
    assert [each.outcome for each in history.operations] == ["fail", "info", "ok", "ok"]
    assert len({each.process for each in history.operations}) == 4
    assert checkers.check("transactions", history, consistency="serializable").outcome == "valid"


def test_a_completion_that_can_not_be_judged_is_named_by_its_place_in_the_file() -> None:
    with pytest.raises(HistoryError, match="what is written is") as refused:
        checkers.check("transactions", edn(COMPLETIONS[0], ":type :ok, :value [[:append :a [2]]]"))
    assert refused.value.line == 2


def test_completions_of_other_operations_are_refused_by_their_line() -> None:
    with pytest.raises(HistoryError, match="line 1: process 0 completes 'read' which it never invoked"):
        edn(":type :ok, :process 0, :f :read, :value 5")


def test_completions_among_invocations_are_refused_by_their_line() -> None:
    with pytest.raises(HistoryError, match="line 3: process 0 completes 'txn' which it never invoked"):
        edn(":type :invoke, :value [[:append 1 1]]", ":type :ok, :value [[:append 1 1]]", COMPLETIONS[2])


TXNS = [
    {"index": 0, "type": "invoke", "process": 0, "f": "txn", "value": APPEND, "time": 5},
    {"index": 1, "type": "ok", "process": 0, "f": "txn", "value": APPEND, "time": 6},
    {"index": 2, "type": "invoke", "process": 1, "f": "txn", "value": READ, "time": 7},
    {"index": 3, "type": "ok", "process": 1, "f": "txn", "value": SEEN, "time": 8},
]


@pytest.mark.parametrize("how", [{}, {"indent": 1}, {"separators": (",", ":")}])
def test_a_json_array_is_a_history(how: dict[str, Any]) -> None:
    history = array(TXNS, **how)
    assert [(event.type, event.process, event.value, event.time) for event in history.events] == [
        (each["type"], each["process"], each["value"], each["time"]) for each in TXNS
    ]
    assert history.real_time
    assert checkers.check("transactions", history).outcome == "valid"


def test_a_json_array_of_completions_only_has_no_real_time() -> None:
    history = array([{"type": "ok", "value": APPEND}, {"type": "ok", "value": SEEN}])
    assert not history.real_time
    assert (history.columns.operations.outcome == OK).all()


def test_a_json_array_holds_text_of_any_language_and_independent_keys() -> None:
    pair = [{"type": type_, "process": 0, "f": "write", "value": ["é", "\U0001f600"]} for type_ in ("invoke", "ok")]
    for escaped in (True, False):
        text = json.dumps(pair, ensure_ascii=escaped).encode()
        history = checkers.read([text], independent=True)
        assert [(event.key, event.value) for event in history.events] == [("é", "\U0001f600")] * 2


def test_a_json_array_that_was_cut_off_keeps_what_was_complete() -> None:
    whole = json.dumps(TXNS, indent=1)
    for cut in range(whole.index('"index":') + 8, len(whole)):
        text = whole[:cut]
        history = checkers.read(text.encode().splitlines(keepends=True))
        assert len(history.events) == sum(f'"time": {each["time"]}\n }}' in text for each in TXNS)
        assert history.truncated
        assert 1 <= history.cut_at <= text.count("\n") + 1


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ('[{"type": "ok"}\n{"type": "ok"}]', 1, ":f is missing"),
        ('[{"type": "invoke", "f": "txn", "value": []}\n{"type": "ok"}]', 2, "'{' where a comma or the end"),
        ('[{"type": "invoke", "f": "txn", "value": []}]\n]', 2, "more text after the end of the array"),
        ('[{"type": "invoke", "f": "txn", "value": []},\n5]', 2, "not an operation"),
        ('[{"type": "invoke", "f": "txn", "value": []},\n{"type": oops}]', 2, "not JSON: Expecting value"),
        ('[{"type": "invoke", "f": "read", "process": 0, "value": NaN}]', 1, "NaN is no number of JSON"),
        ('[{"type": "invoke", "f": "read", "process": 0, "value": "\\ud800"}]', 1, "half of a surrogate pair"),
        ('[{"type": "invoke", "f": "read", "process": 0, "value": ' + "[" * 300 + "]" * 300 + "}]", 1, "nested deeper"),
        (
            '[{"type": "invoke", "f": "read", "process": 0, "value": ' + "[" * 9000 + "]" * 9000 + "}]",
            1,
            "nested deeper",
        ),
    ],
)
def test_what_is_no_array_of_operations_is_refused_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(HistoryError, match=problem) as refused:
        checkers.read(text.encode().splitlines(keepends=True))
    assert refused.value.line == line
