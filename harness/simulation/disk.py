"""A simulated disk: what a small store's engine would find on a real one.

The durability model:

1. A commit is one frame in a log: all of its records or none. Frames are durable in the order of the commits.
2. A sync takes seeded time, seldom very long (a stall). Commits that come meanwhile wait, and the next sync takes
   all of them at once (group commit).
3. Records can be read as soon as they are durable, never before; only then is the commit's `done` called.
4. A crash keeps everything that was acknowledged. Of the frames that were not, the operating system may have
   written any number on its own, in order. So a seeded prefix of their bytes is kept. It may end within a frame,
   and the torn frame's last bytes may be garbage.
5. After a crash the log is read up to the first frame whose checksum is wrong; the rest is thrown away. So an
   unacknowledged write may be there, and half a commit never is.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec
from sortedcontainers import SortedDict

from splitbrain.harness.seeds import draw
from splitbrain.harness.simulation.loop import VirtualLoop

Record = tuple[str, bytes, bytes | None]
Done = Callable[[], None]
SCANNED_AT_ONCE = 64
_NO_RECORDS: SortedDict[bytes, bytes] = SortedDict()
HEADER_BYTES = 8
"""Of a frame: the length of what follows, and its checksum, four bytes each."""


@dataclass(frozen=True, slots=True)
class DiskTimes:
    """How long a sync takes: seconds, uniform between the two. stall: the probability that it takes `stall_s`."""

    sync_s: tuple[float, float] = (0.000_3, 0.002)
    stall: float = 0.001
    stall_s: tuple[float, float] = (0.05, 0.2)


class SimulatedDisk:
    """Spaces of keys and values, one disk a machine.

    syncs: how many have ended so far.
    """

    def __init__(self, loop: VirtualLoop, *, seed: int, times: DiskTimes | None = None) -> None:
        self._loop = loop
        self._times = times or DiskTimes()
        self._rng = draw(seed)
        self._durable: defaultdict[str, SortedDict[bytes, bytes]] = defaultdict(SortedDict)
        self._syncing: list[tuple[Sequence[Record], Done]] = []
        self._waiting: list[tuple[Sequence[Record], Done]] = []
        self._left_by_crash = b""
        self._epoch = 0
        self.syncs = 0

    def get(self, space: str, key: bytes) -> bytes | None:
        """The durable value, or None. O(1)."""
        return self._durable.get(space, _NO_RECORDS).get(key)

    def scan(self, space: str, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """The space's durable records by key, from `start` up to and without `end`. O(log n), then O(1) a record.

        What becomes durable meanwhile, further on, may be among them.
        """
        at = start
        while True:
            records = self._durable.get(space, _NO_RECORDS)
            keys = islice(records.irange(at, end, inclusive=(True, False)), SCANNED_AT_ONCE)
            taken = [(key, records[key]) for key in keys]
            yield from taken
            if len(taken) < SCANNED_AT_ONCE:
                return
            at = taken[-1][0] + b"\0"

    def commit(self, records: Sequence[Record], done: Done) -> None:
        """Make the records durable, all or none, then call `done`; never, if the machine crashes first.

        records: (space, key, value), value None to delete; later ones win.
        """
        self._waiting.append((records, done))
        if not self._syncing:
            self._sync()

    def _sync(self) -> None:
        self._syncing, self._waiting = self._waiting, []
        times = self._times
        shortest_s, longest_s = times.stall_s if self._rng.random() < times.stall else times.sync_s
        took_s = shortest_s + (longest_s - shortest_s) * self._rng.random()
        self._loop.deliver(took_s, self._synced, self._epoch)

    def _synced(self, epoch: int) -> None:
        if epoch != self._epoch:
            return  # the machine crashed in mid-sync
        self.syncs += 1
        synced, self._syncing = self._syncing, []
        for records, _ in synced:
            self._apply(records)
        if self._waiting:
            self._sync()
        for _, done in synced:
            done()
            if epoch != self._epoch:
                return  # what was told that its write is durable crashed of it

    def _apply(self, records: Sequence[Record]) -> None:
        for space, key, value in records:
            if value is not None:
                self._durable[space][key] = value
            elif key in self._durable[space]:
                del self._durable[space][key]

    def crash(self) -> None:
        """Lose what was not synced, but for what the operating system happened to have written: rule 4."""
        self.recover()
        log = b"".join(frame(records) for records, _ in self._syncing + self._waiting)
        kept = int(self._rng.random() * (len(log) + 1))
        rubbish = bytearray(log[:kept])
        if rubbish and self._rng.random() < 0.5:
            rubbish[-1] ^= 1 + int(self._rng.random() * 255)
        self._left_by_crash = bytes(rubbish)
        self._syncing, self._waiting = [], []
        self._epoch += 1

    def recover(self) -> None:
        """Read what a crash left: rule 5. To be called before the disk is used again."""
        for records in frames(self._left_by_crash):
            self._apply(records)
        self._left_by_crash = b""

    def wipe(self) -> None:
        """An empty disk."""
        self._durable.clear()
        self._syncing, self._waiting = [], []
        self._left_by_crash = b""
        self._epoch += 1


def frame(records: Sequence[Record]) -> bytes:
    """The records as one frame: length, CRC-32, contents."""
    contents = msgspec.msgpack.encode(list(records))
    return len(contents).to_bytes(4, "big") + zlib.crc32(contents).to_bytes(4, "big") + contents


def frames(log: bytes) -> Iterator[list[Record]]:
    """The frames of a log, up to the first that is cut off or whose checksum is wrong. O(bytes)."""
    at = 0
    while len(log) - at > HEADER_BYTES:
        length = int.from_bytes(log[at : at + 4], "big")
        checksum = int.from_bytes(log[at + 4 : at + HEADER_BYTES], "big")
        contents = log[at + HEADER_BYTES : at + HEADER_BYTES + length]
        if len(contents) != length or zlib.crc32(contents) != checksum:
            return
        yield msgspec.msgpack.decode(contents, type=list[Record])
        at += HEADER_BYTES + length
