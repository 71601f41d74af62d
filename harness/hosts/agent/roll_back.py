"""Make a folder what it is on the disk: what a power cut does. Runs beside a node, after the program was killed.

1. LIVE is the folder as programs see it, which the kernel holds in memory; DISK is the same folder of a copy of the
   disk. What differs was not written to the disk yet.
2. Afterwards LIVE has the names, contents, owners and modes of DISK. Times are left out: they change by themselves.
3. A file that is changed is changed in place, so that it stays the same file.

It is sent over as text, so it imports nothing of splitbrain. Usage: roll_back.py LIVE DISK. It prints one JSON object:
{"undone": files and names, "undone_bytes": how many bytes of them are lost or changed}.
"""

import json
import os
import shutil
import sys
from pathlib import Path

PAGE_BYTES = 4096


def names(folder: Path) -> "set[str]":
    """Everything below the folder, relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def differing(live: bytes, disk: bytes) -> int:
    """How many bytes differ; those that only one of them has count too."""
    count = abs(len(live) - len(disk))
    for at in range(0, min(len(live), len(disk)), PAGE_BYTES):
        one, other = live[at : at + PAGE_BYTES], disk[at : at + PAGE_BYTES]
        if one != other:
            count += sum(a != b for a, b in zip(one, other, strict=False))
    return count


def remove(path: Path) -> int:
    """Remove what is not on the disk. Returns its bytes."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
        return 0
    size = path.lstat().st_size
    path.unlink()
    return size


def restore(live: Path, disk: Path) -> "int | None":
    """Give one name what is on the disk. Returns how many bytes changed; None if nothing differed."""
    if disk.is_symlink() or not (disk.is_dir() or disk.is_file()):
        return None  # No program that was seen here keeps its state in links.
    found = disk.stat()
    known = live.exists()
    changed = None if known else 0
    if disk.is_dir():
        live.mkdir(exist_ok=True)
    else:
        wanted = disk.read_bytes()
        held = live.read_bytes() if known else b""
        if held != wanted or not known:
            changed = differing(held, wanted)
            with live.open("r+b" if known else "wb") as file:
                file.write(wanted)
                file.truncate()
    os.chown(live, found.st_uid, found.st_gid)
    shutil.copymode(disk, live)
    return changed


def roll_back(live: Path, disk: Path) -> "dict[str, int]":
    """All of it. Returns what the module's opening says."""
    undone = undone_bytes = 0
    there, wanted = names(live), names(disk)
    for name in sorted(there - wanted, reverse=True):
        undone += 1
        undone_bytes += remove(live / name)
    for name in sorted(wanted):
        changed = restore(live / name, disk / name)
        if changed is not None:
            undone += 1
            undone_bytes += changed
    return {"undone": undone, "undone_bytes": undone_bytes}


if __name__ == "__main__":
    print(json.dumps(roll_back(Path(sys.argv[1]), Path(sys.argv[2]))))
