from __future__ import annotations

from splitbrain.checkers.invariants.causal_reverse import check
from tests.checkers.lines import Lines


def test_a_read_that_saw_a_write_without_one_that_was_over_before_it_is_a_causal_reverse() -> None:
    lines = Lines().ok(0, "write", 1).ok(1, "write", 2).ok(2, "write", 3).ok(3, "read", None, [3])
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.reason) == (
        "invalid",
        "1 of 1 read saw a write without one that was over before it",
    )
    assert verdict.evidence["reversals"] == [{"key": None, "read": 6, "seen": 3, "missing": 1, "how_many": 2}]
    assert verdict.witness is not None
    assert verdict.witness.text == (
        "the write of 1 by process 0 was over at 0.001 s, and that of 3 by process 2 began only at 0.004 s; "
        "process 3 at 0.007 s saw the second and not the first"
    )
    assert verdict.witness.events == (0, 1, 4, 5, 6, 7)


def test_a_read_that_began_before_either_write_is_judged_all_the_same() -> None:
    lines = Lines().invoke(9, "read").ok(0, "write", 1).ok(1, "write", 2).complete(9, "ok", [2])
    assert check(lines.history).outcome == "invalid"


def test_a_crashed_write_that_is_seen_must_have_followed_what_was_over() -> None:
    lines = Lines().ok(0, "write", 1).crash(1, "write", 2)
    assert check(lines.ok(2, "read", None, [2]).history).evidence["reversed"] == 1


def test_values_of_different_keys_have_nothing_to_do_with_each_other() -> None:
    lines = Lines("a").ok(0, "write", 1).of("b").ok(0, "write", 2).ok(1, "read", None, [2])
    assert check(lines.history).outcome == "unknown"


def test_a_write_that_failed_may_be_tried_again() -> None:
    lines = Lines().fail(0, "write", 1).ok(0, "write", 1).ok(0, "write", 2).ok(1, "read", None, [1, 2])
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.evidence["writes"], verdict.evidence["phantom"]) == ("valid", 2, 0)


def test_the_same_value_of_another_type_is_another_value() -> None:
    lines = Lines().ok(0, "write", 1).ok(0, "write", 2).ok(1, "read", None, ["1", 2])
    evidence = check(lines.history).evidence
    assert (evidence["reversed"], evidence["unexpected"]) == (1, 1)
