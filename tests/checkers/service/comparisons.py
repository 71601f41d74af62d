"""The checkers that count operations and errors beside their oracles, on random histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from splitbrain.checkers.service import stats, unhandled_errors
from tests.checkers.against_oracle import Options, against_oracle
from tests.checkers.comparison import Comparison
from tests.checkers.service import any_histories, stats_oracle, unhandled_errors_oracle


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
)
