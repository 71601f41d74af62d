"""Session guarantees beside their oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from splitbrain.checkers import sessions
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.sessions.guarantee_finding import GUARANTEES
from tests.checkers.comparison import Comparison
from tests.checkers.sessions import session_oracle
from tests.checkers.versions.register_comparison import OUTCOMES, agree, random_history, witness_is_sound

SHORT = dict(zip(("ryw", "mr", "mw", "wfr"), GUARANTEES, strict=True))


def _sessions(history: History, expected: dict[str, dict[str, Any]] | None) -> str:
    verdict = sessions.check(history)
    if expected is None:
        agree(history, verdict.outcome.value, "unknown")
        return "unknown"
    assumed = {SHORT[short] for short, each in expected.items() if each.pop("assumed", False)}
    if "guarantees" in verdict.evidence:
        said = {short: dict(verdict.evidence["guarantees"][name]) for short, name in SHORT.items()}
        for each in said.values():
            each.pop("witness", None)
        agree(history, said, expected)
    agree(history, {name for name in GUARANTEES if name in verdict.reason.partition("contradictory if")[2]}, assumed)
    verdicts = [each["verdict"] for each in expected.values()]
    unclear = any(each["unprovable"] for each in expected.values())
    unclear = unclear or not any(each["checked"] for each in expected.values())
    agree(history, verdict.outcome.value, "invalid" if "violated" in verdicts else "unknown" if unclear else "valid")
    witness_is_sound(history, verdict)
    return verdict.outcome.value


def _distinct_sessions(seed: int) -> str:
    history = random_history(seed, "distinct")
    return _sessions(history, session_oracle.distinct_sessions(history))


def _versioned_sessions(seed: int) -> str:
    history = random_history(seed, "versioned")
    return _sessions(history, session_oracle.versioned_sessions(history))


COMPARISONS: Sequence[Comparison] = (
    Comparison("session guarantees of distinct writes", _distinct_sessions, OUTCOMES),
    Comparison("session guarantees of versioned registers", _versioned_sessions, OUTCOMES),
)
