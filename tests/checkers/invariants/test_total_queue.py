from __future__ import annotations

import pytest

from splitbrain.checkers.invariants.total_queue import check
from splitbrain.checkers.verdict import Verdict
from tests.checkers.lines import Lines


def found(verdict: Verdict, *names: str) -> tuple[int, ...]:
    return tuple(verdict.evidence[name] for name in names)


def test_what_a_drain_lists_has_come_out_and_what_it_lacks_is_lost() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).ok(0, "enqueue", 2).ok(0, "enqueue", 3).ok(1, "drain", None, [3, 1])
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.reason) == ("invalid", "1 of 3 acknowledged enqueues lost")
    assert verdict.evidence["anomalies"] == [{"kind": "lost", "key": "q", "value": 2, "index": 2}]
    assert verdict.witness is not None
    assert verdict.witness.events == (2, 3, 6, 7)


def test_an_empty_answer_to_one_dequeue_among_many_says_that_the_queue_was_emptied() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).ok(0, "enqueue", 2).ok(1, "dequeue", None, 2).ok(1, "dequeue", None, None)
    assert found(check(lines.history), "lost", "undelivered") == (1, 0)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "invalid"),
        ("", "invalid"),
        ("empty", "invalid"),
        ("exhausted: no messages", "invalid"),
        ("refused: connection", "unknown"),
        ("emptyhanded: no", "unknown"),
    ],
)
def test_a_failed_dequeue_found_nothing_unless_it_says_something_else(error: str | None, outcome: str) -> None:
    assert check(Lines("q").ok(0, "enqueue", 1).fail(1, "dequeue", None, error).history).outcome == outcome


def test_a_failed_drain_empties_nothing() -> None:
    assert check(Lines("q").ok(0, "enqueue", 1).fail(1, "drain", None, None).history).outcome == "unknown"


def test_an_empty_answer_to_a_dequeue_invoked_before_the_acknowledgement_says_nothing() -> None:
    lines = Lines("q").invoke(1, "dequeue").ok(0, "enqueue", 1).complete(1, "ok", None)
    assert check(lines.history).outcome == "unknown"


def test_a_drain_tells_of_what_came_before_it_even_if_the_test_goes_on() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).ok(1, "drain", None, []).ok(0, "enqueue", 2)
    assert found(check(lines.history), "lost", "undelivered") == (1, 1)


def test_each_crashed_dequeue_accounts_for_one_value_and_no_more() -> None:
    lines = (
        Lines("q").ok(0, "enqueue", 1).ok(0, "enqueue", 2).ok(0, "enqueue", 3).crash(1, "dequeue").crash(2, "dequeue")
    )
    verdict = check(lines.ok(0, "drain", None, []).history)
    assert found(verdict, "lost", "maybe_taken", "crashed_dequeues") == (1, 2, 2)
    assert verdict.witness is not None
    assert (
        "3 values went missing like that, and no more than 2 can be with dequeues that crashed" in verdict.witness.text
    )


def test_a_crashed_drain_may_have_taken_any_number() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).ok(0, "enqueue", 2).crash(1, "drain").ok(0, "drain", None, [])
    verdict = check(lines.history)
    assert (verdict.outcome, *found(verdict, "lost", "maybe_taken")) == ("valid", 0, 2)
    assert verdict.reason == (
        "2 acknowledged enqueues, none lost; 0 values came out; 2 may have been taken by dequeues that crashed"
    )


def test_a_crashed_dequeue_goes_to_the_value_that_it_can_account_for() -> None:
    # The dequeue was invoked after the first drain was over, so it can only have taken 2.
    lines = Lines("q").ok(0, "enqueue", 1).ok(0, "drain", None, []).crash(1, "dequeue").ok(0, "enqueue", 2)
    verdict = check(lines.ok(0, "drain", None, []).history)
    assert found(verdict, "lost", "maybe_taken") == (1, 1)
    assert verdict.evidence["anomalies"][0]["value"] == 1


def test_crashed_dequeues_are_given_out_so_that_they_account_for_the_most() -> None:
    # The first may have taken either value, the second only the second: so both are accounted for.
    lines = Lines("q").ok(0, "enqueue", 2).crash(1, "dequeue").ok(0, "drain", None, []).crash(2, "dequeue")
    lines.ok(0, "enqueue", 1).ok(0, "drain", None, [])
    assert found(check(lines.history), "lost", "maybe_taken") == (0, 2)


def test_of_overlapping_drains_the_one_that_was_over_first_says_when_a_value_was_gone() -> None:
    # The short drain began after the long one and was over before the dequeue was invoked.
    lines = Lines("q").ok(0, "enqueue", 1).invoke(1, "drain").ok(2, "drain", None, []).crash(3, "dequeue")
    assert found(check(lines.complete(1, "ok", []).history), "lost", "maybe_taken") == (1, 0)


def test_a_drain_that_crashed_after_a_value_was_gone_did_not_take_it() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).ok(0, "drain", None, []).crash(1, "drain")
    assert found(check(lines.history), "lost", "maybe_taken") == (1, 0)


def test_what_came_out_is_from_the_acknowledged_enqueue_even_where_nothing_was_emptied() -> None:
    lines = Lines("q").crash(9, "enqueue", 1).ok(0, "enqueue", 1).ok(1, "dequeue", None, 1)
    assert found(check(lines.history), "undelivered", "recovered") == (0, 0)


def test_a_dequeue_that_never_completed_is_a_crashed_one() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).invoke(1, "dequeue").ok(0, "drain", None, [])
    assert found(check(lines.history), "lost", "maybe_taken") == (0, 1)


def test_of_two_enqueues_of_a_value_the_one_that_must_have_happened_came_out() -> None:
    lines = Lines("q").crash(9, "enqueue", 1).ok(0, "enqueue", 1).ok(1, "dequeue", None, 1).ok(1, "drain", None, [])
    assert found(check(lines.history), "lost", "recovered") == (0, 0)


def test_of_two_enqueues_of_a_value_the_one_that_may_still_be_there_is() -> None:
    # The second 1 was enqueued after the drain; what came out is the first.
    lines = Lines("q").ok(0, "enqueue", 1).ok(1, "drain", None, []).ok(0, "enqueue", 1).ok(1, "dequeue", None, 1)
    assert found(check(lines.history), "lost", "undelivered") == (0, 1)


def test_a_value_out_before_its_second_enqueue_was_begun_is_not_from_that() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).ok(1, "dequeue", None, 1).ok(1, "dequeue", None, 1).ok(0, "enqueue", 1)
    verdict = check(lines.ok(1, "dequeue", None, None).history)
    assert found(verdict, "duplicated", "lost") == (1, 1)


def test_true_one_and_the_string_are_different_values() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).ok(1, "dequeue", None, True)
    assert found(check(lines.history), "unexpected", "duplicated", "undelivered") == (1, 0, 1)


def test_values_may_be_lists_and_objects() -> None:
    lines = Lines("q").ok(0, "enqueue", {"a": [1], "b": None}).ok(1, "dequeue", None, {"b": None, "a": [1]})
    assert check(lines.history).outcome == "valid"


def test_a_value_from_another_queue_is_unexpected() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).of("p").ok(1, "dequeue", None, 1)
    assert found(check(lines.history), "unexpected", "undelivered", "keys") == (1, 1, 2)


def test_duplicates_are_allowed_where_they_are_and_then_nothing_else_is() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).ok(1, "dequeue", None, 1).ok(1, "dequeue", None, 1).ok(1, "dequeue", None, 5)
    verdict = check(lines.history, at_least_once=True)
    assert (verdict.outcome, verdict.reason) == ("invalid", "1 value came out that nobody had enqueued")
    assert verdict.witness is not None
    assert verdict.witness.data["value"] == 5


def test_the_witness_of_a_duplicate_shows_the_enqueue_and_every_time_it_came_out() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).ok(1, "dequeue", None, 1).ok(2, "dequeue", None, 1)
    witness = check(lines.history).witness
    assert witness is not None
    assert witness.text == (
        "process 2 took 1 out of q at 0.005 s, more often than it had been enqueued; it had come out before, at 0.003 s"
    )
    assert witness.events == (0, 1, 2, 3, 4, 5)


def test_nothing_acknowledged_is_nothing_to_lose() -> None:
    verdict = check(Lines("q").crash(0, "enqueue", 1).ok(1, "drain", None, [1]).history)
    assert (verdict.outcome, verdict.evidence["recovered"]) == ("unknown", 1)
    assert verdict.reason == "no enqueue was acknowledged, so none can be lost"


def test_a_queue_that_nothing_says_was_emptied_is_named() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).of("p").ok(0, "enqueue", 2).ok(1, "drain", None, [2])
    assert check(lines.history).reason == (
        "1 of 2 acknowledged enqueues never came out, and nothing says that q was emptied after them"
    )


def test_several_queues_that_nothing_says_were_emptied_are_named() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).of("p").ok(0, "enqueue", 2)
    assert check(lines.history).reason.endswith("nothing says that q and p were emptied after them")


def test_many_values_of_one_kind_are_no_problem() -> None:
    lines = Lines("q")
    for _ in range(3000):
        lines.ok(0, "enqueue", 1)
    verdict = check(lines.ok(1, "drain", None, [1] * 2999).history)
    assert found(verdict, "lost", "dequeued") == (1, 2999)
