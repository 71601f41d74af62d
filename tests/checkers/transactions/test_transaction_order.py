"""Transactions with timestamps: each planted defect beside the clean history that it spoils."""

from __future__ import annotations

from typing import Any

import pytest

from splitbrain.checkers import HistoryError, check
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.verdict import Verdict
from tests.checkers.transactions.script import Script
from tests.checkers.transactions.stamped_histories import stamped

SI, SERIALIZABLE = "snapshot-isolation", "serializable"


def ran(
    script: Script, *did: list[Any], process: int = 0, start: int | None = None, commit: int | None = None
) -> Script:
    """A transaction by itself."""
    script.event(process, "invoke", [[name, key, None if name == "r" else value] for name, key, value in did])
    return script.event(process, "ok", stamped(list(did), start=start, commit=commit))


def judged(history: History, consistency: str = "strict-serializable", **options: Any) -> Verdict:
    return check("transaction-order", history, consistency=consistency, **options)


def breaches(history: History, consistency: str = "strict-serializable", **options: Any) -> dict[str, int]:
    found: dict[str, int] = judged(history, consistency, **options).evidence["breaches"]
    return found


def updates(second: int | None, start: int, commit: int = 4) -> History:
    """Two that read x and write it; what the second one read, at which start."""
    script = ran(Script(), ["r", "x", None], ["w", "x", 1], start=1, commit=2)
    return ran(script, ["r", "x", second], ["w", "x", 2], process=1, start=start, commit=commit).history


def test_what_the_timestamps_explain_is_valid() -> None:
    verdict = judged(updates(1, 2))
    assert (verdict.outcome, verdict.reason) == ("valid", "the timestamps of 2 transactions explain 2 reads")


@pytest.mark.parametrize("consistency", [SI, SERIALIZABLE])
def test_a_read_of_another_version_than_the_snapshots_newest_is_external(consistency: str) -> None:
    verdict = judged(updates(None, 3), consistency)
    assert (verdict.outcome, verdict.evidence["breaches"]) == ("invalid", {"external": 1})
    assert verdict.witness is not None
    assert "read x as null" in verdict.witness.text
    assert "where it was 1 by transaction 0 (process 0, 0.000 s to 0.001 s), committed at 2" in verdict.witness.text
    assert verdict.witness.events == (0, 1, 2, 3)


def test_a_lost_update_is_a_conflict_under_snapshots_and_external_in_one_order() -> None:
    assert breaches(updates(None, 1), SI) == {"conflict": 1}
    assert breaches(updates(None, 1), SERIALIZABLE) == {"external": 1}


def test_a_read_of_what_aborted_is_external() -> None:
    script = Script().run(["w", "x", 7], outcome="fail")
    assert breaches(ran(script, ["r", "x", 7], start=5).history) == {"external": 1}
    assert (
        judged(ran(Script().run(["w", "x", 7], outcome="fail"), ["r", "x", None], start=5).history).outcome == "valid"
    )


def test_a_read_of_what_crashed_has_no_time_and_can_not_be_judged() -> None:
    script = Script().run(["append", "x", 7], outcome="info")
    verdict = judged(ran(script, ["r", "x", [7]], process=1, start=5).history)
    assert (verdict.outcome, verdict.evidence["unplaced"]) == ("unknown", 1)
    # It has no place for an element that nobody appended.
    assert breaches(ran(script, ["r", "x", [7, 8]], process=2, start=6).history) == {"external": 1}


def test_a_transaction_reads_its_own_writes() -> None:
    good, bad = (ran(Script(), ["w", "x", 1], ["r", "x", value], commit=2).history for value in (1, None))
    assert breaches(good) == {}
    assert breaches(bad) == {"internal": 1}
    good, bad = (ran(Script(), ["append", "x", 1], ["r", "x", value], commit=2).history for value in ([1], []))
    assert breaches(good) == {}
    assert breaches(bad) == {"internal": 1}


def test_the_order_of_a_process_and_of_real_time_count_where_they_were_promised() -> None:
    own, others = (
        ran(ran(Script(), ["w", "x", 1], start=1, commit=4), ["r", "x", None], process=process, start=2).history
        for process in (0, 1)
    )
    assert [breaches(own, model) for model in (SI, f"strong-session-{SI}", f"strong-{SI}")] == [
        {},
        {"session": 1},
        {"realtime": 1},
    ]
    assert [breaches(others, model) for model in (SI, f"strong-session-{SI}", f"strong-{SI}")] == [
        {},
        {},
        {"realtime": 1},
    ]


def test_write_skew_is_fine_in_snapshots_and_not_in_one_order() -> None:
    script = ran(Script(), ["r", "x", None], ["w", "y", 1], start=1, commit=2)
    skew = ran(script, ["r", "y", None], ["w", "x", 1], process=1, start=1, commit=3).history
    assert breaches(skew, SI) == {}
    assert breaches(skew, SERIALIZABLE) == {"external": 1}


def test_one_time_for_two_that_wrote_is_no_order() -> None:
    script = ran(Script(), ["r", "x", None], ["w", "y", 1], start=1, commit=2)
    skew = ran(script, ["r", "y", None], ["w", "x", 1], process=1, start=1, commit=2).history
    assert breaches(skew, SERIALIZABLE) == {"timestamps": 1}
    assert breaches(skew, SI) == {}


def test_a_start_after_the_commit_is_no_order_either() -> None:
    assert breaches(ran(Script(), ["w", "x", 1], ["r", "x", 1], start=5, commit=4).history, SI) == {"timestamps": 1}


def test_keys_may_have_begun_as_something_else() -> None:
    history = ran(Script(), ["r", "x", 5], ["r", "y", None], start=1).history
    assert judged(history).outcome == "invalid"
    assert judged(history, initial={"x": 5}).outcome == "valid"


def test_timestamps_may_be_of_any_size() -> None:
    assert judged(updates(1, 2**80, 2**90), SI).outcome == "valid"


def test_without_a_read_there_is_nothing_to_judge() -> None:
    assert judged(ran(Script(), ["w", "x", 1], start=1, commit=2).history).reason == (
        "no transaction that succeeded read anything"
    )
    assert judged(Script().run(["w", "x", 1], outcome="fail").history).reason == "no transaction succeeded"


@pytest.mark.parametrize(
    ("value", "consistency", "rule"),
    [
        ([["w", "x", 1]], SERIALIZABLE, "a transaction that wrote says when it committed"),
        ({"txn": [["w", "x", 1]], "start": 3}, SERIALIZABLE, "a transaction that wrote says when it committed"),
        ({"txn": [["w", "x", 1]], "commit": 3}, SI, "a transaction that wrote at a snapshot says which, as its start"),
        ({"txn": [["w", "x", 1]], "commit": "3"}, SERIALIZABLE, "a timestamp is an integer"),
        ({"txn": [["w", "x", 1]], "commit": True}, SERIALIZABLE, "a timestamp is an integer"),
        ({"txn": [["w", "x", 1]], "at": 3}, SERIALIZABLE, "a transaction has txn, start and commit, and no 'at'"),
    ],
)
def test_what_has_no_timestamps_is_refused_by_its_line(value: Any, consistency: str, rule: str) -> None:
    history = Script().event(0, "invoke", [["w", "x", 1]]).event(0, "ok", value).history
    with pytest.raises(HistoryError, match=f"{rule}, as in"):
        judged(history, consistency)
