"""What `lost_elements` must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import Op, concluding_reads, disagreed, final_reads, ops, quantiles


def lost_elements(history: History) -> dict[str, Any]:
    adds = ops(history, "add")
    reads = [op for op in ops(history, "read") if op.outcome == "ok"]
    final = final_reads(history)

    def of(key: object, some: list[Op]) -> list[list[int]]:
        return [op.comp.value for op in some if op.inv.key == key and op.comp]

    acked = [op for op in adds if op.outcome == "ok"]
    judged = [op for op in acked if of(op.inv.key, final)]

    def remains(op: Op) -> bool:
        return any(op.inv.value in value for value in of(op.inv.key, concluding_reads(history, op.inv.key)))

    lost = [op for op in judged if not remains(op)]
    stable = [op for op in judged if all(op.inv.value in value for value in of(op.inv.key, final))]

    def holds(read: Op, op: Op) -> bool:
        return read.comp is not None and read.inv.key == op.inv.key and op.inv.value in read.comp.value

    def lacks(read: Op, op: Op) -> bool:
        return read.inv.key == op.inv.key and read.inv.index > op.end and not holds(read, op)

    def waited(op: Op, which: Callable[[Op, Op], bool]) -> float:
        moments = [read.inv for read in reads if which(read, op)]
        assert op.comp is not None
        return max(0, moments[-1].time - op.comp.time) / 1e6 if moments else 0.0

    missing = [
        op
        for op in judged
        if op not in lost
        and any(read.comp and op.inv.value not in read.comp.value for read in concluding_reads(history, op.inv.key))
    ]
    vanished = [
        op
        for op in adds
        if op.outcome == "info"
        and of(op.inv.key, final)
        and not remains(op)
        and any(holds(r, op) and all(r.end < w.inv.index for w in concluding_reads(history, op.inv.key)) for r in reads)
    ]
    stale = [
        op
        for op in acked
        if any(lacks(r, op) and holds(s, op) and s.inv.index > r.inv.index for r in reads for s in reads)
    ]
    pairs = {(op.inv.key, op.inv.value): op for op in adds}
    everything = {(r.inv.key, v): r.comp.value.count(v) for r in reads if r.comp for v in r.comp.value}
    figures: dict[str, Any] = {
        "attempted": len(adds),
        "acknowledged": len(acked),
        "failed": sum(op.outcome == "fail" for op in adds),
        "indeterminate": sum(op.outcome == "info" for op in adds),
        "lost": len(lost),
        "survivors": len(judged) - len(lost),
        "unstable": len(judged) - len(lost) - len(stable),
        "missing": len(missing),
        "never_read": len(acked) - len(judged),
        "stale": len(stale),
        "recovered": sum(op.outcome == "info" and remains(op) for op in adds),
        "vanished": len(vanished),
        "phantom": sum(pair in pairs and pairs[pair].outcome == "fail" for pair in everything),
        "unexpected": sum(pair not in pairs for pair in everything),
        "duplicated": len({(r.inv.key, v) for r in reads if r.comp for v in r.comp.value if r.comp.value.count(v) > 1}),
        "stable_latency_ms": quantiles([waited(op, lacks) for op in stable]),
        "lost_latency_ms": quantiles([waited(op, holds) for op in lost]),
    }
    if any(figures[name] for name in ("lost", "phantom", "unexpected", "duplicated")):
        return {"verdict": "invalid", **figures}
    verdict = "unknown" if not acked or figures["never_read"] or vanished else "valid"
    return {"verdict": disagreed(history, len(missing), verdict), **figures}
