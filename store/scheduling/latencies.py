"""Latencies of the last minute, as a histogram.

1. Recording one is O(1), and nothing is ever sorted.
2. A quantile is exact to a bucket: at most a ninth too high, never too low.
3. What is older than `WINDOW_S` no longer counts, to the second.

Dynamo (SOSP 2007), section 6.5: the 99th percentile over the last 60 seconds. Buckets as in HdrHistogram.
"""

from __future__ import annotations

import math
from collections import deque

WINDOW_S = 60
BUCKETS_PER_OCTAVE = 8
SHORTEST_S = 1e-6

_Slot = tuple[int, dict[int, int]]


class Latencies:
    """One histogram a second, and their sum."""

    def __init__(self) -> None:
        self._slots: deque[_Slot] = deque()
        self._sum: dict[int, int] = {}
        self.count = 0

    def observe(self, seconds: float, now: float) -> None:
        """Record one latency. now: monotonic seconds, never less than before. O(1) amortized."""
        second = int(now)
        if not self._slots or self._slots[-1][0] != second:
            self._expire(second)
            self._slots.append((second, {}))
        slot = self._slots[-1][1]
        bucket = _bucket(seconds)
        slot[bucket] = slot.get(bucket, 0) + 1
        self._sum[bucket] = self._sum.get(bucket, 0) + 1
        self.count += 1

    def quantile(self, share: float, now: float) -> float | None:
        """The latency that this share of them did not exceed, in seconds; None if there was none. O(buckets), some
        dozens.
        """
        self._expire(int(now))
        return _quantile(self._sum, share)

    def recent(self, share: float, seconds: int, now: float) -> float | None:
        """The same for the last few seconds only. O(seconds * buckets)."""
        together: dict[int, int] = {}
        for second, slot in self._slots:
            if second > int(now) - seconds:
                for bucket, count in slot.items():
                    together[bucket] = together.get(bucket, 0) + count
        return _quantile(together, share)

    def _expire(self, second: int) -> None:
        while self._slots and self._slots[0][0] <= second - WINDOW_S:
            for bucket, count in self._slots.popleft()[1].items():
                self.count -= count
                self._sum[bucket] -= count
                if not self._sum[bucket]:
                    del self._sum[bucket]


def _bucket(seconds: float) -> int:
    return math.ceil(math.log2(max(seconds, SHORTEST_S) / SHORTEST_S) * BUCKETS_PER_OCTAVE)


def _quantile(histogram: dict[int, int], share: float) -> float | None:
    left = math.ceil(share * sum(histogram.values()))
    for bucket in sorted(histogram):
        left -= histogram[bucket]
        if left <= 0:
            return float(SHORTEST_S * 2 ** (bucket / BUCKETS_PER_OCTAVE))
    return None
