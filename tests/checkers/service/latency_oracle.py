"""What `latency` must say."""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import Op, bands, ops, quantiles, struck


def latency(history: History) -> dict[str, Any]:
    all_bands = bands(history)
    mine = [op for op in ops(history) if op.outcome == "ok" and op.inv.f != "replica"]
    if not mine:
        return {"verdict": "unknown"}

    def took(some: list[Op]) -> dict[str, float]:
        return quantiles([(op.comp.time - op.inv.time) / 1e6 for op in some if op.comp])

    hit = [op for op in mine if any(struck(op, band) for band in all_bands)]
    return {
        "verdict": "valid",
        "overall": took(mine),
        "under_fault": took(hit),
        "without_fault": took([op for op in mine if op not in hit]),
        "reads": took([op for op in mine if op.inv.f == "read"]),
    }
