"""The budget: how many bytes of clients' puts a node takes at a time, so that each is done well within its deadline.

1. A put of more than one datagram is admitted at its first fragment, or refused as `busy` with the time at which to
   come back. What is refused costs neither side more than that fragment's flight. One is always admitted if none is
   under way, however large.
2. What counts: puts that this node coordinates, puts that are arriving, and what waits to be sent to the slowest
   replica that takes anything in (`long_messages`). A replica that takes in nothing is dead or cut off: hints are kept
   for it.
3. The budget adapts: it shrinks by a fifth with each put that took longer than `SLOW` of the time a coordinator has,
   and grows by a share of each put that was faster.
4. Who is refused is given a place in a queue: the time at which those before it should be done, at the rate at which
   puts were lately done. So clients come back one after another, and not all at once.
"""

from __future__ import annotations

from splitbrain.store.scheduling.timers import Present
from splitbrain.store.wire.client_messages import Failed

BUDGET_BYTES = 2 << 20
BUDGET_MIN_BYTES, BUDGET_MAX_BYTES = 128 << 10, 8 << 20
SLOW = 0.25
SHRINK, GROW = 0.8, 1 / 8
RATE_FIRST, RATE_MIN = 10e6, 100e3
"""Bytes a second: assumed before anything was done; and at least, for the hints."""
RATE_OVER_S = 1.0
AGAIN_MIN_S, AGAIN_MAX_S = 0.02, 1.0
TAKES_IN_S = 0.1
"""A replica that took in something of a long message within this time is alive."""


class Budget:
    """One node's. name: the node's own. request_timeout_s: the time that a coordinator has."""

    def __init__(self, name: str, present: Present, request_timeout_s: float) -> None:
        self._name = name
        self._present = present
        self._slow_s = SLOW * request_timeout_s
        self._bytes = float(BUDGET_BYTES)
        self._rate = RATE_FIRST
        self._rated_at: float | None = None
        self._done_bytes = 0
        self._promised_until = 0.0
        self.under_way = 0
        """Bytes of the puts that this node coordinates."""

    @property
    def size(self) -> int:
        """How many bytes it takes at a time, at present."""
        return int(self._bytes)

    def admit(self, size: int, elsewhere: int) -> Failed | None:
        """The refusal of a put of so many bytes, or None. elsewhere: what counts besides `under_way`. O(1)."""
        counted = self.under_way + elsewhere
        if not counted or counted + size <= self._bytes:
            return None
        now = self._present.now.monotonic
        rate = max(RATE_MIN, self._rate)
        over_s = (counted + size - self._bytes) / rate
        self._promised_until = max(self._promised_until, now + over_s - size / rate) + size / rate
        after_s = min(AGAIN_MAX_S, max(AGAIN_MIN_S, self._promised_until - now))
        self._promised_until = min(self._promised_until, now + AGAIN_MAX_S)
        text = f"{self._name} has {counted} bytes of puts under way; wait and retry"
        return Failed("busy", text, retry_after_ms=round(1000 * after_s))

    def began(self, size: int) -> None:
        """This node begins to coordinate a put of so many bytes."""
        if self._rated_at is None:
            self._rated_at = self._present.now.monotonic
        self.under_way += size

    def ended(self, size: int, took_s: float) -> None:
        """It has been answered."""
        now = self._present.now.monotonic
        self.under_way -= size
        self._done_bytes += size
        if took_s > self._slow_s:
            self._bytes = max(BUDGET_MIN_BYTES, self._bytes * SHRINK)
        else:
            self._bytes = min(BUDGET_MAX_BYTES, self._bytes + size * GROW)
        if self._rated_at is not None and now - self._rated_at >= RATE_OVER_S:
            self._rate += (self._done_bytes / (now - self._rated_at) - self._rate) / 2
            self._done_bytes, self._rated_at = 0, None if not self.under_way else now
