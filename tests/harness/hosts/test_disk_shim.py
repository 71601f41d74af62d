"""The disk shim and its undo log, on this machine, without containers."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splitbrain.harness.hosts.agent import undo_log

SECTOR = undo_log.SECTOR_BYTES


class Disk:
    """A data folder, and programs that use it with the shim."""

    def __init__(self, library: Path, folder: Path, logs: Path) -> None:
        self.library, self.data, self.logs = library, folder / "data", logs
        self.data.mkdir()
        (folder / "data.undo").mkdir()
        (logs / "undo").mkdir()
        (logs / "page").write_bytes(bytes(4096))

    def run(self, body: str) -> str:
        """Run Python lines in the data folder, ended by a kill -9; what they printed."""
        ended = f"import os, sys\n{body}\nsys.stdout.flush()\nos.kill(os.getpid(), 9)\n"
        environment = {
            **os.environ,
            "LD_PRELOAD": str(self.library),
            "SPLITBRAIN_DISK": str(self.logs),
            "SPLITBRAIN_DATA": str(self.data),
        }
        done = subprocess.run(
            [sys.executable, "-c", ended], cwd=self.data, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == -9, done.stderr
        return done.stdout

    def set(self, full: int = 0, failing: int = 0, stall_ns: int = 0) -> None:
        with (self.logs / "page").open("r+b") as page:
            page.write(struct.pack("=QQQ", full, failing, stall_ns))

    def counted(self) -> tuple[int, ...]:
        """Refused, stalled, blind."""
        return struct.unpack_from("=QQQ", (self.logs / "page").read_bytes(), 64)

    def cut(self, torn: bool = False) -> dict[str, Any]:
        return undo_log.play_back(self.logs, self.data, torn)

    def files(self) -> dict[str, bytes]:
        found = sorted(path for path in self.data.rglob("*") if path.is_file())
        return {str(path.relative_to(self.data)): path.read_bytes() for path in found}


@pytest.fixture
def disk(libraries: Path, tmp_path: Path) -> Iterator[Disk]:
    with tempfile.TemporaryDirectory(prefix="splitbrain-test-", dir="/dev/shm") as logs:
        yield Disk(libraries / "disk_shim.so", tmp_path, Path(logs))


def test_a_power_cut_takes_what_was_written_after_the_last_sync(disk: Disk) -> None:
    disk.run("f = os.open('f', os.O_CREAT | os.O_RDWR); os.write(f, b'kept'); os.fsync(f); os.write(f, b' lost')")
    assert disk.files() == {"f": b"kept lost"}, "a kill alone loses nothing"
    assert disk.cut() == {"undone": 1, "undone_bytes": 5, "torn": False, "blind": 0}
    assert disk.files() == {"f": b"kept"}


def test_what_was_overwritten_is_back_after_a_power_cut(disk: Disk) -> None:
    disk.run(
        "f = os.open('f', os.O_CREAT | os.O_RDWR); os.write(f, b'0123456789'); os.fdatasync(f)\n"
        "os.pwrite(f, b'abc', 2); os.pwrite(f, b'ABCDEF', 4); os.ftruncate(f, 6); os.writev(f, [b'x', b'y'])"
    )
    assert disk.files() == {"f": b"01abAB\0\0\0\0xy"}
    assert disk.cut()["undone"] == 4
    assert disk.files() == {"f": b"0123456789"}


def test_a_file_that_was_never_synced_is_gone(disk: Disk) -> None:
    disk.run("open('f', 'w').write('x' * 100)")
    assert disk.cut() == {"undone": 2, "undone_bytes": 100, "torn": False, "blind": 0}
    assert disk.files() == {}


def test_a_large_overwrite_is_undone_whole(disk: Disk) -> None:
    disk.run(
        "f = os.open('f', os.O_CREAT | os.O_RDWR); os.write(f, b'a' * 100_000); os.fsync(f)\n"
        "os.pwrite(f, b'b' * 150_000, 50_000)"
    )
    assert disk.cut() == {"undone": 1, "undone_bytes": 150_000, "torn": False, "blind": 0}
    assert disk.files() == {"f": b"a" * 100_000}


def test_a_file_emptied_by_its_opening_is_back(disk: Disk) -> None:
    disk.run("f = os.open('f', os.O_CREAT | os.O_RDWR); os.write(f, b'old'); os.fsync(f)\nopen('f', 'w').write('new')")
    disk.cut()
    assert disk.files() == {"f": b"old"}


def test_a_replaced_file_is_back_until_the_folder_is_synced(disk: Disk) -> None:
    replace = (
        "def put(name, text):\n"
        "    f = os.open(name, os.O_CREAT | os.O_WRONLY); os.write(f, text); os.fsync(f); os.close(f)\n"
        "put('f', b'old'); put('g', b'new'); os.rename('g', 'f')\n"
    )
    disk.run(replace)
    assert disk.files() == {"f": b"new"}
    disk.cut()
    assert disk.files() == {"f": b"old", "g": b"new"}
    disk.run(f"{replace}f = os.open('.', os.O_RDONLY); os.fsync(f)")
    assert disk.cut()["undone"] == 0
    assert disk.files() == {"f": b"new"}


def test_a_removed_file_is_back_with_what_was_durable_of_it(disk: Disk) -> None:
    disk.run(
        "f = os.open('f', os.O_CREAT | os.O_WRONLY); os.write(f, b'kept'); os.fsync(f); os.write(f, b'lost')\n"
        "os.unlink('f')"
    )
    assert disk.files() == {}
    disk.cut()
    assert disk.files() == {"f": b"kept"}


def test_a_removal_is_durable_once_its_folder_is_synced_and_nothing_is_kept_of_it(disk: Disk) -> None:
    disk.run(
        "f = os.open('f', os.O_CREAT | os.O_WRONLY); os.write(f, b'kept'); os.fsync(f); os.write(f, b'lost')\n"
        "os.unlink('f'); os.fsync(os.open('.', os.O_RDONLY))"
    )
    assert list(disk.data.with_name("data.undo").iterdir()) == []
    assert list((disk.logs / "undo").iterdir()) == []
    assert disk.cut()["undone"] == 0
    assert disk.files() == {}


def test_folders_that_were_made_are_gone_and_removed_ones_back(disk: Disk) -> None:
    disk.run(
        "os.mkdir('old'); os.fsync(os.open('.', os.O_RDONLY)); os.mkdir('new'); os.mkdir('new/deep'); os.rmdir('old')"
    )
    disk.cut()
    assert sorted(path.name for path in disk.data.rglob("*")) == ["old"]


def test_a_sync_of_everything_leaves_nothing_to_undo(disk: Disk) -> None:
    disk.run("open('f', 'w').write('x'); os.mkdir('d'); open('d/g', 'w').write('y'); os.sync()")
    assert disk.cut()["undone"] == 0
    assert disk.files() == {"d/g": b"y", "f": b"x"}


def test_writes_by_a_descriptor_that_syncs_are_durable(disk: Disk) -> None:
    disk.run("f = os.open('f', os.O_CREAT | os.O_WRONLY | os.O_DSYNC); os.write(f, b'kept')")
    assert disk.cut()["undone"] == 0
    assert disk.files() == {"f": b"kept"}


def test_syncs_without_new_names_between_them_do_not_fill_the_log(disk: Disk) -> None:
    sync = "f = os.open('f', os.O_CREAT | os.O_RDWR); g = os.open('g', os.O_CREAT | os.O_RDWR)\n"
    sync += (
        "for i in range(100): os.pwrite(f, b'kept', 0); os.fdatasync(f); os.pwrite(g, b'kept', 0); os.fdatasync(g)\n"
    )
    disk.run(sync)
    kinds = [record.kind for record in undo_log.read(disk.logs / "names")]
    assert kinds == [undo_log.CREATE, undo_log.CREATE, undo_log.SYNC, undo_log.SYNC]
    disk.run("os.rename('f', 'h'); f = os.open('h', os.O_RDWR); os.fsync(f)")
    assert disk.cut()["undone"] == 0
    assert disk.files() == {"g": b"kept", "h": b"kept"}


def test_two_power_cuts_one_after_the_other_undo_each_its_own(disk: Disk) -> None:
    append = "f = os.open('f', os.O_CREAT | os.O_WRONLY | os.O_APPEND); os.write(f, b'{}')"
    disk.run(append.format("a") + "; os.fsync(f)")
    disk.run(append.format("b"))
    disk.run(append.format("c"))
    assert disk.files() == {"f": b"abc"}
    assert disk.cut()["undone"] == 2, "what an earlier process did not sync is lost too"
    disk.run(append.format("d"))
    assert disk.cut()["undone"] == 1
    assert disk.files() == {"f": b"a"}


def test_a_torn_write_keeps_its_first_half_in_whole_sectors(disk: Disk) -> None:
    disk.run(
        "f = os.open('f', os.O_CREAT | os.O_WRONLY); os.write(f, b'k' * 10); os.fsync(f)\n"
        f"os.write(f, b'l' * 20); os.write(f, b't' * {5 * SECTOR})"
    )
    assert disk.cut(torn=True) == {
        "undone": 2,
        "undone_bytes": 20 + 5 * SECTOR - 2 * SECTOR,
        "torn": True,
        "blind": 0,
    }
    assert disk.files() == {"f": b"k" * 10 + bytes(20) + b"t" * 2 * SECTOR}


def test_a_torn_write_over_old_bytes_is_half_new_and_half_old(disk: Disk) -> None:
    disk.run(
        "f = os.open('f', os.O_CREAT | os.O_WRONLY); os.write(f, b'old-old-'); os.fsync(f); os.pwrite(f, b'NEW-NEW-', 0)"
    )
    assert disk.cut(torn=True)["torn"]
    assert disk.files() == {"f": b"NEW-old-"}


def test_nothing_is_torn_where_everything_was_synced(disk: Disk) -> None:
    disk.run("f = os.open('f', os.O_CREAT | os.O_WRONLY); os.write(f, b'kept'); os.fsync(f)")
    assert disk.cut(torn=True) == {"undone": 0, "undone_bytes": 0, "torn": False, "blind": 0}


def test_files_elsewhere_are_left_alone(disk: Disk) -> None:
    outside = disk.data.with_name("outside")
    disk.set(full=1)
    disk.run(f"f = os.open({str(outside)!r}, os.O_CREAT | os.O_WRONLY); os.write(f, b'there')")
    assert disk.counted()[0] == 0
    assert disk.cut()["undone"] == 0
    assert outside.read_bytes() == b"there"


TRY = """
def attempt(work):
    try:
        work()
        return 0
    except OSError as error:
        return error.errno
f = os.open('f', os.O_CREAT | os.O_RDWR)
print(attempt(lambda: os.write(f, b'x')), attempt(lambda: os.fsync(f)), attempt(lambda: os.read(f, 1)))
"""


def test_a_full_disk_refuses_writes_and_counts_them(disk: Disk) -> None:
    disk.run("open('f', 'w').write('old')")
    disk.set(full=1)
    assert disk.run(TRY).split() == [str(errno.ENOSPC), "0", "0"]
    assert disk.counted() == (1, 0, 0)
    disk.set()
    assert disk.run(TRY).split() == ["0", "0", "0"]


def test_a_failing_disk_refuses_writes_and_syncs(disk: Disk) -> None:
    disk.run("open('f', 'w').write('old')")
    disk.set(failing=1)
    assert disk.run(TRY).split() == [str(errno.EIO), str(errno.EIO), "0"]
    assert disk.counted() == (2, 0, 0)


def test_a_sync_that_failed_makes_nothing_durable(disk: Disk) -> None:
    disk.run("f = os.open('f', os.O_CREAT | os.O_WRONLY); os.fsync(f); os.write(f, b'lost')")
    disk.set(failing=1)
    disk.run(TRY)
    disk.cut()
    assert disk.files() == {"f": b""}


def test_a_stalled_sync_is_counted_and_ends_when_the_disk_works_again(disk: Disk) -> None:
    disk.set(stall_ns=3600 * 10**9)
    # A second process sees the sync under way, and makes the disk work.
    healing = (
        "import struct, threading, time\n"
        f"page = os.open({str(disk.logs / 'page')!r}, os.O_RDWR)\n"
        "f = os.open('f', os.O_CREAT | os.O_WRONLY); os.write(f, b'x')\n"
        "sync = threading.Thread(target=os.fsync, args=(f,)); sync.start()\n"
        "while struct.unpack('=Q', os.pread(page, 8, 72)) != (1,): time.sleep(0.001)\n"
        "print(sync.is_alive()); os.pwrite(page, bytes(24), 0); sync.join(); print('done')"
    )
    assert disk.run(healing).split() == ["True", "done"]
    assert disk.counted() == (0, 1, 0)


def test_what_libc_writes_by_itself_is_seen_to_be_unseen(disk: Disk) -> None:
    by_stdio = "import ctypes\nlibc = ctypes.CDLL(None); libc.fopen.restype = ctypes.c_void_p\nlibc.fopen(b'{}', b'w')"
    disk.run(by_stdio.format(disk.data.with_name("outside")))
    assert disk.counted()[2] == 0
    disk.run(by_stdio.format("f"))
    assert disk.counted()[2] == 1


def test_a_removal_of_which_nothing_can_be_kept_is_seen(disk: Disk) -> None:
    disk.run("open('f', 'w').write('x')")
    disk.data.with_name("data.undo").rmdir()
    disk.run("os.unlink('missing') if os.path.exists('missing') else None")
    assert disk.counted()[2] == 0
    disk.run("os.unlink('f')")
    assert disk.counted()[2] == 4


COMMITS = """
import sqlite3
c = sqlite3.connect('db')
c.execute('PRAGMA journal_mode = {journal}'); c.execute('PRAGMA synchronous = FULL')
c.execute('CREATE TABLE IF NOT EXISTS t (x)'); c.commit()
c.execute('PRAGMA synchronous = {synchronous}')
for i in range({count}):
    c.execute('INSERT INTO t VALUES (?)', (i,)); c.commit()
"""


def rows(folder: Path) -> tuple[str, int]:
    """What sqlite finds of the database there, and how many rows, without the shim."""
    script = (
        "import sqlite3; c = sqlite3.connect('db')\n"
        "print(c.execute('PRAGMA integrity_check').fetchone()[0], c.execute('SELECT count(*) FROM t').fetchone()[0])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    whole, count = done.stdout.split()
    return whole, int(count)


def test_every_commit_that_sqlite_synced_survives_a_power_cut(disk: Disk) -> None:
    disk.run(COMMITS.format(journal="WAL", synchronous="FULL", count=200))
    disk.cut()
    assert rows(disk.data) == ("ok", 200)


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_commits_that_sqlite_did_not_sync_survive_a_kill_and_no_power_cut(disk: Disk, synchronous: str) -> None:
    disk.run(COMMITS.format(journal="WAL", synchronous=synchronous, count=200))
    copy = shutil.copytree(disk.data, disk.data.with_name("copy"))
    assert rows(copy) == ("ok", 200)
    disk.cut()
    assert rows(disk.data) == ("ok", 0)


@pytest.mark.parametrize(("synchronous", "survive"), [("EXTRA", 30), ("FULL", 29)])
def test_a_rollback_journal_comes_back_unless_its_removal_was_synced(
    disk: Disk, synchronous: str, survive: int
) -> None:
    # sqlite.org/pragma.html: EXTRA syncs the folder after the journal was unlinked, FULL does not.
    disk.run(COMMITS.format(journal="DELETE", synchronous=synchronous, count=30))
    disk.cut()
    assert rows(disk.data) == ("ok", survive)


def test_threads_and_children_that_write_at_once_lose_all_that_they_did_not_sync(disk: Disk) -> None:
    disk.run(
        "import threading\n"
        "def work(name):\n"
        "    f = os.open(name, os.O_CREAT | os.O_RDWR)\n"
        "    for i in range(100):\n"
        "        os.write(f, b'%03d ' % i)\n"
        "        if i == 49: os.fsync(f)\n"
        "for child in 'ab':\n"
        "    if os.fork() == 0:\n"
        "        each = [threading.Thread(target=work, args=(child + n,)) for n in '123']\n"
        "        [t.start() for t in each]; [t.join() for t in each]; os._exit(0)\n"
        "os.wait(); os.wait()"
    )
    disk.cut()
    half = b"".join(b"%03d " % i for i in range(50))
    assert disk.files() == dict.fromkeys(("a1", "a2", "a3", "b1", "b2", "b3"), half)
