"""The hybrid logical clock: stamps that respect cause and effect, and stay near the calendar.

1. A node's next stamp is after every stamp it gave, and after every stamp of what the write has seen. So an effect is
   stamped after its cause, whatever the clocks of the nodes say.
2. A stamp is never behind the node's own wall clock. It is ahead of it by no more than the clocks of the nodes differ,
   plus a nanosecond for every stamp given faster than clocks tick.
3. A stamp further ahead than `DRIFT_MAX_NS` shows a clock that is wrong. A write that has seen it is still stamped
   after it, or it would be lost as soon as it is acknowledged. But the node's clock does not follow: a wrong clock
   spoils the stamps of the keys written under it, and of no others.
4. A node whose own clock was wrong and has been put back follows it back, by the same measure. Its hybrid clock need
   not be durable: the versions stored under its earlier stamps carry them.

Kulkarni, Demirbas, Madappa, Avva, Leone: Logical Physical Clocks (2014). There a stamp is a pair: l, the largest wall
clock heard of, and c, which counts stamps while l stands still. Here the two are one number, c nanoseconds after l,
which a clock that counts nanoseconds allows.
"""

from __future__ import annotations

from dataclasses import dataclass

from splitbrain.store.versions.dotted import STAMP_MAX

DRIFT_MAX_NS = 5 * 60 * 1_000_000_000
"""Clocks under NTP differ by milliseconds; one that is five minutes off is not synchronized at all."""


@dataclass(slots=True)
class HybridClock:
    """One node's clock. last: the last stamp it followed."""

    last: int = 0

    def stamp(self, wall_ns: int, seen: int = 0) -> int:
        """The stamp of a write made now, which has seen stamps up to `seen`. O(1).

        wall_ns: the node's calendar clock, in nanoseconds.
        """
        limit = wall_ns + DRIFT_MAX_NS
        own = self.last + 1 if self.last <= limit else 0
        self.last = max(wall_ns, own, seen + 1 if seen <= limit else 0)
        return min(max(self.last, seen + 1), STAMP_MAX)
