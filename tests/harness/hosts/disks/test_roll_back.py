"""What a power cut makes of a folder, on this machine, without containers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from splitbrain.harness.hosts.agent.roll_back import differing, roll_back
from splitbrain.harness.hosts.agent.still_copy import still_copy


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    live, disk = tmp_path / "live", tmp_path / "disk"
    for folder in (live, disk):
        (folder / "streams").mkdir(parents=True)
        (folder / "streams" / "synced").write_bytes(b"a" * 5000)
    return live, disk


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def test_what_is_on_the_disk_stays_as_it_is(folders: tuple[Path, Path]) -> None:
    live, disk = folders
    before = (live / "streams" / "synced").stat().st_ino
    assert roll_back(live, disk) == {"undone": 0, "undone_bytes": 0}
    assert (live / "streams" / "synced").stat().st_ino == before


def test_what_is_not_on_the_disk_is_gone_and_what_was_changed_or_removed_is_as_before(
    folders: tuple[Path, Path],
) -> None:
    live, disk = folders
    (live / "new" / "below").mkdir(parents=True)
    (live / "new" / "below" / "file").write_bytes(b"n" * 30)
    (live / "streams" / "synced").write_bytes(b"a" * 4999 + b"b" + b"more")
    (disk / "removed").write_bytes(b"kept")
    # Two folders and a file are gone, one file is cut back, one is there again: 30, 1 + 4, and 4 bytes.
    assert roll_back(live, disk) == {"undone": 5, "undone_bytes": 39}
    assert contents(live) == contents(disk)
    assert roll_back(live, disk) == {"undone": 0, "undone_bytes": 0}


def test_a_file_that_was_cut_short_in_memory_alone_is_whole_again(folders: tuple[Path, Path]) -> None:
    live, disk = folders
    (live / "streams" / "synced").write_bytes(b"")
    assert roll_back(live, disk) == {"undone": 1, "undone_bytes": 5000}
    assert contents(live) == contents(disk)


def test_modes_are_those_of_the_disk(folders: tuple[Path, Path]) -> None:
    live, disk = folders
    (live / "streams" / "synced").chmod(0o644)
    (disk / "streams" / "synced").chmod(0o600)
    roll_back(live, disk)
    assert (live / "streams" / "synced").stat().st_mode & 0o777 == 0o600


def test_bytes_that_differ_are_counted_one_by_one_beyond_a_page_too() -> None:
    page = bytes(4096)
    assert differing(page + b"\0\1\2", page + b"\0\2\2") == 1
    assert differing(b"", b"abc") == differing(b"abc", b"") == 3
    assert differing(page, page) == 0


def test_a_copy_has_the_contents_and_the_size_of_its_file_and_no_more_blocks(tmp_path: Path) -> None:
    source, target = tmp_path / "disk", tmp_path / "copy"
    with source.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(3 << 20)
        file.write(os.urandom(2 << 20))
        file.seek(40 << 20)
        file.write(b"end")
    target.write_bytes(b"left from before" * 1000)
    assert still_copy(str(source), str(target), 1)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks * 512 <= 4 << 20


def test_a_file_that_changes_after_every_copy_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "disk"
    source.write_bytes(b"0" * 100)
    written, write = [], os.pwrite

    def writes_meanwhile(file: int, content: bytes, at: int) -> int:
        written.append(content)
        source.write_bytes(str(len(written)).encode() * 100)
        return write(file, content, at)

    monkeypatch.setattr(os, "pwrite", writes_meanwhile)
    assert not still_copy(str(source), str(tmp_path / "copy"), 3)
    assert len(written) == 3
