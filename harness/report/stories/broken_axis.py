"""A time axis that is broken where nothing happens.

1. Moments keep their order. Between two of them the axis is as long as the root of the time that passed, and no shorter
   than LEAST px: an answer after 3 ms and a read after 40 s can both be seen.
2. Where a second takes far less room than elsewhere, the axis is broken, and marked so.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise

from splitbrain.harness.report.stories.svg import LETTER, Drawing

LEAST = 14.0
BROKEN = 12.0
"""A stretch is broken if a second takes so many times less room than in the median one."""


class BrokenAxis:
    """From times in ns to px.

    moments: the times that matter, at least one. left, right: the room, in px.
    """

    def __init__(self, moments: Iterable[int], left: float, right: float) -> None:
        self.moments = sorted(set(moments))
        self.left, self.right = left, right
        gaps = [later - earlier for earlier, later in pairwise(self.moments)]
        roots = [gap**0.5 for gap in gaps]
        least = min(LEAST, (right - left) / (len(gaps) or 1) / 2)
        spare = (right - left) - least * len(gaps)
        total = sum(roots) or 1.0
        self._x = [left]
        for root in roots:
            self._x.append(self._x[-1] + least + spare * root / total)
        rates = sorted(gap / (to - at) for gap, (at, to) in zip(gaps, pairwise(self._x), strict=True))
        usual = rates[len(rates) // 2] if rates else 0.0
        self.breaks = [
            (at + to) / 2
            for gap, (at, to) in zip(gaps, pairwise(self._x), strict=True)
            if gap / (to - at) > BROKEN * usual
        ]

    def x(self, at_ns: int) -> float:
        """Where a time is drawn; before the first moment at the left end, after the last at the right one."""
        if at_ns <= self.moments[0]:
            return self._x[0]
        if at_ns >= self.moments[-1]:
            return self._x[-1]
        later = bisect_left(self.moments, at_ns)
        low, high = self.moments[later - 1], self.moments[later]
        share = (at_ns - low) / (high - low)
        return self._x[later - 1] + share * (self._x[later] - self._x[later - 1])

    def draw(self, drawing: Drawing, y: float, bottom: float) -> None:
        """The axis with its times at y, a faint line down from each to bottom, and its breaks."""
        drawing.line(self.left, y, self.right, y, "axis")
        free = self.left - 100.0
        for at, x in zip(self.moments, self._x, strict=True):
            words = f"{at / 1e9:.3f} s"
            breadth = len(words) * LETTER
            drawing.line(x, y - 3, x, bottom, "tick")
            if x - breadth / 2 > free and x + breadth / 2 < self.right + 40:
                drawing.text(x, y - 7, words, "small quiet", "middle")
                free = x + breadth / 2 + 4
        for x in self.breaks:
            drawing.box(x - 4, y - 4, 8, 8, "page")
            drawing.path(
                f"M{x - 5:.1f} {y + 4:.1f}L{x - 1:.1f} {y - 4:.1f}M{x + 1:.1f} {y + 4:.1f}L{x + 5:.1f} {y - 4:.1f}",
                "axis",
            )
