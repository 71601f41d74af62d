"""Drawings for lists of runs, as SVG: sparklines, verdicts over time, and two runs' series on one scale.

1. A drawing needs no script, and takes its colours from the page's style by class, so that it follows light and dark.
2. Where there is no figure, the line has a gap. A single point between gaps is drawn as a dot.
3. Every drawing says in words what it shows, for those who don't see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from markupsafe import Markup

from splitbrain.harness.serving.pulse import FaultSpan
from splitbrain.harness.serving.run_entry import VERDICTS, RunEntry

Figures = Sequence[float | None]
POINTS = 60
"""Of a sparkline: the last runs."""
BINS = 60
_SPARK = (120.0, 24.0)
_BARS = (600.0, 90.0)
_CHART = (600.0, 80.0)
_STEPS = (60, 300, 900, 3600, 4 * 3600, 86_400, 7 * 86_400, 28 * 86_400, 91 * 86_400, 364 * 86_400)
"""Seconds that a bar may stand for."""
_DOT = 1.6


def sparkline(figures: Figures, words: str) -> Markup:
    """The last figures as a line that fills its height. words: what it shows. O(n)."""
    shown = list(figures)[-POINTS:]
    present = [each for each in shown if each is not None]
    if not present:
        return Markup('<span class="quiet">–</span>')
    low, high = min(present), max(present)
    # A line of equal figures lies in the middle, and not at an end that would read as best or worst.
    if high == low:
        low, high = low - 1.0, high + 1.0
    width, height = _SPARK
    step = (width - 6) / max(len(shown) - 1, 1)
    drawn = _lines([_at(each, low, high, height, 3.0) for each in shown], step, 3.0)
    return _svg("spark", _SPARK, words, drawn, fixed=True)


def chart(figures: Figures, highest: float, seconds: float, faults: Sequence[FaultSpan], words: str) -> Markup:
    """A figure for each second, on a scale that others share.

    highest: the scale's end; it begins at 0. seconds: how long the axis is. faults: are shaded. O(n).
    """
    width, height = _CHART
    end = max(seconds, 1.0)
    bands = Markup().join(
        Markup('<rect class="fault" x="{}" y="0" width="{}" height="{}"><title>{}</title></rect>').format(
            round(span.start_s / end * width, 2),
            round(max((span.stop_s if span.stop_s is not None else end) - span.start_s, 0.2) / end * width, 2),
            height,
            f"{span.name}, from {span.start_s:.1f} s",
        )
        for span in faults[:400]
    )
    points = [_at(each, 0.0, highest or 1.0, height, 2.0) for each in figures]
    # A second's figure stands in its middle.
    return _svg("chart", _CHART, words, bands + _lines(points, width / end, width / end / 2))


class Bin(NamedTuple):
    """Runs of one stretch of time: when it begins, and how many there are of each verdict."""

    start: datetime
    counts: dict[str, int]


def binned(runs: Iterable[RunEntry]) -> tuple[list[Bin], str]:
    """The runs by time, in at most BINS stretches of equal length, those without a run included; and what one stands
    for, in words. O(n log n).
    """
    moments = sorted((run.at_s, run.verdict) for run in runs)
    if not moments:
        return [], ""
    first, last = moments[0][0], moments[-1][0]
    step = next((each for each in _STEPS if (last - first) / each < BINS - 1), math.ceil((last - first) / (BINS - 2)))
    begin = first // step * step
    counts: dict[int, dict[str, int]] = {}
    for at_s, verdict in moments:
        here = counts.setdefault(int((at_s - begin) // step), {})
        here[verdict] = here.get(verdict, 0) + 1
    start = datetime.fromtimestamp(begin, UTC)
    bins = [Bin(start + timedelta(seconds=step * at), counts.get(at, {})) for at in range(max(counts) + 1)]
    return bins, _unit(step)


def _unit(seconds: int) -> str:
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = round(seconds / size)
            return name if number == 1 else f"{number} {name}s"
    return f"{seconds} seconds"


def verdict_bars(bins: Sequence[Bin], words: str) -> Markup:
    """Bars of the runs by time, a part for each verdict, the worst at the bottom. O(bins)."""
    width, height = _BARS
    most = max((sum(each.counts.values()) for each in bins), default=1)
    step = width / max(len(bins), 12)
    parts = Markup()
    for at, each in enumerate(bins):
        top = height
        told = ", ".join(f"{number} {name}" for name, number in each.counts.items())
        for verdict in VERDICTS:
            tall = each.counts.get(verdict, 0) / most * (height - 4)
            if not tall:
                continue
            top -= tall
            parts += Markup(
                '<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
            ).format(
                verdict, round(at * step, 2), round(top, 2), round(max(step - 1, 0.6), 2), round(tall, 2),
                f"{each.start:%Y-%m-%d %H:%M}: {told}",
            )  # fmt: skip
    return _svg("bars", _BARS, words, parts)


def _at(figure: float | None, low: float, high: float, height: float, edge: float) -> float | None:
    """How far down a figure is drawn."""
    if figure is None or not math.isfinite(figure):
        return None
    share = min(max((figure - low) / (high - low), 0.0), 1.0)
    return round(height - edge - share * (height - 2 * edge), 2)


def _lines(heights: Sequence[float | None], step: float, left: float) -> Markup:
    """A line through the heights, broken where there is none (rule 2), and a dot at the last of them."""
    drawn = Markup()
    last: tuple[float, float] | None = None
    for stretch in _stretches(heights):
        points = [(round(left + at * step, 2), height) for at, height in stretch]
        last = points[-1]
        if len(points) == 1:
            drawn += _dot(*points[0])
        else:
            drawn += Markup('<polyline points="{}"/>').format(" ".join(f"{x},{y}" for x, y in points))
    return drawn + (_dot(*last) if last is not None else Markup())


def _stretches(heights: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    for present, group in groupby(enumerate(heights), key=lambda pair: pair[1] is not None):
        if present:
            yield [(at, height) for at, height in group if height is not None]


def _dot(x: float, y: float) -> Markup:
    return Markup('<circle cx="{}" cy="{}" r="{}"/>').format(x, y, _DOT)


def _svg(kind: str, size: tuple[float, float], words: str, content: Markup, *, fixed: bool = False) -> Markup:
    stretched = Markup("") if fixed else Markup(' preserveAspectRatio="none"')
    return Markup('<svg class="{}" viewBox="0 0 {:g} {:g}"{} role="img" aria-label="{}">{}</svg>').format(
        kind, *size, stretched, words, content
    )
