from __future__ import annotations

from splitbrain.checkers.service.stats import check
from tests.checkers.lines import Lines


def test_operations_are_counted_by_kind_and_outcome() -> None:
    lines = Lines().ok(0, "add", 1).crash(1, "add", 2).fail(0, "read").ok(0, "read", None, [1]).invoke(2, "add", 3)
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.reason) == ("valid", "2 of 5 operations ok, of every kind some: add and read")
    assert verdict.evidence["by_f"] == {
        "add": {"count": 3, "ok": 1, "fail": 0, "info": 2},
        "read": {"count": 2, "ok": 1, "fail": 1, "info": 0},
    }
    assert {name: verdict.evidence[name] for name in ("count", "ok", "fail", "info")} == {
        "count": 5,
        "ok": 2,
        "fail": 1,
        "info": 2,
    }


def test_a_kind_that_never_succeeded_was_never_tested() -> None:
    lines = Lines().ok(0, "read", None, 1).fail(0, "cas", [1, 2]).fail(0, "cas", [2, 3])
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.reason) == ("unknown", "never ok, so never tested: cas (2 operations)")


def test_polls_and_the_nemesis_are_in_no_total() -> None:
    lines = Lines().ok(0, "read", None, 1).fail(1, "replica").nemesis("kill")
    verdict = check(lines.history)
    assert (verdict.outcome, verdict.evidence["count"]) == ("valid", 1)
    assert verdict.evidence["by_f"]["replica"]["fail"] == 1
    assert check(Lines().ok(0, "replica", None, {}).nemesis("kill").history).outcome == "unknown"
