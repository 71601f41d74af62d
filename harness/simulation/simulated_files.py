"""A simulated machine's files, as `open` and `os` show them to its process.

1. What a process writes goes to its own machine alone, and never to a real disk. What it only reads may be a real file.
2. What was written is sure to survive a kill only after `os.fsync`. Of the rest a seeded prefix survives, file by file;
   the last write of it may be torn.
3. Names are durable at once and in order, as on a journaled file system. So a file that is renamed before it is synced
   may be there and be empty.
4. Folders need not be made. Calls take no time.
"""

from __future__ import annotations

import errno
import io
import os
import random
import stat
from collections.abc import Callable
from typing import Any

FIRST_DESCRIPTOR = 1_000_000
"""Real ones are smaller."""


class Content:
    """A file's bytes. cached: as a process sees them. durable: as of the last sync. unsynced: what was done since."""

    def __init__(self) -> None:
        self.cached = bytearray()
        self.durable = b""
        self.unsynced: list[tuple[int, bytes] | int] = []

    def write(self, at: int, data: bytes) -> None:
        self.unsynced.append((at, data))
        _apply(self.cached, (at, data))

    def truncate(self, size: int) -> None:
        self.unsynced.append(size)
        _apply(self.cached, size)

    def sync(self) -> None:
        self.durable = bytes(self.cached)
        self.unsynced.clear()

    def crash(self, rng: random.Random) -> None:
        kept = bytearray(self.durable)
        survivors = int(rng.random() * (len(self.unsynced) + 1))
        for number, change in enumerate(self.unsynced[:survivors], 1):
            if number == survivors and isinstance(change, tuple) and rng.random() < 0.5:
                change = (change[0], change[1][: int(rng.random() * (len(change[1]) + 1))])
            _apply(kept, change)
        self.cached = kept
        self.sync()


def _apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    size = change if isinstance(change, int) else change[0]
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    if isinstance(change, int):
        del content[size:]
    else:
        content[size : size + len(change[1])] = change[1]


class SimulatedFiles:
    """The files of one machine. rng: decides what a kill leaves."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._files: dict[str, Content] = {}
        self._folders: set[str] = set()
        self._open: dict[int, RawFile] = {}
        self._next = FIRST_DESCRIPTOR

    # What happens to the machine.

    def crash(self) -> None:
        """The process was killed, and the machine lost its power: rule 2."""
        self.leave()
        for name in sorted(self._files):
            self._files[name].crash(self._rng)

    def leave(self) -> None:
        """The process has ended by itself: what it wrote stays, and what it kept open is closed."""
        for raw in self._open.values():
            raw.dead = True
        self._open.clear()

    def wipe(self) -> None:
        """No files."""
        self._files.clear()
        self._folders.clear()

    # What a process calls; `real` is the function that this one stands in for.

    def open(
        self,
        real: Callable[..., Any],
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        """See `open`."""
        writes = not set(mode).isdisjoint("wax+")
        if isinstance(file, int) or opener is not None or not (writes or self._path(file) in self._files):
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = self._raw(file, mode)
        if buffering == 0:
            return raw
        if "+" in mode:
            buffered: Any = io.BufferedRandom(raw)
        else:
            buffered = io.BufferedWriter(raw) if writes else io.BufferedReader(raw)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
        text.mode = mode  # type: ignore[misc]
        return text

    def _raw(self, file: Any, mode: str) -> RawFile:
        path = self._path(file)
        known = path in self._files
        if "x" in mode and known:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if "r" in mode and not known:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        content = self._files.setdefault(path, Content())
        if "w" in mode:
            content.truncate(0)
        self._next += 1
        raw = RawFile(content, path, mode, self._next, self._open)
        self._open[self._next] = raw
        return raw

    def fsync(self, real: Callable[..., Any], fd: Any) -> None:
        """See `os.fsync`; a folder's, or a real file's, changes nothing."""
        number = fd if isinstance(fd, int) else fd.fileno()
        if number in self._open:
            self._open[number].content.sync()
        elif number >= FIRST_DESCRIPTOR:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def replace(self, real: Callable[..., Any], src: Any, dst: Any, **options: Any) -> None:
        """See `os.replace`."""
        self._files[self._path(dst)] = self._taken(src)

    def remove(self, real: Callable[..., Any], path: Any, **options: Any) -> None:
        """See `os.remove`."""
        self._taken(path)

    def _taken(self, asked: Any) -> Content:
        path = self._path(asked)
        if path not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._files.pop(path)

    def mkdir(self, real: Callable[..., Any], path: Any, mode: int = 0o777, **options: Any) -> None:
        """See `os.mkdir`."""
        name = self._path(path)
        if self._is_folder(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        self._folders.add(name)

    def makedirs(self, real: Callable[..., Any], name: Any, mode: int = 0o777, exist_ok: bool = False) -> None:
        """See `os.makedirs`."""
        if not (exist_ok and self._is_folder(self._path(name))):
            self.mkdir(real, name)

    def listdir(self, real: Callable[..., Any], path: Any = ".") -> list[str]:
        """See `os.listdir`: of a folder of the machine's, its names in order."""
        name = self._path(path)
        if not self._is_folder(name):
            return real(path)  # type: ignore[no-any-return]
        inside = [*self._files, *self._folders]
        return sorted({each[len(name) + 1 :].split("/")[0] for each in inside if each.startswith(f"{name}/")})

    def stat(self, real: Callable[..., Any], path: Any, **options: Any) -> Any:
        """See `os.stat`."""
        if isinstance(path, int):
            return real(path, **options) if path < FIRST_DESCRIPTOR else _stat_of(len(self._open[path].content.cached))
        name = self._path(path)
        if name in self._files:
            return _stat_of(len(self._files[name].cached))
        return _stat_of(0, stat.S_IFDIR) if self._is_folder(name) else real(path, **options)

    def _is_folder(self, name: str) -> bool:
        return name in self._folders or any(each.startswith(f"{name}/") for each in self._files)

    def _path(self, path: Any) -> str:
        return os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - the process may use either


def _stat_of(size: int, kind: int = stat.S_IFREG) -> os.stat_result:
    return os.stat_result((kind | 0o644, 0, 0, 1, 0, 0, size, 0, 0, 0))


class RawFile(io.RawIOBase):
    """An open file, unbuffered. dead: its process is; what its buffers still hold is lost."""

    def __init__(self, content: Content, name: str, mode: str, number: int, held: dict[int, RawFile]) -> None:
        self.content, self.name, self.mode, self.dead = content, name, mode, False
        self._number, self._held = number, held
        self._at = 0

    def readable(self) -> bool:
        return "r" in self.mode or "+" in self.mode

    def writable(self) -> bool:
        return not set(self.mode).isdisjoint("wax+")

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self.content.cached)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self.content.cached[self._at : self._at + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        written = bytes(data)
        if not self.dead:
            if "a" in self.mode:
                self._at = len(self.content.cached)
            self.content.write(self._at, written)
            self._at += len(written)
        return len(written)

    def truncate(self, size: int | None = None) -> int:
        size = self._at if size is None else size
        if not self.dead:
            self.content.truncate(size)
        return size

    def close(self) -> None:
        self._held.pop(self._number, None)
        super().close()
