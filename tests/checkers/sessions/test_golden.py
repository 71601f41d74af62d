"""Golden histories of weak consistency, each beside a neighbour. Verdicts reasoned by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from splitbrain.checkers import causal, sessions
from splitbrain.checkers.eventual import staleness
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.verdict import Verdict

GOLDEN = Path(__file__).parents[1] / "golden" / "sessions"
RYW, MR, MW, WFR = "read your writes", "monotonic reads", "monotonic writes", "writes follow reads"


def load(name: str) -> History:
    with (GOLDEN / f"{name}.jsonl").open("rb") as lines:
        return History.parse(lines)


# file, outcome, guarantees violated, those held; the others are unknown
SESSIONS: list[tuple[str, str, set[str], set[str]]] = [
    ("distinct-read-your-writes", "invalid", {RYW}, set()),
    ("distinct-read-your-writes-kept", "valid", set(), {RYW}),
    # 2 may well be newer than 1.
    ("distinct-overwritten", "valid", set(), {RYW}),
    # 1 can't be newer than 2, which the same session wrote after it.
    ("distinct-own-overwritten", "invalid", {RYW}, set()),
    ("distinct-monotonic-reads", "invalid", {MR}, set()),
    ("distinct-monotonic-reads-kept", "unknown", set(), set()),
    ("distinct-flicker", "invalid", {MR}, set()),
    ("distinct-flicker-not", "valid", set(), {MR}),
    ("distinct-monotonic-writes", "invalid", {MW}, set()),
    ("distinct-monotonic-writes-kept", "unknown", set(), set()),
    ("distinct-writes-follow-reads", "invalid", {WFR}, set()),
    ("distinct-writes-follow-reads-kept", "valid", set(), {WFR}),
    ("distinct-each-knew-the-other", "invalid", {WFR}, set()),
    ("distinct-one-knew-the-other", "valid", set(), {RYW}),
    ("distinct-retired", "unknown", set(), set()),
    ("distinct-stray", "unknown", set(), set()),
    ("distinct-failed-and-read", "unknown", set(), set()),
    ("distinct-failed-and-tried-again", "valid", set(), {RYW}),
    ("distinct-info-and-read", "invalid", {MR}, set()),
    # Each session sees its own write overwritten by the other's: no one order has both.
    ("distinct-orders-differ", "invalid", {RYW}, set()),
    ("distinct-orders-agree", "valid", set(), {RYW}),
    # Having seen 2, a session needs no more than 1 of what was written before it: that is what it got.
    ("distinct-backwards", "invalid", {MR}, {MW}),
    ("distinct-forwards", "valid", set(), {MR}),
    # Each guarantee alone leaves 1 and 2 in any order; all together they don't.
    ("distinct-all-together", "valid", set(), {MR}),
    ("distinct-other-key", "unknown", set(), set()),
    ("versioned-other-key", "unknown", set(), set()),
    ("distinct-only-writes", "unknown", set(), set()),
    ("distinct-only-reads", "unknown", set(), set()),
    ("versioned-read-your-writes", "invalid", {RYW}, set()),
    ("versioned-read-your-writes-as-siblings", "valid", set(), {RYW}),
    ("versioned-read-your-writes-superseded", "valid", set(), {RYW}),
    ("versioned-monotonic-reads", "invalid", {MR}, set()),
    ("versioned-monotonic-reads-kept", "valid", set(), {MR}),
    ("versioned-monotonic-writes", "invalid", {MW}, set()),
    ("versioned-monotonic-writes-kept", "valid", set(), {MW}),
    ("versioned-monotonic-writes-across-keys", "invalid", {MW}, set()),
    ("versioned-writes-follow-reads", "invalid", {WFR}, set()),
    ("versioned-writes-follow-reads-kept", "valid", set(), {WFR}),
    ("versioned-unprovable", "unknown", set(), set()),
    # 2 had ended before 1 was invoked, so it can't have seen it.
    ("versioned-provable", "invalid", {RYW}, set()),
    ("versioned-nobody-put", "unknown", set(), set()),
    ("versioned-failed", "unknown", set(), set()),
    ("versioned-failed-and-read", "unknown", set(), set()),
    ("versioned-circle", "unknown", set(), set()),
]


@pytest.mark.parametrize(
    ("file", "outcome", "violated", "held"), SESSIONS, ids=lambda case: case if isinstance(case, str) else None
)
def test_session_guarantees_of_a_golden_history(file: str, outcome: str, violated: set[str], held: set[str]) -> None:
    verdict = sessions.check(load(file))
    assert verdict.outcome == outcome, verdict.reason
    told = verdict.evidence.get("guarantees", {})
    assert {name for name, each in told.items() if each["verdict"] == "violated"} == violated
    assert {name for name, each in told.items() if each["verdict"] == "held"} == held


# file, level, pattern found or else the outcome
CAUSAL: list[tuple[str, str, str]] = [
    ("distinct-monotonic-writes", "cc", "WriteCOInitRead"),
    ("distinct-monotonic-writes-kept", "cc", "valid"),
    ("distinct-writes-follow-reads", "cc", "WriteCOInitRead"),
    ("distinct-writes-follow-reads-kept", "cc", "valid"),
    ("distinct-backwards", "cc", "WriteCORead"),
    ("distinct-forwards", "cc", "valid"),
    ("distinct-each-knew-the-other", "cc", "CyclicCO"),
    ("distinct-one-knew-the-other", "cc", "valid"),
    ("distinct-stray", "cc", "ThinAirRead"),
    ("distinct-failed-and-read", "cc", "ThinAirRead"),
    ("distinct-failed-and-tried-again", "cc", "valid"),
    ("distinct-info-and-read", "cc", "WriteCOInitRead"),
    ("distinct-orders-differ", "cc", "valid"),
    ("distinct-orders-differ", "cm", "valid"),
    ("distinct-orders-differ", "ccv", "CyclicCF"),
    ("distinct-orders-agree", "ccv", "valid"),
    ("distinct-flicker", "cc", "valid"),
    ("distinct-flicker", "cm", "CyclicHB"),
    ("distinct-flicker-not", "cm", "valid"),
    # Process 1 read 2 after it had seen all that process 0 wrote, so 2 came after that: too late for it to miss z.
    ("distinct-no-order-of-its-own", "ccv", "valid"),
    ("distinct-no-order-of-its-own", "cm", "WriteHBInitRead"),
    ("distinct-order-of-its-own", "cm", "valid"),
    # x = 1 came before x = 2, which process 9 read although it had seen both; so y = 2, written before x = 1, came before
    # x = 2 and before what it read after that, which was y = 1.
    ("distinct-twice-removed", "ccv", "valid"),
    ("distinct-twice-removed", "cm", "CyclicHB"),
    ("distinct-twice-removed-kept", "cm", "valid"),
    ("distinct-all-together", "cc", "WriteCORead"),
    ("distinct-other-key", "cc", "unknown"),
    ("distinct-other-key", "ccv", "unknown"),
    ("versioned-other-key", "cc", "unknown"),
    ("distinct-only-writes", "cc", "unknown"),
    ("distinct-only-reads", "cc", "unknown"),
    ("versioned-monotonic-writes", "cc", "WriteCORead"),
    ("versioned-monotonic-writes-kept", "cc", "valid"),
    ("versioned-causal-across-keys", "cc", "WriteCOInitRead"),
    ("versioned-causal-across-keys-kept", "cc", "valid"),
    ("versioned-circle", "cc", "CyclicCO"),
    ("versioned-unprovable", "cc", "unknown"),
    ("versioned-provable", "cc", "WriteCORead"),
    ("versioned-nobody-put", "cc", "ThinAirRead"),
    ("versioned-failed-and-read", "cc", "ThinAirRead"),
]


@pytest.mark.parametrize(("file", "level", "expected"), CAUSAL)
def test_causal_consistency_of_a_golden_history(file: str, level: Any, expected: str) -> None:
    verdict = causal.check(load(file), level=level)
    if expected in ("valid", "unknown"):
        assert verdict.outcome == expected, verdict.reason
    else:
        assert verdict.outcome == "invalid"
        assert [pattern for pattern, number in verdict.evidence["patterns"].items() if number] == [expected]
        assert verdict.witness is not None and verdict.witness.data["kind"] == expected


# file, most writes missed, longest in ms; None: unknown
STALE: list[tuple[str, int | None, float]] = [
    # Acknowledged at 25 ms, read invoked at 30 ms.
    ("distinct-stale", 1, 5.0),
    ("distinct-overlapping", 0, 0.0),
    # 1 was read by 25 ms, before 2 was invoked at 30 ms; 2 was acknowledged at 35 ms, and the next read invoked at 40 ms.
    ("distinct-stale-unanswered", 1, 5.0),
    ("distinct-unanswered", 0, 0.0),
    ("distinct-read-your-writes", 1, 5.0),
    ("distinct-stray", None, 0.0),
    ("distinct-only-reads", None, 0.0),
    ("distinct-only-writes", None, 0.0),
    # 2 was acknowledged at 25 ms, 3 at 35 ms; the read was invoked at 40 ms.
    ("versioned-stale", 2, 15.0),
    ("versioned-fresh", 0, 0.0),
    ("versioned-sibling-missed", 1, 5.0),
    ("versioned-unprovable", 0, 0.0),
    ("versioned-circle", None, 0.0),
]


@pytest.mark.parametrize(("file", "k", "t_ms"), STALE)
def test_staleness_of_a_golden_history(file: str, k: int | None, t_ms: float) -> None:
    verdict = staleness.check(load(file))
    if k is None:
        assert verdict.outcome == "unknown"
    else:
        assert (verdict.outcome, verdict.evidence["k"]["max"], verdict.evidence["t_ms"]["max"]) == ("valid", k, t_ms)


def test_every_golden_history_is_judged() -> None:
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} == {case[0] for case in (*SESSIONS, *CAUSAL, *STALE)}


CHECKS: list[Callable[[History], Verdict]] = [sessions.check, causal.check, staleness.check]


@pytest.mark.parametrize("check", CHECKS)
def test_an_empty_history_is_unknown(check: Callable[[History], Verdict]) -> None:
    assert check(History([])).outcome == "unknown"
