"""Golden histories of sets, registers, carts and polled replicas.

Each is the smallest that shows something, beside a neighbour that does not. Verdicts are reasoned by hand.
"""

from __future__ import annotations

import pytest

from splitbrain import checkers
from tests.checkers.golden_cases import GoldenCase
from tests.checkers.golden_histories import load, names_in

LOST = "lost-writes"

CASES: list[GoldenCase] = [
    GoldenCase(
        "eventual/sets-clean",
        LOST,
        {},
        "valid",
        {"attempted": 4, "acknowledged": 2, "failed": 1, "recovered": 1, "lost": 0},
        "",
    ),
    GoldenCase(
        "eventual/sets-lost", LOST, {}, "invalid", {"lost": 1, "survivors": 1, "lost_fraction": 0.5}, "lacks it"
    ),
    # n1 still lacks what n2 shows. Only where they had been given the time to converge is that a fault.
    GoldenCase(
        "eventual/sets-unstable", LOST, {}, "unknown", {"unstable": 1, "missing": 1, "lost": 0, "survivors": 2}, ""
    ),
    GoldenCase(
        "eventual/sets-phantom",
        LOST,
        {},
        "invalid",
        {"phantom": 1, "unexpected": 0, "lost": 0},
        "though its add had failed",
    ),
    GoldenCase(
        "eventual/sets-unexpected", LOST, {}, "invalid", {"unexpected": 1, "phantom": 0}, "process 0 read 9 from s0"
    ),
    GoldenCase("eventual/sets-duplicated", LOST, {}, "invalid", {"duplicated": 1, "lost": 0}, "twice in the same read"),
    GoldenCase("eventual/sets-ended-early", LOST, {}, "unknown", {"never_read": 2, "lost": 0}, ""),
    # Acknowledged at 15 ms, still lacking in the read invoked at 20 ms, there from then on.
    GoldenCase(
        "eventual/sets-stale",
        LOST,
        {},
        "valid",
        {"stale": 1, "stable_latency_ms": dict.fromkeys(("p50", "max"), 5.0)},
        "",
    ),
    # The concluding read counts: an earlier final read held 0.
    GoldenCase(
        "eventual/sets-gone-in-the-end",
        LOST,
        {},
        "invalid",
        {"lost": 1, "survivors": 0, "missing": 0},
        "the last final read lacks",
    ),
    # Either of two overlapping reads may have seen the later state.
    GoldenCase("eventual/sets-flutter", LOST, {}, "unknown", {"lost": 0, "missing": 1, "unstable": 1}, ""),
    GoldenCase("eventual/sets-vanished", LOST, {}, "unknown", {"vanished": 1, "recovered": 0, "lost": 0}, ""),
    # The concluding read of n2 was invoked before 1 was seen through n1: n2 may have it since.
    GoldenCase("eventual/sets-seen-meanwhile", LOST, {}, "valid", {"vanished": 0, "recovered": 0}, ""),
    GoldenCase("eventual/registers-clean", LOST, {}, "valid", {"surviving": 2, "superseded": 1}, ""),
    GoldenCase(
        "eventual/registers-last-write-wins",
        LOST,
        {},
        "invalid",
        {"lost": 1, "superseded": 1},
        "write 2 to r0 was done",
    ),
    GoldenCase("eventual/registers-merged", LOST, {}, "valid", {"surviving": 1, "superseded": 3, "lost": 0}, ""),
    # Write 4 was never answered; it may have seen 2 and 3, which came before its end, and it is all that remains.
    GoldenCase("eventual/registers-unprovable", LOST, {}, "unknown", {"unprovable": 3, "lost": 0}, ""),
    # Here it ended before 2 was invoked, so it can't have seen it.
    GoldenCase(
        "eventual/registers-provable",
        LOST,
        {},
        "invalid",
        {"unprovable": 0, "lost": 1, "superseded": 1},
        "write 2 to r0",
    ),
    GoldenCase(
        "eventual/registers-phantom", LOST, {}, "invalid", {"phantom": 1, "lost": 0}, "though its put had failed"
    ),
    GoldenCase("eventual/registers-failed-and-gone", LOST, {}, "valid", {"phantom": 0, "failed": 1}, ""),
    GoldenCase("eventual/registers-unexpected", LOST, {}, "invalid", {"unexpected": 1}, "which nobody put there"),
    GoldenCase(
        "eventual/registers-gone-in-the-end",
        LOST,
        {},
        "invalid",
        {"lost": 1, "surviving": 0, "missing": 0},
        "nothing remains",
    ),
    GoldenCase("eventual/registers-vanished", LOST, {}, "unknown", {"vanished": 1, "surviving": 1, "lost": 0}, ""),
    GoldenCase(
        "eventual/registers-replaced-in-the-end",
        LOST,
        {},
        "valid",
        {"vanished": 0, "superseded": 1, "surviving": 1},
        "",
    ),
    GoldenCase(
        "eventual/registers-deleted", LOST, {}, "valid", {"deleted": 1, "surviving": 1, "lost": 0, "resurrected": 0}, ""
    ),
    # The delete was acknowledged, and no node remembers it.
    GoldenCase(
        "eventual/registers-resurrected",
        LOST,
        {},
        "invalid",
        {"lost": 1, "resurrected": 1, "surviving": 1, "deleted": 0},
        "r0 was deleted (write 2); it had seen 1, and the final read at 0.061 s (n1) returns that again, as do all others",
    ),
    GoldenCase(
        "eventual/registers-resurrected-somewhere",
        LOST,
        {},
        "invalid",
        {"lost": 0, "missing": 1, "resurrected": 1},
        "it had seen 1, and the final read at 0.071 s (n2) returns that again; that at 0.061 s (n1) does not",
    ),
    # It may have happened, or not.
    GoldenCase("eventual/registers-delete-indeterminate", LOST, {}, "valid", {"resurrected": 0, "surviving": 1}, ""),
    GoldenCase(
        "eventual/registers-delete-failed",
        LOST,
        {},
        "invalid",
        {"lost": 1, "deleted": 0, "failed": 1},
        "nothing remains",
    ),
    # The delete had not seen 3.
    GoldenCase(
        "eventual/registers-deleted-too-much",
        LOST,
        {},
        "invalid",
        {"lost": 1, "deleted": 1, "surviving": 1},
        "write 3 to r0 was done",
    ),
    GoldenCase(
        "eventual/registers-created-again",
        LOST,
        {},
        "valid",
        {"surviving": 1, "superseded": 2, "deleted": 0, "resurrected": 0},
        "",
    ),
    GoldenCase("eventual/registers-created-again", "siblings", {}, "valid", {"max": 1}, ""),
    GoldenCase(
        "eventual/siblings-through-a-delete",
        "siblings",
        {},
        "invalid",
        {"false_sibling_reads": 1},
        "had seen 1 through 2",
    ),
    GoldenCase("eventual/siblings-through-a-delete", LOST, {}, "invalid", {"missing": 1, "resurrected": 1}, ""),
    GoldenCase("eventual/carts-kept", "carts", {}, "valid", {"kept": 2, "taken": 1, "lost": 0, "resurfaced": 0}, ""),
    GoldenCase("eventual/carts-ordered", "carts", {}, "valid", {"kept": 1, "taken": 1}, ""),
    GoldenCase("eventual/carts-resurfaced", "carts", {}, "valid", {"kept": 2, "resurfaced": 1}, ""),
    GoldenCase(
        "eventual/carts-lost",
        "carts",
        {},
        "invalid",
        {"lost": 1, "kept": 1},
        "process 0 was told at 0.002 s (n1) that milk was added to cart0; it was in no read since; no remove and no "
        "order took it, and the read at 0.061 s (n1) lacks it",
    ),
    # The remove was over before milk was added again.
    GoldenCase("eventual/carts-added-again-and-lost", "carts", {}, "invalid", {"lost": 1, "taken": 0}, "that milk was"),
    GoldenCase(
        "eventual/carts-order-without-it", "carts", {}, "invalid", {"lost": 1, "taken": 1}, "that milk was added"
    ),
    # It may have taken all there was.
    GoldenCase("eventual/carts-checkout-indeterminate", "carts", {}, "valid", {"taken": 1, "lost": 0}, ""),
    GoldenCase("eventual/carts-remove-failed", "carts", {}, "invalid", {"lost": 1}, "that milk was added to cart0"),
    GoldenCase(
        "eventual/carts-missing", "carts", {}, "invalid", {"missing": 1, "kept": 1, "lost": 0}, "0.071 s (n2) lacks it"
    ),
    GoldenCase(
        "eventual/carts-phantom", "carts", {}, "invalid", {"phantom": 1, "failed": 1}, "though its add had failed"
    ),
    GoldenCase("eventual/carts-unexpected", "carts", {}, "invalid", {"unexpected": 1}, "ordered figs from cart0"),
    GoldenCase("eventual/siblings-true", "siblings", {}, "valid", {"max": 2, "false_sibling_reads": 0}, ""),
    GoldenCase("eventual/siblings-true", "siblings", {"max_siblings": 2}, "valid", {}, ""),
    GoldenCase(
        "eventual/siblings-true", "siblings", {"max_siblings": 1}, "invalid", {"max": 2}, "read 2 siblings of r0"
    ),
    # [3, 4] is concurrent; [1, 4] isn't, for 4 had seen 2 and 2 had seen 1.
    GoldenCase(
        "eventual/siblings-false", "siblings", {}, "invalid", {"false_sibling_reads": 1}, "had seen 1 through 2"
    ),
    GoldenCase("eventual/siblings-polled", "siblings", {}, "valid", {"counted": "polls", "max": 2, "mean": 1.5}, ""),
    GoldenCase(
        "eventual/convergence-reached",
        "convergence",
        {},
        "valid",
        {"converged_after_ms": 42.0, "never_converged": []},
        "",
    ),
    GoldenCase("eventual/convergence-reached", "convergence", {"within_ms": 42}, "valid", {}, ""),
    GoldenCase("eventual/convergence-reached", "convergence", {"within_ms": 41}, "invalid", {}, "n1 held b; n2 held a"),
    GoldenCase(
        "eventual/convergence-never", "convergence", {}, "invalid", {"never_converged": ["s0"]}, "n1 held b; n2 held a"
    ),
    GoldenCase("eventual/convergence-bystander", "convergence", {}, "valid", {"converged_after_ms": 0.0}, ""),
    GoldenCase("eventual/convergence-fell-silent", "convergence", {}, "unknown", {"converged_after_ms": None}, ""),
    GoldenCase("eventual/convergence-unpolled", "convergence", {}, "unknown", {}, ""),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_golden_history_has_the_verdict_reasoned_by_hand(case: GoldenCase) -> None:
    case.judge()


def test_every_golden_history_is_judged() -> None:
    # What a set does not have is in `test_foreign_operations`.
    assert names_in("eventual") == {case.file for case in CASES}


def test_the_witness_of_a_lost_element_says_when_it_was_acknowledged_read_and_gone() -> None:
    verdict = checkers.check(LOST, load("eventual/sets-lost"))
    assert verdict.witness is not None
    assert verdict.witness.text == (
        "process 0 was told at 0.015 s (n1) that 1 was added to s0; it was last read at 0.035 s (n1) and is gone from "
        "the read at 0.100 s; every one of the 2 final reads (through n1 and n2) lacks it; meanwhile partition halves "
        "stood from 0.041 s to 0.070 s"
    )
    assert verdict.witness.data["lost"] == [
        {
            "key": "s0",
            "value": 1,
            "time": 15_000_000,
            "node": "n1",
            "process": 0,
            "index": 2,
            "last_held": 30_000_000,
        }
    ]
    assert verdict.witness.events == (1, 2, 5, 6, 18, 19, 20, 21)
