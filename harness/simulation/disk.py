"""A simulated disk: what a small store's engine would find on a real one.

The durability model:

1. A commit is one frame in a log: all of its records or none. Frames are durable in the order of the commits.
2. A sync takes seeded time, seldom very long (a stall). Commits that come meanwhile wait, and the next sync takes all
   of them at once (group commit).
3. Records can be read as soon as they are durable, never before. Only then is the commit's `done` called.
4. A crash keeps everything that was acknowledged. Of the other frames, the operating system may have written any
   number, in order: a seeded prefix of their bytes is kept. It may end within a frame, and the last bytes of that torn
   frame may be garbage.
5. After a crash the log is read up to the first frame whose checksum is wrong, and the rest is discarded. So an
   unacknowledged write may be there, and half a commit never is.
6. A sync that fails, fails for the commits in it and for those that wait: none of them is durable, and each one's
   `failed` is called, in order. For want of space (ENOSPC) nothing of them was written. After an I/O error (EIO) nobody
   can say: if the machine crashes before the process goes on, rule 4 applies to them.
7. A flipped bit is in what can be read. Whether it is noticed is up to the program's own checksums.
8. Every draw is by the number of a commit or crash. So what is taken out of a run leaves the rest as it was.

PostgreSQL's fsync errors, 2018 (fsyncgate): a failed sync must never be tried again.
"""

from __future__ import annotations

import errno
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import msgspec
from sortedcontainers import SortedDict

from splitbrain.harness.environment import DiskCondition, DiskObservation, PowerCut
from splitbrain.harness.seeds import draw, split
from splitbrain.harness.simulation.loop import VirtualLoop

Record = tuple[str, bytes, bytes | None]
Done = Callable[[], None]
Failed = Callable[[OSError], None]
SCANNED_AT_ONCE = 64
_NO_RECORDS: SortedDict[bytes, bytes] = SortedDict()
HEADER_BYTES = 8
"""A frame's header: the length of what follows, and its checksum, four bytes each."""


@dataclass(frozen=True, slots=True)
class DiskTimes:
    """How long a sync takes: seconds, uniform between the two. stall: the probability that it takes `stall_s`."""

    sync_s: tuple[float, float] = (0.000_3, 0.002)
    stall: float = 0.001
    stall_s: tuple[float, float] = (0.05, 0.2)


class _Commit(NamedTuple):
    """A commit that is not durable yet."""

    number: int
    records: Sequence[Record]
    done: Done
    failed: Failed


class SimulatedDisk:
    """Spaces of keys and values, one disk a machine.

    syncs: how many have ended well so far.
    """

    def __init__(self, loop: VirtualLoop, *, seed: int, times: DiskTimes | None = None) -> None:
        self._loop = loop
        self._times = times or DiskTimes()
        self._seed = seed
        self._condition = DiskCondition()
        self._refused = self._stalled = 0
        self._durable: defaultdict[str, SortedDict[bytes, bytes]] = defaultdict(SortedDict)
        self._syncing: list[_Commit] = []
        self._waiting: list[_Commit] = []
        self._left_by_crash = b""
        self._commits = self._crashes = 0
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

    def commit(self, records: Sequence[Record], done: Done, failed: Failed) -> None:
        """Make the records durable, all or none, then call `done`; or `failed`, by rule 6. Neither is called if the
        machine crashes first.

        records: (space, key, value), value None to delete; later ones win.
        """
        self._waiting.append(_Commit(self._commits, records, done, failed))
        self._commits += 1
        if not self._syncing:
            self._sync()

    def _sync(self) -> None:
        self._syncing, self._waiting = self._waiting, []
        # One draw of 64 bits for two: a hash for each would cost more than all the rest of a sync.
        times, (stalls, long) = self._times, divmod(split(self._seed, self._syncing[0].number), 1 << 32)
        shortest_s, longest_s = times.stall_s if stalls * 2.0**-32 < times.stall else times.sync_s
        took_s = shortest_s + (longest_s - shortest_s) * (long * 2.0**-32)
        if self._condition.stall_s:
            self._stalled += 1
            took_s += self._condition.stall_s
        self._loop.deliver(took_s, self._synced, self._epoch)

    def _synced(self, epoch: int) -> None:
        if epoch != self._epoch:
            return  # the machine crashed in mid-sync
        if self._condition.failing:
            self._fail(OSError(errno.EIO, "Input/output error"))
            return
        if self._condition.full:
            self._fail(OSError(errno.ENOSPC, "No space left on device"))
            return
        self.syncs += 1
        synced, self._syncing = self._syncing, []
        for commit in synced:
            self._apply(commit.records)
        if self._waiting:
            self._sync()
        for commit in synced:
            commit.done()
            if epoch != self._epoch:
                return  # the callback of a durable write made the machine crash

    def _fail(self, error: OSError) -> None:
        epoch, given_up = self._epoch, self._syncing + self._waiting
        self._refused += len(given_up)
        self._waiting = []
        if error.errno == errno.EIO:
            # A crash in one of the callbacks finds them all where they were.
            self._syncing = given_up
        else:
            self._syncing = []
        for commit in given_up:
            commit.failed(error)
            if epoch != self._epoch:
                return
        if error.errno == errno.EIO:
            self._syncing = []
            if self._waiting:
                self._sync()

    def _apply(self, records: Sequence[Record]) -> None:
        for space, key, value in records:
            if value is not None:
                self._durable[space][key] = value
            elif key in self._durable[space]:
                del self._durable[space][key]

    def set_condition(self, condition: DiskCondition) -> None:
        """From now on the disk is so; what it did is counted anew."""
        self._condition = condition
        self._refused = self._stalled = 0

    def observe(self) -> DiskObservation:
        """What it did since then. Only a full disk knows how many bytes are free."""
        return DiskObservation(0 if self._condition.full else None, self._refused, self._stalled)

    def crash(self) -> None:
        """Lose what was not synced, but for what the operating system happened to have written: rule 4."""
        self.recover()
        log, rng = b"".join(self._unsynced()), draw(split(split(self._seed, "crash"), self._crashes))
        kept = int(rng.random() * (len(log) + 1))
        rubbish = bytearray(log[:kept])
        if rubbish and rng.random() < 0.5:
            rubbish[-1] ^= 1 + int(rng.random() * 255)
        self._crash(bytes(rubbish))

    def power_cut(self, *, torn: bool) -> PowerCut:
        """Lose what was not synced, but for a seeded number of whole frames. torn: and for a part of the next."""
        self.recover()
        unsynced = self._unsynced()
        rng = draw(split(split(self._seed, "power cut"), self._crashes))
        kept = int(rng.random() * (len(unsynced) + (not torn)))
        part = b""
        if torn and unsynced:
            part = unsynced[kept][: 1 + int(rng.random() * (len(unsynced[kept]) - 1))]
        self._crash(b"".join(unsynced[:kept]) + part)
        return PowerCut(len(unsynced) - kept, sum(map(len, unsynced[kept:])) - len(part), torn=bool(part))

    def _unsynced(self) -> list[bytes]:
        return [frame(commit.records) for commit in self._syncing + self._waiting]

    def _crash(self, left: bytes) -> None:
        self._left_by_crash = left
        self._syncing, self._waiting = [], []
        self._epoch += 1
        self._crashes += 1

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

    def flip_bit(self, seed: int) -> str:
        """Flip one bit of a durable record, either drawn by the seed. Returns which record; "" if there is none."""
        self.recover()
        places = [(space, key) for space in sorted(self._durable) for key in self._durable[space]]
        places = [(space, key) for space, key in places if key or self._durable[space][key]]
        rng = draw(seed)
        if not places:
            return ""
        space, key = places[int(rng.random() * len(places))]
        value = self._durable[space].pop(key)
        stored = bytearray(key + value)
        bit = int(rng.random() * 8 * len(stored))
        stored[bit // 8] ^= 1 << bit % 8
        self._durable[space][bytes(stored[: len(key)])] = bytes(stored[len(key) :])
        return f"bit {bit} of the record {key!r} in {space!r}"


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
