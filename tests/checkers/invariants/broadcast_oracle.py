"""What `broadcast` must say: each message at each node."""

from __future__ import annotations

import json
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import Op, concluding_reads, disagreed, ops, quantiles


def broadcast(history: History) -> dict[str, Any]:
    everything = ops(history, "broadcast", "read")
    nodes = {op.node for op in everything}
    lost = lagging = surplus = doubts = 0
    waits_ms: list[float] = []
    for key in dict.fromkeys(op.inv.key for op in everything):
        here = [op for op in everything if op.inv.key == key]
        acknowledged = [op for op in here if op.inv.f == "broadcast" and op.outcome == "ok"]
        reads = [op for op in here if op.inv.f == "read" and op.outcome == "ok"]
        final = concluding_reads(history, key)
        for sent in acknowledged:
            after = {op.node for op in final if op.inv.index > sent.end}
            has = {op.node for op in final if _message(sent) in _shown(op)}
            lost += bool(after) and not after & has
            lagging += bool(after & has) and bool(after - has)
            lacking = [op for op in reads if op.inv.index > sent.end and _message(sent) not in _shown(op)]
            assert sent.comp
            waits_ms.append(max([0.0, *((op.inv.time - sent.comp.time) / 1e6 for op in lacking)]))
        for read in reads:
            shown = _shown(read)
            begun = [
                _message(o) for o in here if o.inv.f == "broadcast" and o.outcome != "fail" and o.inv.index < read.end
            ]
            surplus += len(shown) - len(set(shown)) + len(set(shown) - set(begun))
        last = max((op.end for op in acknowledged), default=None)
        doubts += last is not None and {op.node for op in final if op.inv.index > last} != nodes
    if lost or surplus:
        verdict = "invalid"
    else:
        verdict = disagreed(history, lagging, "unknown" if doubts or not waits_ms else "valid")
    return {
        "verdict": verdict,
        "lost": lost,
        "missing": lost + lagging,
        "surplus": surplus,
        "stable_latency_ms": quantiles(waits_ms),
    }


def _message(sent: Op) -> str:
    return json.dumps(sent.inv.value)


def _shown(read: Op) -> list[str]:
    assert read.comp
    return [json.dumps(message) for message in read.comp.value]
