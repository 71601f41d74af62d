"""What `thresholds` must say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import Op, bands, ops, stage
from tests.checkers.service.availability_oracle import availability


def thresholds(history: History, fail_if: Sequence[str]) -> dict[str, Any]:
    told = [_judged(history, *_split(text)) for text in fail_if]
    if any(crossed for _, crossed in told):
        verdict = "invalid"
    elif not told or any(measured is None for measured, _ in told):
        verdict = "unknown"
    else:
        verdict = "valid"
    return {"verdict": verdict, "figures": told}


def _split(text: str) -> tuple[str, float]:
    figure, bound = text.replace("<", ">").split(">")
    if bound.endswith("%"):
        return figure, int(bound[:-1]) / 100
    return figure, float(bound.removesuffix("ms"))


def _judged(history: History, figure: str, bound: float) -> tuple[float | None, bool]:
    served = [op for op in ops(history) if op.outcome == "ok" and op.inv.f != "replica"]
    if figure == "ok-rate":
        recovery = stage(history, "recovery")
        asked = [
            op for op in ops(history) if op.inv.f != "replica" and not (recovery and op.inv.index > recovery.index)
        ]
        rate = sum(op.outcome == "ok" for op in asked) / len(asked) if asked else None
        return rate, rate is not None and rate < bound
    if figure == "silence":
        silence = availability(history).get("longest_silence_ms")
        return silence, silence is not None and silence > bound
    if figure == "recovery":
        after = availability(history).get("recovered", [])
        times = [time for time, band in zip(after, bands(history), strict=False) if band.healed]
        never = None in times
        return (None if never or not times else max(times)), never or any(time > bound for time in times)
    took = sorted(map(_took_ms, served))
    if not took:
        return None, False
    share = 1.0 if figure == "max" else float(figure[1:]) / 100
    # As many of them as the share asks for are no longer than this one.
    reached = next(each for each in took if sum(other <= each for other in took) >= round(share * len(took), 9))
    return reached, reached > bound


def _took_ms(op: Op) -> float:
    assert op.comp is not None
    return (op.comp.time - op.inv.time) / 1e6
