"""Undo what a program has written and not synced: what a power cut does. Runs on a node, after the program was killed.

1. The logs are those of `disk_shim.c`: for each write, name and sync, what was there before. They are played back from
   the last to the first, names before contents.
2. A name is undone unless its folder or its file was synced afterwards. Where something durable has taken a name since,
   it stays.
3. torn: of the last write not synced, the first half is kept, in whole sectors if it has that many. What lies before it
   and was lost reads as zeros, as on a disk that writes in any order.
4. Afterwards the logs are empty, and what was kept of removed names is gone.

It is sent over as text, so it imports nothing of splitbrain. Usage: undo_log.py LOGS DATA [torn]. It prints one JSON
object: {"undone": writes and names, "undone_bytes": of the writes, "torn": bool, "blind": 0, or what was not logged}.
"""

import contextlib
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple

RECORD = struct.Struct("=QQQQqqQQQQ")
PAGE_SEEN = struct.Struct("=QQQQ")
PAGE_SEEN_AT = 64
SECTOR_BYTES = 512
WRITE, MORE, CREATE, RENAME, UNLINK, MKDIR, RMDIR, SYNC = range(1, 9)


class Record(NamedTuple):
    """What the shim noted; `first` and `second` are a stretch's old bytes, or a name and the one it got."""

    at_ns: int
    kind: int
    file: int
    folder: int
    offset: int
    size: int
    kept: int
    new_bytes: int
    first: bytes
    second: bytes


def read(log: Path) -> "list[Record]":
    """The records of a log; one that was cut off by the kill is left out, as its write never took place."""
    try:
        text = log.read_bytes()
    except FileNotFoundError:
        return []
    records = []
    at = 0
    while at + RECORD.size <= len(text):
        *fields, first, second = RECORD.unpack_from(text, at)
        at += RECORD.size
        if at + first + second > len(text):
            break
        records.append(Record._make((*fields, text[at : at + first], text[at + first : at + first + second])))
        at += first + second
    return records


def undo_names(records: "list[Record]", kept: Path) -> int:
    """Take back the names that are not durable. Returns how many."""
    synced: dict[int, int] = {}
    undone = 0
    for record in reversed(records):
        if record.kind == SYNC:
            synced[record.file] = max(synced.get(record.file, 0), record.kept)
            continue
        durable = max(synced.get(which, 0) for which in (record.file, record.folder, 0))
        if record.at_ns < durable:
            continue
        undone += 1
        name, new = Path(os.fsdecode(record.first)), Path(os.fsdecode(record.second))
        with contextlib.suppress(FileNotFoundError, FileExistsError, OSError):
            if record.kind == CREATE and name.lstat().st_ino == record.file:
                name.unlink()
            elif record.kind == MKDIR:
                name.rmdir()
            elif record.kind == RMDIR:
                name.mkdir(0o700)
            elif record.kind == RENAME and new.lstat().st_ino == record.file and not os.path.lexists(name):
                new.rename(name)
        if record.kept:
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                os.link(kept / f"{record.folder}.{record.kept}", new if record.kind == RENAME else name)
    return undone


def undo_contents(logs: Path, data: Path, torn: bool) -> "dict[str, Any]":
    """Take back the writes that were not synced."""
    paths = {found.st_ino: path for path in sorted(data.rglob("*")) if not path.is_symlink() and (found := path.stat())}
    records = [record for log in (logs / "undo").iterdir() for record in read(log)]
    records.sort(key=lambda record: record.at_ns)
    writes = [record for record in records if record.kind == WRITE]
    last = next((record for record in reversed(writes) if record.new_bytes and record.file in paths), None)
    saved = b""
    if torn and last is not None:
        half = last.new_bytes // 2
        saved = stretch(paths[last.file], last.offset, half - half % SECTOR_BYTES if half >= SECTOR_BYTES else half)
    for record in reversed(records):
        if record.file in paths:
            with paths[record.file].open("r+b") as file:
                os.pwrite(file.fileno(), record.first, record.offset)
                file.truncate(record.size)
    if saved and last is not None:
        with paths[last.file].open("r+b") as file:
            os.pwrite(file.fileno(), saved, last.offset)
    return {
        "undone": len(writes),
        "undone_bytes": sum(record.new_bytes for record in records) - len(saved),
        "torn": bool(saved),
    }


def stretch(path: Path, offset: int, length: int) -> bytes:
    """So many bytes of a file."""
    with path.open("rb") as file:
        return os.pread(file.fileno(), length, offset)


def play_back(logs: Path, data: Path, torn: bool) -> "dict[str, Any]":
    """All of it. Returns what the module's opening says."""
    kept = Path(f"{data}.undo")
    with (logs / "page").open("rb") as page:
        *_, blind, _ = PAGE_SEEN.unpack(os.pread(page.fileno(), PAGE_SEEN.size, PAGE_SEEN_AT))
    names = undo_names(read(logs / "names"), kept)
    done = undo_contents(logs, data, torn)
    forget(logs, kept)
    return {**done, "undone": done["undone"] + names, "blind": blind}


def forget(logs: Path, kept: Path) -> None:
    """Empty the logs."""
    for old in (*(logs / "undo").iterdir(), *kept.glob("*"), logs / "names"):
        with contextlib.suppress(FileNotFoundError):
            old.unlink()


if __name__ == "__main__":
    print(json.dumps(play_back(Path(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3:] == ["torn"])))
