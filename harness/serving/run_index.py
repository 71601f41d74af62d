"""The index: every run below some folders, read once and again only when it changed.

1. Links are not followed. A folder of a run is not looked into, so that thousands of runs take one listing each.
2. An entry is kept with the sizes and times of the files it was read from. What they have not changed is not read
   again, in this process or, by way of a file in the user's cache, in the next one. In the root it could come with
   somebody else's runs.
3. An index that can't be kept or read costs time, and nothing else.
4. Campaigns and suites are folders with a list of results: they are found on the way.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.serving.run_entry import UNFINISHED, RunEntry, read_entry

DEEPEST = 8
FRESH_S = 1.0
"""For so long a listing is taken to be right: a page with a hundred links is opened by a browser all at once."""
LIVE_S = 30.0
"""A run is under way while its history was written to within so many seconds."""
_VERSION = 1
_RUN = frozenset({"run.json", "history.jsonl"})
_READ_FROM = ("run.json", "results.json")


class Found(NamedTuple):
    """A folder: its root, the path from there, and the id that it goes by."""

    root: Path
    folder: str
    id: str


class _Kept(msgspec.Struct, array_like=True):
    """An entry, and the sizes and times of what it was read from."""

    stamps: tuple[int, ...]
    entry: RunEntry


class _File(msgspec.Struct, array_like=True):
    """What the file of an index holds: entries by their folders."""

    version: int
    kept: dict[str, _Kept]


@dataclass
class _Listing:
    """What lies below one root."""

    runs: dict[str, _Kept] = field(default_factory=dict)
    changed_s: dict[str, float] = field(default_factory=dict)
    campaigns: list[str] = field(default_factory=list)
    suites: list[str] = field(default_factory=list)


class RunIndex:
    """The runs below some folders. Any thread may ask."""

    def __init__(self, roots: Sequence[Path]) -> None:
        """roots: the folders. Raises UsageProblem for one that is not there."""
        self._roots: dict[str, Path] = {}
        for root in roots:
            if not root.is_dir():
                raise UsageProblem(f"{root} is no folder; give one with runs, such as runs/")
            self._roots[_named(root, self._roots)] = root
        self._listings: dict[str, _Listing] = {}
        self._looked_s = float("-inf")
        self._lock = threading.Lock()
        self.runs: list[RunEntry] = []
        """The newest first."""

    def refresh(self) -> None:
        """Look for what is new. O(folders), and the bytes of what changed."""
        with self._lock:
            if time.monotonic() - self._looked_s < FRESH_S:
                return
            for name, root in self._roots.items():
                self._listings[name] = self._look(name, root)
            entries = [kept.entry for listing in self._listings.values() for kept in listing.runs.values()]
            self.runs = sorted(entries, key=lambda entry: (-entry.at_s, entry.id))
            self._looked_s = time.monotonic()

    def run(self, identity: str) -> tuple[RunEntry, Found] | None:
        """The run of this id, and where it is; None if there is none."""
        name, _, folder = identity.partition("/")
        kept = self._listings[name].runs.get(folder or ".") if name in self._listings else None
        return (kept.entry, Found(self._roots[name], folder or ".", identity)) if kept is not None else None

    def live(self, entry: RunEntry) -> bool:
        """Whether the run seems to be under way."""
        name, _, folder = entry.id.partition("/")
        changed_s = self._listings[name].changed_s.get(folder or ".", 0.0)
        return entry.verdict == UNFINISHED and time.time() - changed_s < LIVE_S

    def campaigns(self) -> list[Found]:
        """The folders of campaigns, the newest first by their names."""
        return self._all(lambda listing: listing.campaigns)

    def suites(self) -> list[Found]:
        """The folders of suites, the newest first by their names."""
        return self._all(lambda listing: listing.suites)

    def _all(self, of: Callable[[_Listing], Sequence[str]]) -> list[Found]:
        found = [
            Found(self._roots[name], folder, name if folder == "." else f"{name}/{folder}")
            for name, listing in self._listings.items()
            for folder in of(listing)
        ]
        return sorted(found, key=lambda each: each.id, reverse=True)

    def _look(self, name: str, root: Path) -> _Listing:
        known = self._listings[name].runs if name in self._listings else _read(root, name)
        listing, new = _Listing(), len(known) == 0
        for folder, files in _folders(root):
            if _RUN.isdisjoint(files):
                if "campaign.json" in files:
                    listing.campaigns.append(folder)
                elif "results.jsonl" in files:
                    listing.suites.append(folder)
                continue
            stamps, changed_s = _stamps(files)
            kept = known.get(folder)
            if kept is None or kept.stamps != stamps:
                identity = name if folder == "." else f"{name}/{folder}"
                kept, new = _Kept(stamps, read_entry(root, folder, identity, changed_s)), True
            listing.runs[folder], listing.changed_s[folder] = kept, changed_s
        if new or len(known) != len(listing.runs):
            _write(root, name, listing)
        return listing


def _named(root: Path, taken: Collection[str]) -> str:
    """What a root goes by: its folder's name, and a number where another has that."""
    name = root.resolve().name or "root"
    number = 2
    while name in taken:
        name, number = f"{root.resolve().name}-{number}", number + 1
    return name


def _folders(root: Path) -> Iterator[tuple[str, dict[str, os.DirEntry[str]]]]:
    """Every folder with its files, as a path from the root; `.` is the root."""
    left = [(".", 0)]
    while left:
        folder, depth = left.pop()
        files: dict[str, os.DirEntry[str]] = {}
        below: list[str] = []
        with suppress(OSError), os.scandir(root / folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    files[entry.name] = entry
                elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    below.append(entry.name)
        yield folder, files
        if _RUN.isdisjoint(files) and depth < DEEPEST:
            left += [(name if folder == "." else f"{folder}/{name}", depth + 1) for name in below]


def _stamps(files: dict[str, os.DirEntry[str]]) -> tuple[tuple[int, ...], float]:
    """Sizes and times of what an entry is read from, and the last change of anything."""
    seen = {name: files[name].stat(follow_symlinks=False) for name in (*_READ_FROM, "history.jsonl") if name in files}
    stamps = [
        figure
        for name in _READ_FROM
        for figure in ((seen[name].st_mtime_ns, seen[name].st_size) if name in seen else (-1, -1))
    ]
    return tuple(stamps), max(each.st_mtime for each in seen.values())


def _cache(root: Path, name: str) -> Path:
    """Where the index of a root is kept, by the name that the root has."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "splitbrain" / f"runs-{sha256(f'{name} {root.resolve()}'.encode()).hexdigest()[:24]}"


def _read(root: Path, name: str) -> dict[str, _Kept]:
    """Rule 2: the entries that were kept. Raises nothing (rule 3)."""
    with suppress(OSError, RuntimeError, msgspec.MsgspecError, UnicodeDecodeError):
        file = msgspec.msgpack.decode(_cache(root, name).read_bytes(), type=_File)
        if file.version == _VERSION:
            return file.kept
    return {}


def _write(root: Path, name: str, listing: _Listing) -> None:
    with suppress(OSError, RuntimeError):  # Rule 3: there may be no home, and no room.
        path = _cache(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.write_bytes(msgspec.msgpack.encode(_File(_VERSION, listing.runs)))
        partial.replace(path)
