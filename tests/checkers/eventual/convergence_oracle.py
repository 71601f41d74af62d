"""What `convergence` must say: each moment is looked at by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import WRITES, Op, bands, heal_failed, ops, stage


def convergence(history: History) -> dict[str, Any]:
    recovery = stage(history, "recovery")
    if heal_failed(history):
        return {"verdict": "unknown"}
    if recovery is None and any(band.stop == float("inf") for band in bands(history)):
        return {"verdict": "unknown"}
    healed = [band.healed for band in bands(history) if band.healed]
    starts = [recovery] if recovery else healed
    starts += [op.comp for op in ops(history, *WRITES) if op.comp]
    start = max(starts, key=lambda event: event.index, default=None)
    begin, zero = (start.index, start.time) if start else (-1, 0)
    polls = [op for op in ops(history, "replica") if op.inv.index > begin]
    keys = sorted({str(op.inv.key) for op in polls})
    verdicts = []
    differing = []
    after = {}
    for key in keys:
        mine = sorted((op for op in polls if op.inv.key == key), key=lambda op: op.end)

        def latest(moment: float, mine: list[Op] = mine) -> dict[str, Op]:
            return {str(op.node): op for op in mine if op.end <= moment}

        def shown(moment: float, latest: Callable[[float], dict[str, Op]] = latest) -> dict[str, Any]:
            answers = {n: op.comp.value for n, op in latest(moment).items() if op.outcome == "ok" and op.comp}
            return {n: (a["versions"], a["values"]) for n, a in answers.items() if a["home"]}

        def differs(moment: float, shown: Callable[[float], dict[str, Any]] = shown) -> bool:
            now = shown(moment)
            return any(now[a] != now[b] for a in now for b in now)

        moments = [op.comp for op in mine if op.comp and differs(op.end)]
        final = shown(float("inf"))
        fell_silent = any(op.outcome != "ok" for op in latest(float("inf")).values())
        after[key] = (moments[-1].time - zero) / 1e6 if moments else 0.0
        early = stage(history, "environment-lost")
        if differs(float("inf")):
            differing.append(key)
            verdicts.append("unknown" if early else "invalid")
        else:
            verdicts.append("unknown" if len(final) < 2 or fell_silent else "valid")
    verdict = next((v for v in ("invalid", "unknown") if v in verdicts), "valid" if verdicts else "unknown")
    return {
        "verdict": verdict,
        "converged_after_ms": max(after.values()) if verdict == "valid" else None,
        "never_converged": sorted(differing),
    }
