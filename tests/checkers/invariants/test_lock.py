from __future__ import annotations

from splitbrain.checkers.invariants.lock import check
from tests.checkers.lines import Lines


def acquire(lines: Lines, process: int, *, lease_ms: float | None = 1000, token: int | None = None) -> Lines:
    asked = None if lease_ms is None else {"lease_ms": lease_ms}
    return lines.ok(process, "acquire", asked, {**(asked or {}), "token": token})


def test_a_lock_that_was_given_to_another_before_its_lease_was_over_overlaps() -> None:
    verdict = check(acquire(acquire(Lines("l"), 0, lease_ms=50), 1).history)
    assert (verdict.outcome, verdict.reason) == ("invalid", "1 of 2 grants while another process held the lock")
    assert verdict.witness is not None
    assert verdict.witness.text == (
        "process 0 was given l at 0.001 s, for 50 ms from 0.000 s on, and had not released it; "
        "process 1 was given it at 0.003 s"
    )
    assert verdict.evidence["anomalies"] == [{"kind": "overlap", "key": "l", "token": None, "index": 2, "other": 0}]


def test_a_lock_without_a_lease_is_held_until_it_is_released() -> None:
    assert check(acquire(acquire(Lines("l"), 0, lease_ms=None), 1).history).outcome == "invalid"
    released = acquire(Lines("l"), 0, lease_ms=None).ok(0, "release")
    assert check(acquire(released, 1).history).outcome == "valid"


def test_the_release_of_another_process_ends_nothing_but_under_the_token() -> None:
    other = acquire(Lines("l"), 0, token=1).ok(2, "release")
    assert check(acquire(other, 1, token=2).history).outcome == "invalid"
    named = acquire(Lines("l"), 0, token=1).ok(2, "release", {"token": 1})
    assert check(acquire(named, 1, token=2).history).outcome == "valid"


def test_a_release_ends_what_was_granted_before_it_and_not_after() -> None:
    lines = acquire(acquire(Lines("l"), 0).ok(0, "release"), 0)
    assert check(acquire(lines, 1).history).evidence["overlaps"] == 1


def test_a_process_is_not_in_its_own_way() -> None:
    assert check(acquire(acquire(Lines("l"), 0), 0).history).outcome == "valid"


def test_locks_of_different_names_do_not_exclude_each_other() -> None:
    verdict = check(acquire(acquire(Lines("a"), 0).of("b"), 1).history)
    assert (verdict.outcome, verdict.evidence["locks"]) == ("unknown", 2)


def test_a_crashed_acquire_holds_nothing() -> None:
    lines = Lines("l").crash(0, "acquire", {"lease_ms": 1000})
    assert check(acquire(acquire(lines, 1).ok(1, "release"), 2).history).outcome == "valid"


def test_tokens_of_grants_that_overlap_in_time_may_come_in_any_order() -> None:
    lines = Lines("l").invoke(0, "acquire", {"lease_ms": 1}).invoke(1, "acquire", {"lease_ms": 1})
    lines.complete(0, "ok", {"lease_ms": 1, "token": 2}).complete(1, "ok", {"lease_ms": 1, "token": 1})
    assert check(lines.history).outcome == "valid"


def test_a_token_that_recedes_from_any_grant_that_was_over_is_counted_once() -> None:
    lines = acquire(acquire(acquire(Lines("l"), 0, lease_ms=1, token=5), 1, lease_ms=1, token=7), 2, token=6)
    verdict = check(lines.history)
    assert (verdict.evidence["receding"], verdict.evidence["reused"], verdict.evidence["overlaps"]) == (1, 0, 0)
    assert verdict.witness is not None
    assert verdict.witness.text.endswith("process 1 had been given it at 0.003 s under token 7")
