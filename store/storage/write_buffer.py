"""The write buffer: replica writes that are held in memory, and written to disk later, many at a time.

1. A buffered write is acknowledged as held, not as durable. It counts toward W and not toward DW.
2. Reads look in the buffer first (`Replica.visible`), and find a write there until it is durable. What nodes compare
   and transfer in the background is durable.
3. The buffer is flushed every `flush_s`, and at once when it is full. A write that finds no room is written durably. So
   is one of a key that is being written to disk. So a slow disk slows the writers down instead of filling the memory.
4. At least one replica of each put writes durably, unless DW is 0: the coordinator, before any other node hears of it.
   With DW above 1 all replicas are asked to, since any of them may be the one that answers.
5. A crash loses what only buffers held. With DW = 0 that may be an acknowledged write, by design. Otherwise it is
   copies of one, which anti-entropy and read repair bring back.
6. A crash also loses dots, so a node with a buffer makes its dots under actors that are fresh at every start
   (`replica`, rule 3).
7. Hints are not buffered: a hint is often the only copy.

Dynamo (SOSP 2007), section 6.1: "trading durability for performance".
"""

from __future__ import annotations

from splitbrain.store.config import Config
from splitbrain.store.scheduling.timers import Present, Timers
from splitbrain.store.storage.replica import DATA, Entry, Replica
from splitbrain.store.versions.dotted import VersionSet


class WriteBuffer:
    """One node's write buffer. It holds at most `config.write_buffer` objects; none if that is 0."""

    def __init__(self, config: Config, replica: Replica, timers: Timers, present: Present) -> None:
        self._room = config.write_buffer
        self._flush_s = config.flush_s
        self._replica = replica
        self._timers = timers
        self._present = present
        self._flushes = 0

    def start(self) -> None:
        """Begin to flush at intervals."""
        if self._room:
            self._tick()

    def merge(self, key: bytes, state: VersionSet) -> bool:
        """Merge a state into what is held. False if it can't be held here: then it must be stored durably."""
        entry = self._replica.newest(DATA, key)
        return self.put(key, Entry(entry.actor, self._replica.combine([entry.state, state])))

    def put(self, key: bytes, entry: Entry) -> bool:
        """Hold the entry, which must include the newest state of the key. False: as in `merge`. O(1)."""
        held = self._replica.buffered
        if (key not in held and len(held) >= self._room) or self._replica.on_its_way(DATA, key):
            return False
        if key not in held and self._replica.read(DATA, key) == entry:
            return False  # It is durable already: no flush would ever remove it from the buffer.
        held[key] = entry
        if len(held) == self._room:
            self.flush()
        return True

    def flush(self) -> None:
        """Write all that is buffered to disk; it stays buffered until it is durable."""
        self._flushes += 1
        for key, entry in self._replica.buffered.items():
            if not self._replica.on_its_way(DATA, key):
                self._replica.put(DATA, key, entry, lambda: None)

    def status(self) -> dict[str, int]:
        """For the status: objects held, how many fit, and flushes so far."""
        return {"objects": len(self._replica.buffered), "room": self._room, "flushes": self._flushes}

    def _tick(self) -> None:
        if self._replica.buffered:
            self.flush()
        self._timers.at(self._present.now.monotonic + self._flush_s, self._tick)
