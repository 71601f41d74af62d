"""Background work: handoff, repair, anti-entropy and transfer in slices, so that clients come first.

1. A mechanism does a small slice at a time, and asks for the next through `soon`.

Dynamo (SOSP 2007), section 6.5.
"""

from __future__ import annotations

from collections.abc import Callable

from store.exchange import Present
from store.timers import Timers


class Background:
    """Decides when the next slice runs."""

    def __init__(self, timers: Timers, present: Present) -> None:
        self._timers = timers
        self._present = present

    def soon(self, slice_of_work: Callable[[], None]) -> None:
        """Run the slice, once clients can spare the time: at the next wake-up at the earliest."""
        self._timers.at(self._present.now.monotonic, slice_of_work)
