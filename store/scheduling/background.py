"""Background work: handoff, repair, anti-entropy and transfer run in slices, so that clients come first.

1. A mechanism does a small slice at a time, and asks for the next through `soon`. Slices run one by one in the order in
   which they were asked for, so mechanisms take turns.
2. Client requests are fast while their 99th percentile over the last minute is well below the threshold. Then slices
   run as fast as they come, `PAUSE_MIN_S` apart.
3. While they are too slow, and those of the last second are as well, the pause doubles every quarter of a second. Then
   it stays until the whole minute is fast again, and shrinks slowly, until the percentile comes close to the threshold.
4. The pause never exceeds `PAUSE_MAX_S`: a cluster that is too slow for its clients still hands off and transfers, or
   it would never recover.
5. Gets may cause more repairs than slices run. Such work is taken only while fewer than `SPARE_MAX` slices wait.

Dynamo (SOSP 2007), section 6.5. The pause changes by factors, slowly towards more work: the minute forgives no
overshoot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from splitbrain.store.scheduling.latencies import Latencies
from splitbrain.store.scheduling.timers import Present, Timers

PAUSE_MIN_S, PAUSE_MAX_S = 0.002, 0.25
ADJUST_EVERY_S = 0.25
LATELY_S = 1
SLOWER, FASTER = 2.0, 0.97
SHARE = 0.99
SPARE_MAX = 100
CLOSE = 0.7
"""The share of the threshold from which on clients can spare no more."""


class Background:
    """Decides when the next slice runs. threshold_s: the latency that clients may see at the 99th percentile."""

    def __init__(self, timers: Timers, present: Present, threshold_s: float) -> None:
        self._timers = timers
        self._present = present
        self._threshold_s = threshold_s
        self._latencies = Latencies()
        self._slices: deque[Callable[[], None]] = deque()
        self._pause_s = PAUSE_MIN_S
        self._last_s = self._adjusted_s = float("-inf")
        self._ran = 0

    def observe(self, seconds: float, now: float) -> None:
        """A client's get or put took that many seconds. O(1)."""
        self._latencies.observe(seconds, now)

    def soon(self, slice_of_work: Callable[[], None]) -> None:
        """Run the slice once clients can spare the time: at the next wake-up at the earliest."""
        self._slices.append(slice_of_work)
        if len(self._slices) == 1:
            self._arm()

    def spare(self, slice_of_work: Callable[[], None]) -> bool:
        """Run optional work as `soon` does. Returns False, and never runs it, if too many slices wait already."""
        if len(self._slices) >= SPARE_MAX:
            return False
        self.soon(slice_of_work)
        return True

    def status(self) -> dict[str, object]:
        """For the status: the clients' latency, the pause, how many slices wait, how many ran."""
        p99_s = self._latencies.quantile(SHARE, self._present.now.monotonic)
        return {
            "p99_ms": None if p99_s is None else round(p99_s * 1000, 3),
            "threshold_ms": self._threshold_s * 1000,
            "pause_ms": round(self._pause_s * 1000, 3),
            "waiting": len(self._slices),
            "ran": self._ran,
        }

    def _arm(self) -> None:
        self._timers.at(max(self._present.now.monotonic, self._last_s + self._pause_s), self._run)

    def _run(self) -> None:
        now = self._present.now.monotonic
        self._adjust(now)
        if now < self._last_s + self._pause_s:  # The pause has just grown.
            self._arm()
            return
        slice_of_work = self._slices.popleft()
        self._last_s = now
        self._ran += 1
        if self._slices:
            self._arm()
        slice_of_work()

    def _adjust(self, now: float) -> None:
        if now < self._adjusted_s + ADJUST_EVERY_S:
            return
        self._adjusted_s = now
        minute_s = self._latencies.quantile(SHARE, now) or 0.0
        lately_s = self._latencies.recent(SHARE, LATELY_S, now) or 0.0
        if max(minute_s, lately_s) <= CLOSE * self._threshold_s:
            self._pause_s = max(PAUSE_MIN_S, self._pause_s * FASTER)
        elif min(minute_s, lately_s) > self._threshold_s:
            self._pause_s = min(PAUSE_MAX_S, self._pause_s * SLOWER)
