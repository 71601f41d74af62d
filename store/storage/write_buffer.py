"""The write buffer: replica writes held in memory, and written to disk later, many at a time.

1. A buffered write is acknowledged as what it is: held, not durable. It counts toward W and not toward DW.
2. Reads look in the buffer first (`Replica.visible`), and find a write there until it is durable. What nodes compare
   and hand to each other in the background is durable.
3. The buffer is flushed every `flush_s`, and at once when it is full. What finds no room, and what changes a key that
   is on its way to the disk, is written durably: so a slow disk slows the writers down instead of filling the memory.
4. Of each put one replica at least writes durably, unless DW is 0: the coordinator, before any other hears of it. With
   DW above 1 all are asked to, since nobody knows beforehand which of them will answer.
5. A crash loses what only buffers held: with DW = 0 an acknowledged write, by design; otherwise copies of it, which
   anti-entropy and read repair bring back. Dots are lost as well, so a node that has a buffer makes its dots under
   names that are fresh at every start (`replica`, rule 3).
6. Hints are not buffered: a hint is often the only copy there is.

Dynamo (SOSP 2007), section 6.1: "trading durability for performance".
"""

from __future__ import annotations

from splitbrain.store.config import Config
from splitbrain.store.scheduling.timers import Present, Timers
from splitbrain.store.storage.replica import DATA, Entry, Replica
from splitbrain.store.versions.dotted import VersionSet


class WriteBuffer:
    """Of one node. It holds `config.write_buffer` objects at most; none if that is 0."""

    def __init__(self, config: Config, replica: Replica, timers: Timers, present: Present) -> None:
        self._room = config.write_buffer
        self._flush_s = config.flush_s
        self._replica = replica
        self._timers = timers
        self._present = present
        self._flushes = 0

    def start(self) -> None:
        """Begin to flush."""
        if self._room:
            self._tick()

    def merge(self, key: bytes, state: VersionSet) -> bool:
        """Add what the state knows. False if it can't be held here: then it must be stored durably."""
        entry = self._replica.newest(DATA, key)
        return self.put(key, Entry(entry.actor, self._replica.combine([entry.state, state])))

    def put(self, key: bytes, entry: Entry) -> bool:
        """Hold the entry, which must include the newest state of the key. False as for `merge`. O(1)."""
        held = self._replica.buffered
        if (key not in held and len(held) >= self._room) or self._replica.on_its_way(DATA, key):
            return False
        if key not in held and self._replica.read(DATA, key) == entry:
            return False  # A repetition of what is durable: no flush would ever take it out again.
        held[key] = entry
        if len(held) == self._room:
            self.flush()
        return True

    def flush(self) -> None:
        """Have all that is buffered written; it stays until it is durable."""
        self._flushes += 1
        for key, entry in self._replica.buffered.items():
            if not self._replica.on_its_way(DATA, key):
                self._replica.put(DATA, key, entry, lambda: None)

    def status(self) -> dict[str, int]:
        """JSON-able: objects held now, room for so many, flushes so far."""
        return {"objects": len(self._replica.buffered), "room": self._room, "flushes": self._flushes}

    def _tick(self) -> None:
        if self._replica.buffered:
            self.flush()
        self._timers.at(self._present.now.monotonic + self._flush_s, self._tick)
