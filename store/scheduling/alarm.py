"""The alarm: wakes a core at the time of its earliest timer, on an event loop.

1. It rings at the time it was set to, or earlier. To wake a core early does no harm: it finds nothing due.
2. It is moved only to an earlier time. To be woken too early now and then costs less than to move the alarm at every
   datagram.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Handle(Protocol):
    """What an event loop returns for a callback to come."""

    def cancel(self) -> None: ...


class Loop(Protocol):
    """The part of an event loop that an alarm needs."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Handle: ...


class Alarm:
    """One core's alarm. wake: what it calls. clock: monotonic seconds. loop: gives the running event loop."""

    def __init__(self, wake: Callable[[], None], clock: Callable[[], float], loop: Callable[[], Loop]) -> None:
        self._wake = wake
        self._clock = clock
        self._loop = loop
        self._due: float | None = None
        self._handle: Handle | None = None

    def set(self, due: float | None) -> None:
        """Ring at that time (monotonic seconds), or before. None: there is nothing to wait for. O(1)."""
        if due is None or (self._due is not None and self._due <= due):
            return
        if self._handle is not None:
            self._handle.cancel()
        self._due = due
        self._handle = self._loop().call_later(max(0.0, due - self._clock()), self._ring)

    def cancel(self) -> None:
        """Ring no more."""
        if self._handle is not None:
            self._handle.cancel()

    def _ring(self) -> None:
        self._due = None
        self._wake()
