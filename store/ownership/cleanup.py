"""Cleanup: deletes keys that this node stores and that are not its own any more.

1. A key is deleted if no token of this node covers it and the ring does not make this node a primary replica of it.
   Cleanup runs in slices, after a transfer and at the start.
2. A node that was removed keeps what it has, in case the operator erred. If it joins again it deletes all of that
   before it takes anything: it may be older than tombstones that were deleted since.
3. Such a node deletes its hints at once. Nodes that know of its removal accept none from it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from splitbrain.store.actions import Reader, Record
from splitbrain.store.membership.history import Standing
from splitbrain.store.parts import Core
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.ring.ring import RING_SIZE, Range, position
from splitbrain.store.storage.engine import DamagedRecord
from splitbrain.store.storage.replica import DATA
from splitbrain.store.storage.tokens import Token, without

CLEANUP = "leftovers"
"""The engine's space for what cleanup remembers. Disks in use have it under this name."""
_REMOVALS = b"removals"
LOOKED_AT_ONCE = 64


class Cleanup:
    """One node's cleanup."""

    def __init__(self, core: Core, handoff: Handoff, reader: Reader) -> None:
        self._core = core
        self._handoff = handoff
        self._ranges: list[Range] = []
        self._after: bytes | None = None
        self._clearing = False
        self.in_transit: Callable[[], list[Token]] = list
        """Tokens given up that maybe no node holds yet: a reclaiming node fetches their keys here. Set by `sender`."""
        try:
            self._removals = int.from_bytes(reader.get(CLEANUP, _REMOVALS) or b"")
        except DamagedRecord:
            self._removals = 0
        core.membership.on_change.append(lambda before: self._ring_changed())

    def start(self) -> None:
        """Continue what a crash interrupted."""
        self._ring_changed()
        self.clear()

    @property
    def returning(self) -> bool:
        """Whether this node was removed, and has not deleted yet what it had then."""
        return self._core.membership.removals(self._core.name) > self._removals

    def clear(self) -> None:
        """Begin to delete the keys that are not this node's."""
        if self._core.membership.standing not in (Standing.MEMBER, Standing.LEAVING):
            return
        self._ranges = without((0, RING_SIZE), self._core.ownership.tokens)
        self._after = None
        if not self._clearing:
            self._clearing = True
            self._core.background.soon(self._clear_some)

    def _ring_changed(self) -> None:
        if self.returning:
            self._handoff.void()
            self._core.ownership.drop((0, RING_SIZE), [], lambda: None)
            self.clear()

    def _clear_some(self) -> None:
        core = self._core
        if not self._ranges:
            self._clearing = False
            self._cleared()
            return
        looked_at = 0
        for key, _ in islice(core.replica.scan(self._ranges[0], self._after), LOOKED_AT_ONCE):
            self._after = key
            looked_at += 1
            if not self._is_own(key) and core.replica.settled(DATA, key):
                core.replica.delete(DATA, key, lambda: None)
                core.counters["keys_cleared"] += 1
        if looked_at < LOOKED_AT_ONCE:
            self._ranges.pop(0)
            self._after = None
        core.background.soon(self._clear_some)

    def _is_own(self, key: bytes) -> bool:
        core, at = self._core, position(key)
        if core.ownership.slot_at(at) is not None or any(token.start <= at < token.end for token in self.in_transit()):
            return True
        return not self.returning and core.name in core.ring.primaries(key)

    def _cleared(self) -> None:
        if self.returning and self._core.membership.standing is Standing.MEMBER:
            self._removals = self._core.membership.removals(self._core.name)
            record = Record(CLEANUP, _REMOVALS, self._removals.to_bytes(8))
            self._core.replica.store((record,), lambda: None)
