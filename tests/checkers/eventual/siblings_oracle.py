"""What `siblings` must say."""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.eventual.lost_versions_oracle import reaches
from tests.checkers.plain_history import ops


def siblings(history: History) -> dict[str, Any]:
    puts = {op.inv.value["write"]: op for op in ops(history, "put", "delete")}
    if not ops(history, "put"):
        polls = [op for op in ops(history, "replica") if op.outcome == "ok" and op.comp and op.comp.value["home"]]
        numbers = [len(op.comp.value["versions"]) for op in polls if op.comp]
        return {"verdict": "valid" if numbers else "unknown", "max": max(numbers, default=None)}
    reads = [op for op in ops(history, "read") if op.outcome == "ok" and op.comp]
    false = [
        op
        for op in reads
        if op.comp and any(a != b and reaches(puts, b, a, op.inv.key) for a in op.comp.value for b in op.comp.value)
    ]
    if not reads:
        return {"verdict": "unknown", "max": None, "false_sibling_reads": None}
    return {
        "verdict": "invalid" if false else "valid",
        "max": max(len(op.comp.value) for op in reads if op.comp),
        "false_sibling_reads": len(false),
    }
