"""Thresholds: bounds on how clients were served that a run must keep to, such as p99>300ms and ok-rate<99%.

1. A threshold says when a run fails. A time (`p50`, `p99.9`, any percentile; `max`, `silence`, `recovery`) fails above
   its bound; `ok-rate` fails below it. The other direction would fail a run for being good, and is refused.
2. Percentiles and `max` are of the latencies of all ok client operations, as in `latency`. `ok-rate` and `silence`, the
   longest, are those of `availability`; `recovery` is the slowest of its times to recover after a heal. A node that
   never served again after one is past every bound.
3. A time needs its unit: us, ms or s. A rate is a share (0.99) or has a percent sign.
4. Invalid if a threshold is crossed; what is equal to its bound does not cross it. Otherwise unknown if there is no
   threshold, or one could not be measured. Otherwise valid.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitbrain.checkers.algorithms.quantiles import percentile
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, key_name, listing, milliseconds
from splitbrain.checkers.histories.replica_polls import client_operations
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.service import availability
from splitbrain.checkers.service.latency import took_ns
from splitbrain.checkers.verdict import Outcome, Verdict, Witness

_WRITTEN = re.compile(r"(p\d+(?:\.\d+)?|max|silence|recovery|ok-rate)\s*([<>])\s*(\d+(?:\.\d+)?)\s*(us|ms|s|%)?")
_UNITS_MS: Mapping[str | None, float] = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_KNOWN = "write p99>300ms, max>2s, silence>1s, recovery>5s or ok-rate<99%"
_NEVER = math.inf
_UNMEASURED = math.nan


@dataclass(frozen=True, slots=True)
class Threshold:
    """text: as it was written. figure: what is measured. bound: in ms, or a share from 0 to 1."""

    text: str
    figure: str
    bound: float

    @property
    def of_latency(self) -> bool:
        return self.figure == "max" or self.figure.startswith("p")

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Raises ValueError that says what is wrong, and how one is written.

        >>> Threshold.parse("p99.9 > 0.3s").bound, Threshold.parse("ok-rate<99%").bound
        (300.0, 0.99)
        """
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"the threshold {text!r:.60} can't be read; {_KNOWN}")
        figure, sign, number, unit = found.groups()
        if sign != ("<" if figure == "ok-rate" else ">"):
            better = "high" if figure == "ok-rate" else "low"
            raise ValueError(f"the threshold {text!r} fails a run whose {figure} is {better}; turn {sign} round")
        if figure == "ok-rate":
            share = float(number) / 100 if unit == "%" else float(number)
            if unit not in ("%", None) or share > 1:
                raise ValueError(f"the threshold {text!r} needs a share; write ok-rate<99% or ok-rate<0.99")
            return cls(text, figure, round(share, 9))
        if unit not in _UNITS_MS:
            raise ValueError(f"the threshold {text!r} needs a time in us, ms or s; write {figure}>{number}ms")
        if figure.startswith("p") and not 0 < float(figure[1:]) <= 100:
            raise ValueError(f"the threshold {text!r} has no percentile; write p0.1 to p100")
        return cls(text, figure, round(float(number) * _UNITS_MS[unit], 9))

    def crossed_by(self, measured: float) -> bool:
        return measured < self.bound if self.figure == "ok-rate" else measured > self.bound

    def told(self, measured: float) -> str:
        """What was measured, for people, with the threshold."""
        if math.isnan(measured):
            return f"{self.figure} could not be measured ({self.text})"
        if measured == _NEVER:
            return f"{self.figure} never came ({self.text})"
        shown = f"{measured:.4%}" if self.figure == "ok-rate" else f"{measured:,} ms"
        return f"{self.figure} was {shown} ({self.text})"


@needs_real_time
def check(history: History, *, fail_if: str | Sequence[str] = ()) -> Verdict:
    """Compare what was measured with each threshold.

    fail_if: the thresholds, such as ["p99>300ms", "ok-rate<99%"]; one alone may be a string.
    Evidence: `thresholds` [{threshold, measured, crossed}], in ms or as a share; measured is null where nothing was, or
    where recovery never came. Raises ValueError for one that can't be read. O(n log n).
    """
    thresholds = parsed(fail_if)
    if not thresholds:
        return Verdict.unknown("no threshold was given")
    figures = _Figures(history)
    found = [(threshold, figures.measured(threshold.figure)) for threshold in thresholds]
    crossed = [each for each in found if each[0].crossed_by(each[1])]
    unmeasured = [each for each in found if math.isnan(each[1])]
    evidence = {"thresholds": [_as_data(threshold, measured) for threshold, measured in found]}
    if crossed:
        reason = listing((threshold.told(measured) for threshold, measured in crossed), len(crossed))
        return Verdict.invalid(reason, figures.witness(crossed), **evidence)
    told = listing((threshold.told(measured) for threshold, measured in unmeasured or found), len(found))
    return Verdict(Outcome.UNKNOWN if unmeasured else Outcome.VALID, told, evidence)


def parsed(fail_if: str | Sequence[str]) -> list[Threshold]:
    """The thresholds. Raises ValueError for one that can't be read."""
    return [Threshold.parse(text) for text in ([fail_if] if isinstance(fail_if, str) else fail_if)]


def _as_data(threshold: Threshold, measured: float) -> dict[str, Any]:
    shown = measured if math.isfinite(measured) else None
    return {"threshold": threshold.text, "measured": shown, "crossed": threshold.crossed_by(measured)}


class _Figures:
    """What can be measured of a history."""

    def __init__(self, history: History) -> None:
        self._served: list[Operation] = [each for each in client_operations(history) if each.outcome == "ok"]
        self._took = took_ns(self._served)
        self._availability = availability.check(history).evidence

    def measured(self, figure: str) -> float:
        """In ms, or a share. NaN where there is nothing to measure."""
        others: Mapping[str, Callable[[], float]] = {
            "ok-rate": self._ok_rate,
            "silence": lambda: float(self._availability.get("longest_silence_ms", _UNMEASURED)),
            "recovery": self._recovery,
        }
        if figure in others:
            return others[figure]()
        if not self._served:
            return _UNMEASURED
        percent = 100.0 if figure == "max" else float(figure[1:])
        return milliseconds(percentile(np.sort(self._took), percent))

    def witness(self, crossed: Sequence[tuple[Threshold, float]]) -> Witness:
        """What crossed each threshold; the events are those of the slowest operation, where one is about latency."""
        lines = [self._what_crossed(threshold) for threshold, _ in crossed]
        events: tuple[int, ...] = ()
        if any(threshold.of_latency for threshold, _ in crossed):
            slowest = self._slowest
            events = tuple(event.index for event in (slowest.invocation, slowest.completion) if event)
        data = {"kind": "thresholds", "crossed": [_as_data(threshold, measured) for threshold, measured in crossed]}
        return Witness("\n".join(dict.fromkeys(lines)), events, data)

    @property
    def _slowest(self) -> Operation:
        return self._served[int(np.argmax(self._took))]

    def _what_crossed(self, threshold: Threshold) -> str:
        figures = self._availability
        if threshold.figure == "ok-rate":
            return f"{figures['ok']:,} of {count(figures['operations'], 'operation')} were ok"
        if threshold.figure == "silence":
            begin, end = figures["longest_silence"]
            return f"nobody was served from {begin:,} ms to {end:,} ms"
        if threshold.figure == "recovery":
            late = [window for window in self._healed if _took_longer(window["recovered_after_ms"], threshold.bound)]
            return "; ".join(
                f"{each['fault']} was healed at {each['stop_ms']:,} ms, {_served_again(each)}" for each in late
            )
        over, slowest = int((self._took > threshold.bound * 1e6).sum()), self._slowest
        return (
            f"{over:,} of {count(len(self._took), 'ok operation')} took longer than {threshold.bound:,g} ms; "
            f"the slowest, {slowest.f} of {key_name(slowest.key)} by process {slowest.process}, was invoked at "
            f"{at(slowest.invocation)} and took {milliseconds(int(self._took.max())):,} ms"
        )

    @property
    def _healed(self) -> list[Mapping[str, Any]]:
        return [window for window in self._availability.get("windows", ()) if window["stop_ms"] is not None]

    def _ok_rate(self) -> float:
        asked = self._availability.get("operations", 0)
        return self._availability["ok"] / asked if asked else _UNMEASURED

    def _recovery(self) -> float:
        took_ms = [window["recovered_after_ms"] for window in self._healed]
        return max((_NEVER if each is None else each for each in took_ms), default=_UNMEASURED)


def _took_longer(recovered_after_ms: float | None, bound_ms: float) -> bool:
    return recovered_after_ms is None or recovered_after_ms > bound_ms


def _served_again(window: Mapping[str, Any]) -> str:
    after_ms = window["recovered_after_ms"]
    return "and never served again" if after_ms is None else f"and served again {after_ms:,} ms after that"
