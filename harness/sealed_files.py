"""Sealed files: what may be read of folders that somebody else may have made.

1. A file is opened by its path from a root, a part at a time, and no part may be a link, a dot or empty. So nothing
   outside the root can be reached, also where a folder is replaced by a link meanwhile.
2. Only regular files are opened. A pipe or a device would block, or never end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NoSuchFile(Exception):
    """There is no such file, or none that may be read. The message names it."""


def below(folder: str, name: str) -> str:
    """The path of a file in a folder, from a root; `.` is the root.

    >>> below(".", "run.json"), below("sets/1", "run.json")
    ('run.json', 'sets/1/run.json')
    """
    return name if folder == "." else f"{folder}/{name}"


def opened(root: Path, name: str) -> IO[bytes]:
    """Open a file for reading.

    root: may be a link itself: it is what the user named. name: the path from there, with slashes.
    Raises NoSuchFile.
    """
    parts = name.split("/")
    if not all(parts) or any(part in (".", "..") or "\0" in part for part in parts):
        raise NoSuchFile(name)
    try:
        at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise NoSuchFile(name) from None
    try:
        for part in parts[:-1]:
            below = os.open(part, _FOLDER, dir_fd=at)
            os.close(at)
            at = below
        descriptor = os.open(parts[-1], _FILE, dir_fd=at)
    except OSError:
        raise NoSuchFile(name) from None
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NoSuchFile(name)
    return os.fdopen(descriptor, "rb")
