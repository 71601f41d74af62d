"""Golden histories of the shelf: the smallest that shows something, beside a neighbour that does not, judged by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.invariants import bank, counter, long_fork, total_queue, unique_ids
from splitbrain.checkers.service import stats, unhandled_errors
from splitbrain.checkers.verdict import Verdict

GOLDEN = Path(__file__).parents[1] / "golden" / "invariants"
CHECKERS: Mapping[str, Callable[..., Verdict]] = {
    "counter": counter.check,
    "queue": total_queue.check,
    "ids": unique_ids.check,
    "bank": bank.check,
    "fork": long_fork.check,
    "errors": unhandled_errors.check,
    "stats": stats.check,
}

# file (its first word names the checker), options, verdict, evidence that must be so, a phrase of the witness's text
CASES: list[tuple[str, dict[str, Any], str, dict[str, Any], str]] = [
    # 2 was acknowledged before the read, so at least 2.
    ("counter-lower-bound", {}, "invalid", {"misreads": 1, "largest_error": 1}, "read 1 from c"),
    ("counter-exact", {}, "valid", {"misreads": 0, "exact_reads": 1}, ""),
    ("counter-exact", {"initial": 10}, "invalid", {"largest_error": 10}, "12 was possible: it started at 10"),
    # The crashed add makes it 0 or 2, never 3; and it may be seen by one read and not by the next, by the bounds.
    ("counter-upper-bound", {}, "invalid", {"indeterminate": 1, "exact_reads": 0}, "0 to 2 was possible"),
    ("counter-crashed-add", {}, "valid", {"reads": 2, "widest_bounds": 2}, ""),
    ("counter-failed-add", {}, "invalid", {"failed": 1, "largest_error": 2}, "read 2 from c"),
    ("counter-failed-add-unseen", {}, "valid", {"failed": 1, "exact_reads": 1}, ""),
    # 5, and then perhaps 2 less: 3 to 5.
    ("counter-open-decrement", {}, "valid", {"widest_bounds": 2}, ""),
    ("counter-below-decrement", {}, "invalid", {"largest_error": 1}, "3 to 5 was possible"),
    ("queue-lost", {}, "invalid", {"lost": 1, "acknowledged": 2, "dequeued": 1}, "2 was enqueued in q; it never came"),
    ("queue-drained", {}, "valid", {"lost": 0, "dequeued": 2}, ""),
    ("queue-not-drained", {}, "unknown", {"lost": 0, "undelivered": 1}, ""),
    ("queue-found-empty", {}, "invalid", {"lost": 1}, "process 1 found nothing there"),
    # It was still being filled when a dequeue found nothing: that node may have lagged.
    ("queue-found-empty-too-early", {}, "unknown", {"lost": 0, "undelivered": 1}, ""),
    ("queue-maybe-taken", {}, "valid", {"lost": 0, "maybe_taken": 1}, ""),
    ("queue-crashed-too-late", {}, "invalid", {"lost": 1, "maybe_taken": 0}, "drained it"),
    ("queue-duplicated", {}, "invalid", {"duplicated": 1, "unexpected": 0, "lost": 0}, "more often than it had been"),
    ("queue-duplicated", {"at_least_once": True}, "valid", {"duplicated": 1}, ""),
    ("queue-same-value-twice", {}, "valid", {"duplicated": 0, "dequeued": 2}, ""),
    ("queue-unexpected", {}, "invalid", {"unexpected": 1, "duplicated": 0}, "took 2 out of q"),
    # What came out can't be from an enqueue that was not begun; so that one's value is missing as well.
    ("queue-too-soon", {}, "invalid", {"unexpected": 1, "lost": 1}, "1 was enqueued in q; it never came out"),
    ("queue-phantom", {}, "invalid", {"phantom": 1, "unexpected": 0}, "though its enqueue had failed"),
    ("queue-recovered", {}, "valid", {"recovered": 1, "indeterminate": 1, "lost": 0}, ""),
    # It may have been refused for whatever reason.
    ("queue-failed-without-a-reason", {}, "unknown", {"lost": 0, "undelivered": 1}, ""),
    (
        "ids-duplicated",
        {},
        "invalid",
        {"duplicated": 1, "surplus": 1, "range": [7, 7]},
        "the id 7 was given out 2 times",
    ),
    ("ids-distinct", {}, "valid", {"acknowledged": 2, "range": [7, 8]}, ""),
    ("ids-true-is-not-one", {}, "valid", {"acknowledged": 2, "range": None}, ""),
    ("ids-one", {}, "unknown", {"acknowledged": 1}, ""),
    ("ids-none", {}, "unknown", {"attempted": 1, "acknowledged": 0}, ""),
    ("bank-wrong-total", {}, "invalid", {"bad_reads": 1}, "which add up to 8 and not to 10: 0: 3; 1: 5"),
    ("bank-same-total", {}, "valid", {"bad_reads": 0, "transfers": 1, "acknowledged": 1}, ""),
    ("bank-same-total", {"total": 9}, "invalid", {"bad_reads": 2}, "which add up to 10 and not to 9"),
    ("bank-overdrawn", {}, "invalid", {"bad_reads": 1}, "with 0 overdrawn: 0: -1; 1: 11"),
    ("bank-overdrawn", {"negative_balances": True}, "valid", {"bad_reads": 0}, ""),
    ("bank-nil-balance", {}, "invalid", {"bad_reads": 1}, "without that of 1"),
    ("bank-missing-account", {}, "invalid", {"bad_reads": 1}, "without that of 1"),
    ("bank-unexpected-key", {}, "invalid", {"bad_reads": 1}, "with 2, which this bank does not have"),
    ("bank-unexpected-key", {"accounts": [0, 1, 2]}, "invalid", {"bad_reads": 1}, "without that of 2: 0: 5; 1: 5"),
    ("bank-pairs", {}, "valid", {"reads": 2}, ""),
    ("bank-one-read", {}, "unknown", {"reads": 1}, ""),
    ("bank-no-transfer", {}, "unknown", {"bad_reads": 0, "transfers": 0}, ""),
    ("bank-no-transfer", {"total": 10}, "unknown", {"bad_reads": 0}, ""),
    ("bank-no-transfer", {"total": 9}, "invalid", {"bad_reads": 2}, "which add up to 10 and not to 9"),
    ("bank-failed-transfer", {}, "unknown", {"transfers": 1, "acknowledged": 0}, ""),
    ("bank-crashed-transfer", {}, "valid", {"transfers": 1, "acknowledged": 0}, ""),
    ("bank-late-transfer", {}, "unknown", {"transfers": 1, "acknowledged": 1}, ""),
    ("bank-one-read", {"total": 10}, "valid", {"reads": 1}, ""),
    ("fork-long", {}, "invalid", {"forked": 1, "compared": 1}, 'saw "x" written and "y" not yet'),
    ("fork-long", {"group_size": 2}, "invalid", {"forked": 1}, "in different orders"),
    ("fork-none", {}, "valid", {"forked": 0, "compared": 1}, ""),
    ("fork-unexpected", {}, "invalid", {"unexpected": 1, "forked": 0}, 'read 2 from "x"'),
    ("fork-phantom", {}, "invalid", {"phantom": 1, "forked": 0}, "though the write of it had failed"),
    ("fork-no-write", {}, "unknown", {"compared": 1, "at_stake": 0}, ""),
    ("fork-one-write-seen", {}, "unknown", {"writes": 2, "compared": 1, "at_stake": 0}, ""),
    ("fork-other-groups", {}, "unknown", {"groups": 2, "compared": 0}, ""),
    ("errors-described", {}, "valid", {"errors": 3, "codes": 2, "without_error": 0}, ""),
    ("errors-described", {"forbidden": ["conflict"]}, "invalid", {"errors": 3}, "end with 'conflict: too late'"),
    ("stats-served", {}, "valid", {"count": 3, "ok": 2, "fail": 1, "info": 0, "never_ok": []}, ""),
    ("stats-never-ok", {}, "unknown", {"count": 3, "never_ok": ["read"]}, ""),
]


def named(case: Any) -> str | None:
    return str(case) if isinstance(case, str | dict) and case else None


@pytest.mark.parametrize(("file", "options", "outcome", "evidence", "told"), CASES, ids=named)
def test_a_golden_history_has_the_verdict_reasoned_by_hand(
    file: str, options: dict[str, Any], outcome: str, evidence: dict[str, Any], told: str
) -> None:
    with (GOLDEN / f"{file}.jsonl").open("rb") as lines:
        history = History.parse(lines)
    verdict = CHECKERS[file.partition("-")[0]](history, **options)
    assert verdict.outcome == outcome, verdict.reason
    for field, expected in evidence.items():
        assert verdict.evidence[field] == expected, field
    assert told in (verdict.witness.text if verdict.witness else "")
    if verdict.witness:
        assert list(verdict.witness.events) == sorted(set(verdict.witness.events))
        assert verdict.witness.events
        assert verdict.witness.events[-1] < len(history.events)


def test_every_golden_history_is_judged() -> None:
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} == {case[0] for case in CASES}
