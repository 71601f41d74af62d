"""What `availability` must say."""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import Op, bands, ops, stage, struck


def availability(history: History) -> dict[str, Any]:
    recovery = stage(history, "recovery")
    last = recovery.index if recovery else float("inf")
    mine = [op for op in ops(history) if op.inv.f != "replica" and op.inv.index < last]
    if not mine:
        return {"verdict": "unknown"}
    all_bands = bands(history)
    free = [op for op in mine if not any(struck(op, band) for band in all_bands)]

    def rate(some: list[Op]) -> tuple[int, int]:
        return len(some), sum(op.outcome == "ok" for op in some)

    answers = sorted((op.comp for op in mine if op.comp and op.outcome == "ok"), key=lambda e: e.index)
    events = sorted((e for op in mine for e in op if e), key=lambda e: e.index)
    silences = []
    for end in [*answers, events[-1]]:
        before = [e for e in answers if e.index < end.index]
        since = before[-1] if before else None
        at = since.index if since else -1
        waiting = [op for op in mine if op.inv.index < at < op.end]
        if not waiting or since is None:
            since = next((e for e in events if e.index > at and e.type == "invoke" and e.index < end.index), None)
        silences.append(end.time - since.time if since else 0)
    recovered = []
    for band in all_bands:
        firsts = []
        heal = history.events[int(band.stop)] if band.healed else None
        for node in band.nodes or (None,):
            signs = []
            if heal:
                late = [op for op in ops(history) if op.inv.index > heal.index and node in (None, op.node)]
                signs = [op.comp for op in late if op.comp and op.outcome == "ok"]
                signs += [e for e in history.events if e.value == "recovered" and e.index > heal.index]
            firsts.append(min((e.index for e in signs), default=None))
        times = [history.events[first].time for first in firsts if first is not None]
        recovered.append((max(times) - heal.time) / 1e6 if heal and len(times) == len(firsts) else None)
    return {
        "verdict": "valid",
        "all": rate(mine),
        "free": rate(free),
        "windows": [rate([op for op in mine if struck(op, band)]) for band in all_bands],
        "longest_silence_ms": max(silences) / 1e6,
        "recovered": recovered,
    }
