"""Dots: names of writes, counted for each key under an actor of its own.

1. The dots that one actor makes for a key have no gaps, except for writes under way. A write that may never have been
   done retires its actor, since its dot may be unused.
2. Actors are new whenever this memory may have been lost. So nothing here has to be durable.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from splitbrain.store.versions.dotted import Dot

KEYS_MAX = 100_000
"""Beyond this many keys the least recently used is forgotten; it gets a fresh actor when it comes back."""


class Dots:
    """The dots that one node or client makes in memory, by key. new_actor: makes an actor that there never was."""

    def __init__(self, new_actor: Callable[[], int]) -> None:
        self._new_actor = new_actor
        self._last: OrderedDict[bytes, Dot] = OrderedDict()

    def give(self, key: bytes) -> Dot:
        """A dot for one more write of the key."""
        last = self._last.pop(key, None)
        if last is None:
            last = (self._new_actor(), 0)
            if len(self._last) >= KEYS_MAX:
                self._last.popitem(last=False)
        self._last[key] = (last[0], last[1] + 1)
        return self._last[key]

    def last(self, key: bytes) -> Dot | None:
        """The last dot of the key; None: it is forgotten."""
        return self._last.get(key)

    def failed(self, key: bytes, dot: Dot) -> None:
        """The write with that dot failed, or its outcome is indeterminate."""
        last = self._last.get(key)
        if last is not None and last[0] == dot[0]:
            del self._last[key]
