"""Engines: where records are kept.

1. `commit` returns once all its records are durable, and makes them durable all or none.
2. `get` and `scan` show committed records only; they may run while another thread commits.
3. A record that does not match its checksum is reported (`DamagedRecord`), never returned.
4. One process at a time uses a folder: two nodes with one identity would give one dot to two writes.

Dynamo (SOSP 2007), section 5: the local persistence component is pluggable.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TextIO

from store.actions import Record

MOVE_AWAY = "if the file is damaged move it away: the node then starts empty and its replicas bring the data back"


class DamagedRecord(Exception):
    """A record's bytes are not those that were written."""

    def __init__(self, space: str, key: bytes) -> None:
        super().__init__(f"record {key!r} in {space!r} does not match its checksum")


class EngineError(Exception):
    """The engine can't be opened or written: names the cause and the remedy."""


class Engine(Protocol):
    """Durable spaces of key and value."""

    def get(self, space: str, key: bytes) -> bytes | None: ...
    def scan(self, space: str, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]: ...
    def commit(self, records: Sequence[Record]) -> None: ...
    def close(self) -> None: ...


class MemoryEngine:
    """Keeps records for as long as the process lives: for caches and for measuring what durability costs."""

    def __init__(self) -> None:
        self._spaces: dict[str, dict[bytes, bytes]] = {}

    def get(self, space: str, key: bytes) -> bytes | None:
        return self._spaces.get(space, {}).get(key)

    def scan(self, space: str, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        records = sorted(self._spaces.get(space, {}).items())
        return ((key, value) for key, value in records if key >= start and (end is None or key < end))

    def commit(self, records: Sequence[Record]) -> None:
        for space, key, value in records:
            if value is None:
                self._spaces.get(space, {}).pop(key, None)
            else:
                self._spaces.setdefault(space, {})[key] = value

    def close(self) -> None:
        pass


class SqliteEngine:
    """One sqlite database: write-ahead log, synced at every commit, a checksum a record.

    folder: made if missing. sqlite's own integrity check passes a flipped bit inside a value, hence our checksum.
    Raises EngineError if the database can't be opened, or is no database.
    """

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
        except (sqlite3.Error, OSError) as problem:
            raise EngineError(
                f"can't open {self._path} ({problem}): check the path and its permissions; {MOVE_AWAY}"
            ) from None
        self._writing = threading.Lock()

    def get(self, space: str, key: bytes) -> bytes | None:
        query = "SELECT value, checksum FROM records WHERE space = ? AND key = ?"
        try:
            row = self._reader.execute(query, (space, key)).fetchone()
        except sqlite3.DatabaseError:
            raise DamagedRecord(space, key) from None
        return None if row is None else _checked(space, key, *row)

    def scan(self, space: str, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Records by key; damaged ones are passed over."""
        query = "SELECT key, value, checksum FROM records WHERE space = ? AND key >= ?"
        bounds: tuple[object, ...] = (space, start)
        if end is not None:
            query, bounds = query + " AND key < ?", (*bounds, end)
        try:
            for key, value, checksum in self._reader.execute(query + " ORDER BY key", bounds):
                if _checksum(space, key, value) == checksum:
                    yield key, value
        except sqlite3.DatabaseError as problem:
            raise EngineError(f"can't read {self._path} ({problem}): {MOVE_AWAY}") from None

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
            except sqlite3.Error as problem:
                raise EngineError(
                    f"can't write {self._path} ({problem}): free space on its disk, or move a damaged file away"
                ) from None

    def close(self) -> None:
        with self._writing:
            self._reader.close()
            self._writer.close()
            self._lock.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection


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
    # Over the key too, so that a record that turns up under another's key does not pass.
    return zlib.crc32(value, zlib.crc32(key, zlib.crc32(space.encode())))


def _checked(space: str, key: bytes, value: bytes, checksum: int) -> bytes:
    if not isinstance(value, bytes) or _checksum(space, key, value) != checksum:
        raise DamagedRecord(space, key)
    return value
