"""The checkers that count operations and errors beside their oracles, on random histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.service import stats, thresholds, unhandled_errors
from tests.checkers import generate
from tests.checkers.against_oracle import Options, against_oracle
from tests.checkers.comparison import Comparison
from tests.checkers.service import any_histories, stats_oracle, thresholds_oracle, unhandled_errors_oracle


def _stats_figures(evidence: Mapping[str, Any]) -> Options:
    by_f = {f: (each["count"], each["ok"], each["fail"], each["info"]) for f, each in evidence["by_f"].items()}
    return {"by_f": by_f, "total": evidence["count"]}


def _errors(evidence: Mapping[str, Any]) -> Options:
    return {
        "counts": {each["code"]: each["count"] for each in evidence["by_code"]},
        "examples": {each["code"]: each["example"]["index"] for each in evidence["by_code"]},
    }


def _forbidden(_: Random) -> Options:
    return {"forbidden": ("conflict", "ssh")}


def _bounds(random: Random) -> Options:
    figures = ("p50", "p90", "p99.9", "max", "silence", "recovery")
    times = [f"{random.choice(figures)}>{random.choice((1, 4, 9, 30, 300))}ms" for _ in range(random.randint(0, 2))]
    return {"fail_if": [*times, *random.choices(["ok-rate<30%", "ok-rate<0.9"], k=random.randint(0, 1))]}


def _measured(evidence: Mapping[str, Any]) -> Options:
    return {"figures": [(each["measured"], each["crossed"]) for each in evidence.get("thresholds", ())]}


def _of_both_shapes(random: Random) -> History:
    return generate.history(random, random.choice(generate.SHAPES))


COMPARISONS: Sequence[Comparison] = (
    against_oracle(
        "stats",
        stats.check,
        stats_oracle.stats,
        any_histories.any_kind,
        _stats_figures,
        outcomes=frozenset({"valid", "unknown"}),
    ),
    against_oracle(
        "unhandled-errors",
        unhandled_errors.check,
        unhandled_errors_oracle.unhandled_errors,
        any_histories.any_kind,
        _errors,
        _forbidden,
    ),
    against_oracle(
        "thresholds", thresholds.check, thresholds_oracle.thresholds, _of_both_shapes, _measured, options=_bounds
    ),
)
