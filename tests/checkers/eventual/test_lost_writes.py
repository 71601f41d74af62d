from __future__ import annotations

from splitbrain.checkers import check
from tests.checkers.script import Script


def test_adds_are_judged_as_sets_and_puts_as_registers() -> None:
    adds = check("lost-writes", Script().add(1, at=0).read([1], at=2).history)
    assert adds.reason == "1 acknowledged add on 1 key, none lost"
    puts = check("lost-writes", Script().put(1, [], at=0).read([1], at=2, key="r0").history)
    assert puts.reason == "1 acknowledged put on 1 key, none lost: 1 surviving, 0 superseded"


def test_a_history_with_neither_or_both_is_unknown_and_says_why() -> None:
    neither = check("lost-writes", Script().read([], at=2).history)
    assert (neither.outcome, neither.reason) == ("unknown", "the history has neither an add nor a put")
    both = check("lost-writes", Script().add(1, at=0).put(1, [], at=2).read([1], at=4).history)
    assert both.outcome == "unknown"
    assert "both" in both.reason or "either" in both.reason


def test_what_is_read_though_nothing_at_all_was_added_is_unexpected() -> None:
    verdict = check("lost-writes", Script().read([], at=0).read([1], at=2).history)
    assert (verdict.outcome, verdict.evidence["unexpected"]) == ("invalid", 1)
    assert verdict.witness is not None and "which nobody added to it" in verdict.witness.text


def test_a_read_that_lists_nothing_and_one_that_is_no_list_are_of_no_write() -> None:
    assert check("lost-writes", Script().read(5, at=0).history).outcome == "unknown"  # type: ignore[arg-type]
