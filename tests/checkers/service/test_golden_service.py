"""Golden histories of how clients were served.

Each is the smallest that shows something, beside a neighbour that does not. Verdicts are reasoned by hand.
"""

from __future__ import annotations

import pytest

from tests.checkers.golden_cases import GoldenCase
from tests.checkers.golden_histories import names_in

ASKED = {"faults": ["partition"], "min_operations": 2}

CASES: list[GoldenCase] = [
    GoldenCase("service/availability-served", "availability", {"min_ok_rate": 0.7}, "valid", {"ok_rate": 0.75}, ""),
    GoldenCase(
        "service/availability-unserved",
        "availability",
        {"min_ok_rate": 0.7},
        "invalid",
        {"ok_rate": 0.5},
        "2 of 4 operations",
    ),
    GoldenCase("service/availability-unserved", "availability", {}, "valid", {"longest_silence_ms": 35.0}, ""),
    GoldenCase("service/latency-met", "latency", {"sla_ms": 300}, "valid", {"over_sla": 0}, ""),
    GoldenCase("service/latency-missed", "latency", {"sla_ms": 300}, "invalid", {"over_sla": 1}, "took 301.0 ms"),
    GoldenCase("service/latency-missed", "latency", {"sla_ms": 300, "percentile": 50}, "valid", {"over_sla": 1}, ""),
    GoldenCase("service/evidence-sound", "evidence", ASKED, "valid", {"recovered": True}, ""),
    GoldenCase("service/evidence-sound", "evidence", {**ASKED, "faults": ["partition", "kill"]}, "unknown", {}, ""),
    GoldenCase("service/evidence-without-effect", "evidence", ASKED, "unknown", {}, ""),
    GoldenCase(
        "service/evidence-without-overlap",
        "evidence",
        {**ASKED, "min_operations": 1},
        "unknown",
        {"ineffective": []},
        "",
    ),
    GoldenCase("service/evidence-node-unread", "evidence", ASKED, "unknown", {"nodes_read_at_the_end": ["n1"]}, ""),
    GoldenCase("service/evidence-not-recovered", "evidence", ASKED, "invalid", {"recovered": False}, "did not answer"),
    GoldenCase(
        "service/errors-described", "unhandled-errors", {}, "valid", {"errors": 3, "codes": 2, "without_error": 0}, ""
    ),
    GoldenCase(
        "service/errors-described",
        "unhandled-errors",
        {"forbidden": ["conflict"]},
        "invalid",
        {"errors": 3},
        "end with 'conflict: too late'",
    ),
    GoldenCase(
        "service/stats-served", "stats", {}, "valid", {"count": 3, "ok": 2, "fail": 1, "info": 0, "never_ok": []}, ""
    ),
    GoldenCase("service/stats-never-ok", "stats", {}, "unknown", {"count": 3, "never_ok": ["read"]}, ""),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_golden_history_has_the_verdict_reasoned_by_hand(case: GoldenCase) -> None:
    case.judge()


def test_every_golden_history_is_judged() -> None:
    assert names_in("service") == {case.file for case in CASES}
