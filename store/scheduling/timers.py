"""Timers for a core that has no clock: callbacks at moments that it is told have come.

1. Callbacks run in the order of their times; equal times in the order in which they were set.
2. A cancelled timer never runs.
3. `Present` is the core's only clock: whoever enters the core sets it first.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from splitbrain.store.actions import Instant


class Present:
    """The moment that the core is in: set at every entry, read by all that runs then."""

    def __init__(self, now: Instant) -> None:
        self.now = now


class Timer:
    """A callback that has not run yet."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Timers:
    """A heap of timers. Setting and running one is O(log n)."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()

    def at(self, moment: float, callback: Callable[[], None]) -> Timer:
        """Run the callback once `run` is given a time that is not before `moment` (monotonic seconds)."""
        timer = Timer(callback)
        heapq.heappush(self._heap, (moment, next(self._order), timer))
        return timer

    def run(self, now: float) -> None:
        """Run all timers that are due, including those set meanwhile for now or earlier."""
        while self._heap and self._heap[0][0] <= now:
            callback = heapq.heappop(self._heap)[2].callback
            if callback is not None:
                callback()

    @property
    def next(self) -> float | None:
        """When the earliest timer is due, or None."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
