"""Staleness and carts beside their oracles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from splitbrain.checkers.eventual import carts, staleness
from splitbrain.checkers.histories.history import History
from tests.checkers.against_oracle import against_oracle
from tests.checkers.comparison import Comparison
from tests.checkers.eventual import carts_oracle, staleness_oracle
from tests.checkers.versions.register_comparison import OUTCOMES, agree, random_history, witness_is_sound
from tests.checkers.versions.register_oracle import ops_of


def _staleness(history: History, missed: list[tuple[int, Any, int, int]] | None, seed: int) -> str:
    max_k, max_t_ms = seed % 3, (None, 1.0, 4.0)[seed // 3 % 3]
    verdict = staleness.check(history, max_k=max_k, max_t_ms=max_t_ms)
    acknowledged = any(op.f != "read" and op.outcome == "ok" for op in ops_of(history))
    if not missed or not acknowledged:
        agree(history, verdict.outcome.value, "unknown")
        return "unknown"
    said = {
        "reads": len(missed),
        "stale": sum(k > 0 for _, _, k, _ in missed),
        "keys": {
            key: {
                "reads": sum(of == key for _, of, _, _ in missed),
                "stale": sum(of == key and k > 0 for _, of, k, _ in missed),
                "max_k": max(k for _, of, k, _ in missed if of == key),
                "max_t_ms": max(ns for _, of, _, ns in missed if of == key) / 1e6,
            }
            for key in {of for _, of, _, _ in missed}
        },
        "k_fresh": [[b, round(sum(k <= b for _, _, k, _ in missed) / len(missed), 6)] for b in (0, 1, 2, 3, 5, 10)],
        "t_fresh": [[b, round(sum(t <= b * 1e6 for _, _, _, t in missed) / len(missed), 6)] for b in (0, 1, 2, 5, 10)],
    }
    found = {name: verdict.evidence[name] for name in said}
    found["k_fresh"], found["t_fresh"] = found["k_fresh"][:6], found["t_fresh"][:5]
    agree(history, found, said)
    over = any(k > max_k for _, _, k, _ in missed)
    over = over or (max_t_ms is not None and any(t > max_t_ms * 1e6 for _, _, _, t in missed))
    agree(history, verdict.outcome.value, "invalid" if over else "valid")
    witness_is_sound(history, verdict)
    return verdict.outcome.value


def _distinct_staleness(seed: int) -> str:
    history = random_history(seed, "distinct")
    return _staleness(history, staleness_oracle.distinct_missed(history), seed)


def _versioned_staleness(seed: int) -> str:
    history = random_history(seed, "versioned")
    return _staleness(history, staleness_oracle.versioned_missed(history), seed)


COMPARISONS: Sequence[Comparison] = (
    Comparison("staleness of distinct writes", _distinct_staleness, OUTCOMES),
    Comparison("staleness of versioned registers", _versioned_staleness, OUTCOMES),
    against_oracle("carts", carts.check, carts_oracle.carts, carts_oracle.random_carts),
)
