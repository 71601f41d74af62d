"""Dots for puts that another node coordinates.

1. A node that forwards a put gives it its dot, and keeps to it whichever coordinator it goes to: one that is given up
   on may still store the put, later, and all must then know it for the same write. Under a dot of each
   coordinator's own, the one that stored it late would bring it back as a sibling of its own successors.
2. Of one actor the dots of a key have no gaps, but for puts under way: a put that failed takes its actor with it, since
   nobody knows whether its dot was used.
3. Actors are random at every start, and 24 bits that count: nothing here needs to be durable.
"""

from __future__ import annotations

from collections import OrderedDict

from splitbrain.store.actions import Bits
from splitbrain.store.versions.dotted import Dot

KEYS_MAX = 100_000
"""Of keys beyond this the longest unused goes; it gets a fresh actor when it comes back."""


class Dots:
    """The dots one node gives away, from its start to its end."""

    def __init__(self, bits: Bits) -> None:
        self._actors = bits(40) << 24
        self._last: OrderedDict[bytes, Dot] = OrderedDict()

    def give(self, key: bytes) -> Dot:
        """A dot for one more put of the key."""
        last = self._last.pop(key, None)
        if last is None:
            self._actors += 1
            last = (self._actors, 0)
            if len(self._last) >= KEYS_MAX:
                self._last.popitem(last=False)
        self._last[key] = (last[0], last[1] + 1)
        return self._last[key]

    def failed(self, key: bytes, dot: Dot) -> None:
        """The put with that dot failed, or nobody knows."""
        last = self._last.get(key)
        if last is not None and last[0] == dot[0]:
            del self._last[key]
