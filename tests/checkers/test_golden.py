"""Golden histories: the smallest that shows something, beside a neighbour that does not. Verdicts reasoned by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from splitbrain import checkers

GOLDEN = Path(__file__).parent / "golden"
ASKED = {"faults": ["partition"], "min_operations": 2}
LOST = "lost-writes"

# file, checker, options, verdict, evidence that must be so, a phrase of the witness's text
CASES: list[tuple[str, str, dict[str, Any], str, dict[str, Any], str]] = [
    ("sets-clean", LOST, {}, "valid", {"attempted": 4, "acknowledged": 2, "failed": 1, "recovered": 1, "lost": 0}, ""),
    ("sets-lost", LOST, {}, "invalid", {"lost": 1, "survivors": 1, "lost_fraction": 0.5}, "lacks it"),
    # n1 still lacks what n2 shows. Only where they had been given the time to converge is that a fault.
    ("sets-unstable", LOST, {}, "unknown", {"unstable": 1, "missing": 1, "lost": 0, "survivors": 2}, ""),
    ("sets-phantom", LOST, {}, "invalid", {"phantom": 1, "unexpected": 0, "lost": 0}, "though its add had failed"),
    ("sets-unexpected", LOST, {}, "invalid", {"unexpected": 1, "phantom": 0}, "process 0 read 9 from s0"),
    ("sets-duplicated", LOST, {}, "invalid", {"duplicated": 1, "lost": 0}, "twice in the same read"),
    ("sets-ended-early", LOST, {}, "unknown", {"never_read": 2, "lost": 0}, ""),
    # Acknowledged at 15 ms, still lacking in the read invoked at 20 ms, there from then on.
    ("sets-stale", LOST, {}, "valid", {"stale": 1, "stable_latency_ms": dict.fromkeys(("p50", "max"), 5.0)}, ""),
    # The last word counts: an earlier final read held 0.
    (
        "sets-gone-in-the-end",
        LOST,
        {},
        "invalid",
        {"lost": 1, "survivors": 0, "missing": 0},
        "the last final read lacks",
    ),
    # Nobody knows which of two overlapping reads saw the later state.
    ("sets-flutter", LOST, {}, "unknown", {"lost": 0, "missing": 1, "unstable": 1}, ""),
    ("sets-vanished", LOST, {}, "unknown", {"vanished": 1, "recovered": 0, "lost": 0}, ""),
    # The last word of n2 was invoked before 1 was seen through n1: n2 may have it since.
    ("sets-seen-meanwhile", LOST, {}, "valid", {"vanished": 0, "recovered": 0}, ""),
    ("registers-clean", LOST, {}, "valid", {"surviving": 2, "superseded": 1}, ""),
    ("registers-last-write-wins", LOST, {}, "invalid", {"lost": 1, "superseded": 1}, "write 2 to r0 was done"),
    ("registers-merged", LOST, {}, "valid", {"surviving": 1, "superseded": 3, "lost": 0}, ""),
    # Write 4 was never answered; it may have seen 2 and 3, which came before its end, and it is all that remains.
    ("registers-unprovable", LOST, {}, "unknown", {"unprovable": 3, "lost": 0}, ""),
    # Here it ended before 2 was invoked, so it can't have seen it.
    ("registers-provable", LOST, {}, "invalid", {"unprovable": 0, "lost": 1, "superseded": 1}, "write 2 to r0"),
    ("registers-phantom", LOST, {}, "invalid", {"phantom": 1, "lost": 0}, "though its put had failed"),
    ("registers-failed-and-gone", LOST, {}, "valid", {"phantom": 0, "failed": 1}, ""),
    ("registers-unexpected", LOST, {}, "invalid", {"unexpected": 1}, "which nobody put there"),
    ("registers-gone-in-the-end", LOST, {}, "invalid", {"lost": 1, "surviving": 0, "missing": 0}, "nothing remains"),
    ("registers-vanished", LOST, {}, "unknown", {"vanished": 1, "surviving": 1, "lost": 0}, ""),
    ("registers-replaced-in-the-end", LOST, {}, "valid", {"vanished": 0, "superseded": 1, "surviving": 1}, ""),
    ("siblings-true", "siblings", {}, "valid", {"max": 2, "false_sibling_reads": 0}, ""),
    ("siblings-true", "siblings", {"max_siblings": 2}, "valid", {}, ""),
    ("siblings-true", "siblings", {"max_siblings": 1}, "invalid", {"max": 2}, "read 2 siblings of r0"),
    # [3, 4] is concurrent; [1, 4] isn't, for 4 had seen 2 and 2 had seen 1.
    ("siblings-false", "siblings", {}, "invalid", {"false_sibling_reads": 1}, "had seen 1 through 2"),
    ("siblings-polled", "siblings", {}, "valid", {"counted": "polls", "max": 2, "mean": 1.5}, ""),
    ("convergence-reached", "convergence", {}, "valid", {"converged_after_ms": 42.0, "never_converged": []}, ""),
    ("convergence-reached", "convergence", {"within_ms": 42}, "valid", {}, ""),
    ("convergence-reached", "convergence", {"within_ms": 41}, "invalid", {}, "n1 held b; n2 held a"),
    ("convergence-never", "convergence", {}, "invalid", {"never_converged": ["s0"]}, "n1 held b; n2 held a"),
    ("convergence-bystander", "convergence", {}, "valid", {"converged_after_ms": 0.0}, ""),
    ("convergence-fell-silent", "convergence", {}, "unknown", {"converged_after_ms": None}, ""),
    ("convergence-unpolled", "convergence", {}, "unknown", {}, ""),
    ("availability-served", "availability", {"min_ok_rate": 0.7}, "valid", {"ok_rate": 0.75}, ""),
    ("availability-unserved", "availability", {"min_ok_rate": 0.7}, "invalid", {"ok_rate": 0.5}, "2 of 4 operations"),
    ("availability-unserved", "availability", {}, "valid", {"longest_silence_ms": 35.0}, ""),
    ("latency-met", "latency", {"sla_ms": 300}, "valid", {"over_sla": 0}, ""),
    ("latency-missed", "latency", {"sla_ms": 300}, "invalid", {"over_sla": 1}, "took 301.0 ms"),
    ("latency-missed", "latency", {"sla_ms": 300, "percentile": 50}, "valid", {"over_sla": 1}, ""),
    ("evidence-sound", "evidence", ASKED, "valid", {"recovered": True}, ""),
    ("evidence-sound", "evidence", {**ASKED, "faults": ["partition", "kill"]}, "unknown", {}, ""),
    ("evidence-without-effect", "evidence", ASKED, "unknown", {}, ""),
    ("evidence-without-overlap", "evidence", {**ASKED, "min_operations": 1}, "unknown", {"ineffective": []}, ""),
    ("evidence-node-unread", "evidence", ASKED, "unknown", {"nodes_read_at_the_end": ["n1"]}, ""),
    ("evidence-not-recovered", "evidence", ASKED, "invalid", {"recovered": False}, "did not answer"),
]


def named(case: Any) -> str | None:
    return str(case) if isinstance(case, str | dict) and case else None


@pytest.mark.parametrize(("file", "name", "options", "outcome", "evidence", "phrase"), CASES, ids=named)
def test_a_golden_history_has_the_verdict_reasoned_by_hand(
    file: str, name: str, options: dict[str, Any], outcome: str, evidence: dict[str, Any], phrase: str
) -> None:
    with (GOLDEN / f"{file}.jsonl").open("rb") as lines:
        verdict = checkers.check(name, checkers.History.parse(lines), **options)
    assert verdict.outcome == outcome, verdict.reason
    for field, expected in evidence.items():
        found = verdict.evidence[field]
        if isinstance(expected, dict):
            found = {part: found[part] for part in expected}
        assert found == expected, field
    assert phrase in (verdict.witness.text if verdict.witness else "")


def test_every_golden_history_is_judged() -> None:
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} == {case[0] for case in CASES}


def test_the_witness_of_a_lost_element_says_when_it_was_acknowledged_read_and_gone() -> None:
    with (GOLDEN / "sets-lost.jsonl").open("rb") as lines:
        verdict = checkers.check(LOST, checkers.History.parse(lines))
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
