"""Engines: where records are kept.

1. `commit` returns once all its records are durable, and makes them durable all or none.
2. `get` and `scan` show committed records only; they may run while another thread commits.
3. A record that does not match its checksum is reported (`on_damage`) and never returned: `get` raises DamagedRecord,
   `scan` passes it over.
4. A commit for which there is no room raises NoRoom, and nothing of it is there. It may be tried again. Any other error
   of a commit leaves in doubt what is on the disk: after it the engine is not to be used (`actions`, rule 3).
5. One process at a time uses a folder: two nodes with one identity would give one dot to two writes.

Dynamo (SOSP 2007), section 5: the local persistence component is pluggable.
"""

from __future__ import annotations

import errno
import fcntl
import sqlite3
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol, TextIO

from sortedcontainers import SortedDict

from splitbrain.store.actions import Record
from splitbrain.store.descriptors import exhausted

MOVE_AWAY = "the file is damaged: move it away, then the node starts empty and its replicas bring the data back"
SCANNED_AT_ONCE = 64
"""Keys that a scan copies at once; a commit waits meanwhile."""
_NO_RECORDS: SortedDict[bytes, bytes] = SortedDict()
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


class DamagedRecord(Exception):
    """A record's bytes are not those that were written."""

    def __init__(self, space: str, key: bytes) -> None:
        super().__init__(f"record {key!r} in {space!r} does not match its checksum")
        self.space = space
        self.key = key


class EngineError(Exception):
    """The engine can't be opened or written: names the cause and the remedy."""


class NoRoom(EngineError):
    """The disk is full. What was committed before is there, and nothing of this commit."""


class Engine(Protocol):
    """Durable spaces of key and value.

    waits: whether a commit waits for a disk. on_damage: called with every damaged record that is met.
    """

    waits: bool
    on_damage: Callable[[DamagedRecord], None]

    def get(self, space: str, key: bytes) -> bytes | None: ...
    def scan(self, space: str, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]: ...
    def commit(self, records: Sequence[Record]) -> None: ...
    def close(self) -> None: ...


class MemoryEngine:
    """Keeps records while the process lives: for caches, and to measure what durability costs.

    Records are sorted by key, so a scan costs what it yields: O(log n) for the first record, O(1) for the next.
    """

    waits = False

    def __init__(self) -> None:
        self._spaces: defaultdict[str, SortedDict[bytes, bytes]] = defaultdict(SortedDict)
        self._changing = threading.Lock()
        self.on_damage: Callable[[DamagedRecord], None] = _nothing

    def get(self, space: str, key: bytes) -> bytes | None:
        return self._spaces.get(space, _NO_RECORDS).get(key)

    def scan(self, space: str, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield records by key, some at a time; what is committed meanwhile further on is included."""
        at = start
        while True:
            with self._changing:
                records = self._spaces.get(space, _NO_RECORDS)
                keys = islice(records.irange(at, end, inclusive=(True, False)), SCANNED_AT_ONCE)
                taken = [(key, records[key]) for key in keys]
            yield from taken
            if len(taken) < SCANNED_AT_ONCE:
                return
            at = taken[-1][0] + b"\0"

    def commit(self, records: Sequence[Record]) -> None:
        with self._changing:
            for space, key, value in records:
                if value is None:
                    self._spaces.get(space, _NO_RECORDS).pop(key, None)
                else:
                    self._spaces[space][key] = value

    def close(self) -> None:
        pass


class SqliteEngine:
    """One sqlite database: write-ahead log, synced at every commit, a checksum for each record.

    folder: created if missing. sqlite's own integrity check passes a flipped bit inside a value, hence our checksum.
    Raises EngineError if the database can't be opened, or is no database.
    """

    waits = True

    def __init__(self, folder: Path) -> None:
        self._path = folder / "store.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder / "lock")
            self._writer = self._open()
            self._writer.execute(
                "CREATE TABLE IF NOT EXISTS records (space TEXT, key BLOB, value BLOB, checksum INTEGER,"
                " PRIMARY KEY (space, key)) WITHOUT ROWID"
            )
            self._writer.commit()
            self._reader = self._open()
        except (sqlite3.Error, OSError, MemoryError) as problem:
            raise _explained("open", self._path, problem) from None
        self._writing = threading.Lock()
        self.on_damage: Callable[[DamagedRecord], None] = _nothing

    def get(self, space: str, key: bytes) -> bytes | None:
        query = "SELECT value, checksum FROM records WHERE space = ? AND key = ?"
        try:
            row = self._reader.execute(query, (space, key)).fetchone()
        except (sqlite3.Error, MemoryError) as problem:
            raise _explained("read", self._path, problem) from None
        if row is not None and not _sound(space, key, *row):
            damage = DamagedRecord(space, key)
            self.on_damage(damage)
            raise damage
        return None if row is None else bytes(row[0])

    def scan(self, space: str, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Records by key; damaged ones are passed over."""
        query = "SELECT key, value, checksum FROM records WHERE space = ? AND key >= ?"
        bounds: tuple[object, ...] = (space, start)
        if end is not None:
            query, bounds = query + " AND key < ?", (*bounds, end)
        try:
            for key, value, checksum in self._reader.execute(query + " ORDER BY key", bounds):
                if _sound(space, key, value, checksum):
                    yield key, value
                else:
                    self.on_damage(DamagedRecord(space, key))
        except (sqlite3.Error, MemoryError) as problem:
            raise _explained("read", self._path, problem) from None

    def commit(self, records: Sequence[Record]) -> None:
        with self._writing:
            try:
                with self._writer:
                    for space, key, value in records:
                        if value is None:
                            self._writer.execute("DELETE FROM records WHERE space = ? AND key = ?", (space, key))
                        else:
                            self._writer.execute(
                                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)",
                                (space, key, value, _checksum(space, key, value)),
                            )
            except (sqlite3.Error, MemoryError) as problem:
                raise _explained("write", self._path, problem) from None

    def close(self) -> None:
        with self._writing:
            self._reader.close()
            self._writer.close()
            self._lock.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False)
        # One flipped bit makes text of a blob, which need not be UTF-8. Let it through: the checksum finds it damaged.
        connection.text_factory = lambda text: text.decode(errors="surrogateescape")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def _nothing(damage: DamagedRecord) -> None:
    pass


def _locked(path: Path) -> TextIO:
    """An open file that no other process has locked; the lock goes with the process, however it ends."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise EngineError(f"another process runs on {path.parent}: stop it, or give each node its own folder") from None
    return file


def _checksum(space: str, key: bytes, value: bytes) -> int:
    # Over the key too: a record that appears under another's key must not pass.
    return zlib.crc32(value, zlib.crc32(key, zlib.crc32(space.encode())))


def _sound(space: str, key: object, value: object, checksum: object) -> bool:
    # A flipped bit in a record's header can make a text or a number of what was bytes.
    return isinstance(key, bytes) and isinstance(value, bytes) and _checksum(space, key, value) == checksum


def _explained(doing: str, path: Path, problem: Exception) -> EngineError:
    """The error of the disk, with what to do about it."""
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind
    full = exhausted(None if code == sqlite3.SQLITE_CANTOPEN else problem)
    if full is not None:
        remedy = full
    elif code in DAMAGED:
        remedy = MOVE_AWAY
    elif code == sqlite3.SQLITE_FULL or getattr(problem, "errno", None) == errno.ENOSPC:
        return NoRoom(f"can't {doing} {path} ({problem}): free space on its disk")
    elif code == sqlite3.SQLITE_IOERR:
        remedy = "free space, or raise the limit on the size of files; if there is enough, check the disk for failures"
    elif isinstance(problem, MemoryError):
        return EngineError(f"can't {doing} {path} (memory is short): give the node more memory, or smaller values")
    elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        remedy = "another program has it open: close that one, and look into a copy instead"
    else:
        remedy = "check the path and its permissions"
    return EngineError(f"can't {doing} {path} ({problem}): {remedy}")
