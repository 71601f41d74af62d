"""What `evidence` must say."""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import (
    WRITES,
    actions,
    bands,
    effective,
    final_reads,
    heal_failed,
    ops,
    stage,
    staged,
    struck,
)


def evidence(history: History) -> dict[str, Any]:
    """Judged with faults=("partition", "kill") and min_operations=3."""
    mine = [op for op in ops(history) if op.inv.f != "replica"]
    working = {
        family: [band for band in bands(history) if band.family == family and band.effective]
        for family in ("partition", "kill")
    }
    hit = {family: sum(any(struck(op, b) for b in some) for op in mine) for family, some in working.items()}
    failed = [inv for phase in ("start", "stop") for inv, comp in actions(history, phase) if effective(comp) is False]
    nodes = {e.node for e in history.events if e.node}
    nodes |= {n for e in history.events if isinstance(e.value, dict) for n in e.value.get("nodes", ())}
    read = {op.node for op in final_reads(history)}
    recovery, begun = stage(history, "recovery"), stage(history, "final-reads")
    if begun and not stage(history, "environment-lost") and not any(op.inv.f == "read" for op in mine):
        read = {op.node for op in mine if op.outcome == "ok" and op.inv.index > begun.index} - {None}
    load = [op for op in mine if recovery is None or op.inv.index < recovery.index]
    writes = [op for op in load if op.inv.f in WRITES]
    ok = [op for op in writes if op.outcome == "ok"]
    enough = sum(op.outcome == "ok" for op in load) >= 3 and (bool(ok) or not writes)
    asked = {op.inv.key for op in ops(history, "read") if begun and op.inv.index > begun.index}
    pairs = {(op.inv.key, op.node) for op in final_reads(history)}
    complete = not staged(history) or (bool(read) and pairs >= {(key, node) for key in asked for node in nodes})
    stops = [done.value["evidence"] for _, done in actions(history, "stop") if done]
    gone = any(band.healed and band.healed.value.get("evidence", {}).get("stood") is False for band in bands(history))
    died = any(each.get("died") for each in stops)
    heals = [band.healed.index for band in bands(history) if band.healed]
    stalled = hopeless = False
    if heals and ok and all(op.end < min(heals) for op in ok):
        stalled = any(op.inv.index > min(heals) for op in writes)
        tried = [op for op in writes if op.inv.index > max(heals) and op.comp]
        hopeless = len(tried) >= 10 and len(heals) == len(bands(history)) and not heal_failed(history, strictly=True)
        hopeless = hopeless and not stage(history, "environment-lost")
    sound = enough and not failed and not gone and not stalled and not stage(history, "environment-lost")
    good = sound and all(working.values()) and all(hit.values()) and complete and not nodes - read - {None}
    if not staged(history):
        good = sound and all(working.values()) and all(hit.values())
    verdict = "invalid" if stage(history, "not-recovered") or died or hopeless else "valid" if good else "unknown"
    return {"verdict": verdict, "hit": hit, "ineffective": len(failed), "unread": len(nodes - read)}
