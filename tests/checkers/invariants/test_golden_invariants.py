"""Golden histories of counters, queues, ids, banks and long forks.

Each is the smallest that shows something, beside a neighbour that does not. Verdicts are reasoned by hand.
"""

from __future__ import annotations

import pytest

from tests.checkers.golden_cases import GoldenCase
from tests.checkers.golden_histories import names_in

CASES: list[GoldenCase] = [
    # 2 was acknowledged before the read, so at least 2.
    GoldenCase(
        "invariants/counter-lower-bound", "counter", {}, "invalid", {"misreads": 1, "largest_error": 1}, "read 1 from c"
    ),
    GoldenCase("invariants/counter-exact", "counter", {}, "valid", {"misreads": 0, "exact_reads": 1}, ""),
    GoldenCase(
        "invariants/counter-exact",
        "counter",
        {"initial": 10},
        "invalid",
        {"largest_error": 10},
        "12 was possible: it started at 10",
    ),
    # The crashed add makes it 0 or 2, never 3; and it may be seen by one read and not by the next, by the bounds.
    GoldenCase(
        "invariants/counter-upper-bound",
        "counter",
        {},
        "invalid",
        {"indeterminate": 1, "exact_reads": 0},
        "0 to 2 was possible",
    ),
    GoldenCase("invariants/counter-crashed-add", "counter", {}, "valid", {"reads": 2, "widest_bounds": 2}, ""),
    GoldenCase(
        "invariants/counter-failed-add", "counter", {}, "invalid", {"failed": 1, "largest_error": 2}, "read 2 from c"
    ),
    GoldenCase("invariants/counter-failed-add-unseen", "counter", {}, "valid", {"failed": 1, "exact_reads": 1}, ""),
    # 5, and then perhaps 2 less: 3 to 5.
    GoldenCase("invariants/counter-open-decrement", "counter", {}, "valid", {"widest_bounds": 2}, ""),
    GoldenCase(
        "invariants/counter-below-decrement", "counter", {}, "invalid", {"largest_error": 1}, "3 to 5 was possible"
    ),
    GoldenCase(
        "invariants/queue-lost",
        "total-queue",
        {},
        "invalid",
        {"lost": 1, "acknowledged": 2, "dequeued": 1},
        "2 was enqueued in q; it never came",
    ),
    GoldenCase("invariants/queue-drained", "total-queue", {}, "valid", {"lost": 0, "dequeued": 2}, ""),
    GoldenCase("invariants/queue-not-drained", "total-queue", {}, "unknown", {"lost": 0, "undelivered": 1}, ""),
    GoldenCase(
        "invariants/queue-found-empty", "total-queue", {}, "invalid", {"lost": 1}, "process 1 found nothing there"
    ),
    # It was still being filled when a dequeue found nothing: that node may have lagged.
    GoldenCase(
        "invariants/queue-found-empty-too-early", "total-queue", {}, "unknown", {"lost": 0, "undelivered": 1}, ""
    ),
    GoldenCase("invariants/queue-maybe-taken", "total-queue", {}, "valid", {"lost": 0, "maybe_taken": 1}, ""),
    GoldenCase(
        "invariants/queue-crashed-too-late", "total-queue", {}, "invalid", {"lost": 1, "maybe_taken": 0}, "drained it"
    ),
    GoldenCase(
        "invariants/queue-duplicated",
        "total-queue",
        {},
        "invalid",
        {"duplicated": 1, "unexpected": 0, "lost": 0},
        "more often than it had been",
    ),
    GoldenCase("invariants/queue-duplicated", "total-queue", {"at_least_once": True}, "valid", {"duplicated": 1}, ""),
    GoldenCase("invariants/queue-same-value-twice", "total-queue", {}, "valid", {"duplicated": 0, "dequeued": 2}, ""),
    GoldenCase(
        "invariants/queue-unexpected",
        "total-queue",
        {},
        "invalid",
        {"unexpected": 1, "duplicated": 0},
        "took 2 out of q",
    ),
    # What came out can't be from an enqueue that was not begun; so that one's value is missing as well.
    GoldenCase(
        "invariants/queue-too-soon",
        "total-queue",
        {},
        "invalid",
        {"unexpected": 1, "lost": 1},
        "1 was enqueued in q; it never came out",
    ),
    GoldenCase(
        "invariants/queue-phantom",
        "total-queue",
        {},
        "invalid",
        {"phantom": 1, "unexpected": 0},
        "though its enqueue had failed",
    ),
    GoldenCase(
        "invariants/queue-recovered", "total-queue", {}, "valid", {"recovered": 1, "indeterminate": 1, "lost": 0}, ""
    ),
    # Nothing to take is how a dequeue fails for certain.
    GoldenCase(
        "invariants/queue-failed-without-a-reason",
        "total-queue",
        {},
        "invalid",
        {"lost": 1, "undelivered": 0},
        "process 0 was told at 0.001 s that 2 was enqueued",
    ),
    GoldenCase(
        "invariants/ids-duplicated",
        "unique-ids",
        {},
        "invalid",
        {"duplicated": 1, "surplus": 1, "range": [7, 7]},
        "the id 7 was given out 2 times",
    ),
    GoldenCase("invariants/ids-distinct", "unique-ids", {}, "valid", {"acknowledged": 2, "range": [7, 8]}, ""),
    GoldenCase("invariants/ids-true-is-not-one", "unique-ids", {}, "valid", {"acknowledged": 2, "range": None}, ""),
    GoldenCase("invariants/ids-one", "unique-ids", {}, "unknown", {"acknowledged": 1}, ""),
    GoldenCase("invariants/ids-none", "unique-ids", {}, "unknown", {"attempted": 1, "acknowledged": 0}, ""),
    GoldenCase(
        "invariants/bank-wrong-total",
        "bank",
        {},
        "invalid",
        {"bad_reads": 1},
        "which add up to 8 and not to 10: 0: 3; 1: 5",
    ),
    GoldenCase(
        "invariants/bank-same-total", "bank", {}, "valid", {"bad_reads": 0, "transfers": 1, "acknowledged": 1}, ""
    ),
    GoldenCase(
        "invariants/bank-same-total",
        "bank",
        {"total": 9},
        "invalid",
        {"bad_reads": 2},
        "which add up to 10 and not to 9",
    ),
    GoldenCase("invariants/bank-overdrawn", "bank", {}, "invalid", {"bad_reads": 1}, "with 0 overdrawn: 0: -1; 1: 11"),
    GoldenCase("invariants/bank-overdrawn", "bank", {"negative_balances": True}, "valid", {"bad_reads": 0}, ""),
    GoldenCase("invariants/bank-nil-balance", "bank", {}, "invalid", {"bad_reads": 1}, "without that of 1"),
    GoldenCase("invariants/bank-missing-account", "bank", {}, "invalid", {"bad_reads": 1}, "without that of 1"),
    GoldenCase(
        "invariants/bank-unexpected-key",
        "bank",
        {},
        "invalid",
        {"bad_reads": 1},
        "with 2, which this bank does not have",
    ),
    GoldenCase(
        "invariants/bank-unexpected-key",
        "bank",
        {"accounts": [0, 1, 2]},
        "invalid",
        {"bad_reads": 1},
        "without that of 2: 0: 5; 1: 5",
    ),
    GoldenCase("invariants/bank-pairs", "bank", {}, "valid", {"reads": 2}, ""),
    GoldenCase("invariants/bank-one-read", "bank", {}, "unknown", {"reads": 1}, ""),
    GoldenCase("invariants/bank-no-transfer", "bank", {}, "unknown", {"bad_reads": 0, "transfers": 0}, ""),
    GoldenCase("invariants/bank-no-transfer", "bank", {"total": 10}, "unknown", {"bad_reads": 0}, ""),
    GoldenCase(
        "invariants/bank-no-transfer",
        "bank",
        {"total": 9},
        "invalid",
        {"bad_reads": 2},
        "which add up to 10 and not to 9",
    ),
    GoldenCase("invariants/bank-failed-transfer", "bank", {}, "unknown", {"transfers": 1, "acknowledged": 0}, ""),
    GoldenCase("invariants/bank-crashed-transfer", "bank", {}, "valid", {"transfers": 1, "acknowledged": 0}, ""),
    GoldenCase("invariants/bank-late-transfer", "bank", {}, "unknown", {"transfers": 1, "acknowledged": 1}, ""),
    GoldenCase("invariants/bank-one-read", "bank", {"total": 10}, "valid", {"reads": 1}, ""),
    GoldenCase(
        "invariants/fork-long",
        "long-fork",
        {},
        "invalid",
        {"forked": 1, "compared": 1},
        'saw "x" written and "y" not yet',
    ),
    GoldenCase("invariants/fork-long", "long-fork", {"group_size": 2}, "invalid", {"forked": 1}, "in different orders"),
    GoldenCase("invariants/fork-none", "long-fork", {}, "valid", {"forked": 0, "compared": 1}, ""),
    GoldenCase(
        "invariants/fork-unexpected", "long-fork", {}, "invalid", {"unexpected": 1, "forked": 0}, 'read 2 from "x"'
    ),
    GoldenCase(
        "invariants/fork-phantom",
        "long-fork",
        {},
        "invalid",
        {"phantom": 1, "forked": 0},
        "though the write of it had failed",
    ),
    GoldenCase("invariants/fork-no-write", "long-fork", {}, "unknown", {"compared": 1, "at_stake": 0}, ""),
    GoldenCase(
        "invariants/fork-one-write-seen", "long-fork", {}, "unknown", {"writes": 2, "compared": 1, "at_stake": 0}, ""
    ),
    GoldenCase("invariants/fork-other-groups", "long-fork", {}, "unknown", {"groups": 2, "compared": 0}, ""),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_golden_history_has_the_verdict_reasoned_by_hand(case: GoldenCase) -> None:
    case.judge()


def test_every_golden_history_is_judged() -> None:
    assert names_in("invariants") == {case.file for case in CASES}
