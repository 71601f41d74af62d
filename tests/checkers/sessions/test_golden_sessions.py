"""Golden histories of session guarantees, each beside a neighbour. Verdicts reasoned by hand."""

from __future__ import annotations

import pytest

from splitbrain.checkers import sessions
from splitbrain.checkers.histories.history import History
from tests.checkers.golden_histories import load, names_in

RYW, MR, MW, WFR = "read your writes", "monotonic reads", "monotonic writes", "writes follow reads"

# file, outcome, guarantees violated, those held; the others are unknown
SESSIONS: list[tuple[str, str, set[str], set[str]]] = [
    ("sessions/distinct-read-your-writes", "invalid", {RYW}, set()),
    ("sessions/distinct-read-your-writes-kept", "valid", set(), {RYW}),
    # 2 may well be newer than 1.
    ("sessions/distinct-overwritten", "valid", set(), {RYW}),
    # 1 can't be newer than 2, which the same session wrote after it.
    ("sessions/distinct-own-overwritten", "invalid", {RYW}, set()),
    ("sessions/distinct-monotonic-reads", "invalid", {MR}, set()),
    ("sessions/distinct-monotonic-reads-kept", "unknown", set(), set()),
    ("sessions/distinct-flicker", "invalid", {MR}, set()),
    ("sessions/distinct-flicker-not", "valid", set(), {MR}),
    ("sessions/distinct-monotonic-writes", "invalid", {MW}, set()),
    ("sessions/distinct-monotonic-writes-kept", "unknown", set(), set()),
    ("sessions/distinct-writes-follow-reads", "invalid", {WFR}, set()),
    ("sessions/distinct-writes-follow-reads-kept", "valid", set(), {WFR}),
    ("sessions/distinct-each-knew-the-other", "invalid", {WFR}, set()),
    ("sessions/distinct-one-knew-the-other", "valid", set(), {RYW}),
    ("sessions/distinct-retired", "unknown", set(), set()),
    ("sessions/distinct-stray", "unknown", set(), set()),
    ("sessions/distinct-failed-and-read", "unknown", set(), set()),
    ("sessions/distinct-failed-and-tried-again", "valid", set(), {RYW}),
    ("sessions/distinct-info-and-read", "invalid", {MR}, set()),
    # Each session sees its own write overwritten by the other's: no one order has both.
    ("sessions/distinct-orders-differ", "invalid", {RYW}, set()),
    ("sessions/distinct-orders-agree", "valid", set(), {RYW}),
    # Having seen 2, a session needs no more than 1 of what was written before it: that is what it got.
    ("sessions/distinct-backwards", "invalid", {MR}, {MW}),
    ("sessions/distinct-forwards", "valid", set(), {MR}),
    # Each guarantee alone leaves 1 and 2 in any order; all together they don't.
    ("sessions/distinct-all-together", "valid", set(), {MR}),
    ("sessions/distinct-other-key", "unknown", set(), set()),
    ("sessions/versioned-other-key", "unknown", set(), set()),
    ("sessions/distinct-only-writes", "unknown", set(), set()),
    ("sessions/distinct-only-reads", "unknown", set(), set()),
    ("sessions/versioned-read-your-writes", "invalid", {RYW}, set()),
    ("sessions/versioned-read-your-writes-as-siblings", "valid", set(), {RYW}),
    ("sessions/versioned-read-your-writes-superseded", "valid", set(), {RYW}),
    ("sessions/versioned-monotonic-reads", "invalid", {MR}, set()),
    ("sessions/versioned-monotonic-reads-kept", "valid", set(), {MR}),
    ("sessions/versioned-monotonic-writes", "invalid", {MW}, set()),
    ("sessions/versioned-monotonic-writes-kept", "valid", set(), {MW}),
    ("sessions/versioned-monotonic-writes-across-keys", "invalid", {MW}, set()),
    ("sessions/versioned-writes-follow-reads", "invalid", {WFR}, set()),
    ("sessions/versioned-writes-follow-reads-kept", "valid", set(), {WFR}),
    ("sessions/versioned-unprovable", "unknown", set(), set()),
    # 2 had ended before 1 was invoked, so it can't have seen it.
    ("sessions/versioned-provable", "invalid", {RYW}, set()),
    ("sessions/versioned-nobody-put", "unknown", set(), set()),
    ("sessions/versioned-failed", "unknown", set(), set()),
    ("sessions/versioned-failed-and-read", "unknown", set(), set()),
    ("sessions/versioned-cycle", "unknown", set(), set()),
]


@pytest.mark.parametrize(
    ("file", "outcome", "violated", "held"), SESSIONS, ids=lambda case: case if isinstance(case, str) else None
)
def test_session_guarantees_of_a_golden_history(file: str, outcome: str, violated: set[str], held: set[str]) -> None:
    verdict = sessions.check(load(file))
    assert verdict.outcome == outcome, verdict.reason
    guarantees = verdict.evidence.get("guarantees", {})
    assert {name for name, each in guarantees.items() if each["verdict"] == "violated"} == violated
    assert {name for name, each in guarantees.items() if each["verdict"] == "held"} == held


def test_every_golden_history_is_judged() -> None:
    assert names_in("sessions") == {case[0] for case in SESSIONS}


def test_an_empty_history_is_unknown() -> None:
    assert sessions.check(History([])).outcome == "unknown"
