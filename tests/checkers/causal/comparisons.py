"""Causal consistency beside its oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from splitbrain.checkers import causal
from tests.checkers.causal import causal_oracle
from tests.checkers.comparison import Comparison
from tests.checkers.versions.register_comparison import OUTCOMES, agree, random_history, witness_is_sound


def _distinct_causal(level: Any) -> Callable[[int], str]:
    def compare(seed: int) -> str:
        history = random_history(seed, "distinct")
        verdict = causal.check(history, level=level)
        agree(history, verdict.outcome.value, causal_oracle.distinct_causal(history, level))
        witness_is_sound(history, verdict)
        return verdict.outcome.value

    return compare


def _versioned_causal(seed: int) -> str:
    history = random_history(seed, "versioned")
    outcome, counts = causal_oracle.versioned_causal(history)
    verdict = causal.check(history)
    if verdict.evidence["registers"] == "versioned":
        agree(history, verdict.evidence["patterns"], counts)
    agree(history, verdict.outcome.value, outcome)
    witness_is_sound(history, verdict)
    return verdict.outcome.value


COMPARISONS: Sequence[Comparison] = (
    Comparison("causal consistency (cc) of distinct writes", _distinct_causal("cc"), OUTCOMES),
    Comparison("causal convergence (ccv) of distinct writes", _distinct_causal("ccv"), OUTCOMES),
    Comparison("causal memory (cm) of distinct writes", _distinct_causal("cm"), OUTCOMES),
    Comparison("causal consistency of versioned registers", _versioned_causal, OUTCOMES),
)
