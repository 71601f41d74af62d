"""Dots for puts that another node coordinates.

1. A node that forwards a put assigns its dot, and keeps it whichever coordinator the put goes to. A coordinator that
   was given up on may still store the put later, and all replicas must then recognize it as the same write. Under a
   second dot it would come back as a sibling of its own successors.
2. The dots that one actor makes for a key have no gaps, except for puts under way. A put that failed retires its actor:
   its outcome is indeterminate, so its dot may be used.
3. Actors are random at every start, with 24 bits that count. So nothing here has to be durable.
"""

from __future__ import annotations

from collections import OrderedDict

from splitbrain.store.actions import Bits
from splitbrain.store.versions.dotted import Dot

KEYS_MAX = 100_000
"""Beyond this many keys the least recently used is forgotten; it gets a fresh actor when it comes back."""


class Dots:
    """The dots that one node assigns to forwarded puts, from its start to its end."""

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
        """The put with that dot failed, or its outcome is indeterminate."""
        last = self._last.get(key)
        if last is not None and last[0] == dot[0]:
            del self._last[key]
