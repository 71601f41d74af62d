"""A node whose disk is full, failing, damaged or not its own says so, and loses nothing that it had acknowledged."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
from pathlib import Path

import pytest

from tests.store.loopback import SECRET
from tests.store.processes import ALONE, command, eventually, processes


@pytest.fixture
def cluster(tmp_path):
    with processes(tmp_path) as made:
        yield made


def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


def test_a_write_that_fails_for_any_other_reason_ends_the_node_with_3_and_loses_nothing_acknowledged(cluster):
    # A file as large as it may be: to sqlite that is an I/O error, of which nobody can say what it left on the disk.
    process = cluster.start(1, *cluster.members(1), *ALONE, preexec_fn=small_files)
    acknowledged, refused = [], None
    for i in range(40):
        code, _, errors = cluster.ask("put", f"k{i}", f"{i} " + "v" * 20_000)
        if code:
            refused = errors
            break
        acknowledged.append(i)
    assert acknowledged
    assert "it may or may not have happened" in refused
    code, log = cluster.ended(process)
    assert code == 3
    assert re.search(r"n1 stops: can't write .*store.sqlite .*: free space", log)
    cluster.start(1, *cluster.members(1), *ALONE)
    for i in acknowledged:
        assert cluster.told("get", f"k{i}")["values"] == [f"{i} " + "v" * 20_000]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of a mebibyte."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mounted], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"can't mount a file system: {done.stderr.strip()}")
    yield mounted
    subprocess.run(["umount", "--lazy", mounted], check=True)


def test_a_node_whose_file_system_is_full_refuses_writes_and_goes_on_by_itself_once_there_is_room(cluster, tiny_disk):
    process = cluster.start(1, *cluster.members(1), *ALONE, "--data", str(tiny_disk / "n1"))
    assert cluster.ask("put", "before", "v")[0] == 0
    acknowledged = []
    for i in range(40):
        code, _, errors = cluster.ask("put", f"k{i}", f"{i} " + "v" * 60_000)
        if code:
            break
        acknowledged.append(i)
    assert acknowledged
    # The one that met the end of the disk may be stored yet, when there is room. Those after it are not even begun.
    assert "the disk of n1 is full" in errors and "it may or may not have happened" in errors
    code, _, errors = cluster.ask("put", "later", "v")
    assert code == 1
    assert "the disk of n1 is full" in errors and "may or may not" not in errors
    assert cluster.told("get", "before")["values"] == ["v"]
    assert cluster.told("status")["counters"]["writes_refused"] >= 1
    subprocess.run(["mount", "-o", "remount,size=16m", tiny_disk], check=True)
    eventually(lambda: cluster.ask("put", "after", "v")[0] == 0)
    for i in acknowledged:
        assert cluster.told("get", f"k{i}")["values"] == [f"{i} " + "v" * 60_000]
    assert cluster.told("get", "later")["values"] == []
    process.terminate()
    code, log = cluster.ended(process)
    assert code == 0
    said = [line for line in log.splitlines() if "disk" in line]
    assert "the disk is full: n1 refuses writes until there is room" in said[0]
    assert "the disk has room again: n1 takes writes" in said[-1]
    assert len(said) % 2 == 0, "each refusal is said once, and so is each end of it"


def damage_header(path):
    with path.open("r+b") as file:
        file.write(b"garbage" * 20)


def truncate(path):
    os.truncate(path, path.stat().st_size * 2 // 3)


def scramble_pages(path):
    with path.open("r+b") as file:
        size = path.stat().st_size
        for at in range(4096, size, 4096):
            file.seek(at)
            file.write(b"\xff" * 100)


@pytest.mark.parametrize("damage", [damage_header, truncate, scramble_pages])
def test_a_database_that_is_damaged_as_a_whole_is_refused_with_a_remedy_that_works(cluster, damage):
    process = cluster.start(1, *cluster.members(1), *ALONE)
    for i in range(9):
        assert cluster.ask("put", f"k{i}", "v" * 9000)[0] == 0
    process.terminate()
    cluster.ended(process)
    database = cluster.folder / "data1" / "store.sqlite"
    damage(database)
    process = cluster.start(1, *cluster.members(1), *ALONE, serving=False)
    line = process.stdout.readline()
    if line.startswith("serving"):  # Then it notices at the first read.
        cluster.ask("get", "k0")
        cluster.ask("put", "k1", "v")
    code, log = cluster.ended(process)
    assert code == 3
    assert "store.sqlite" in line + log and "move it away" in line + log
    database.rename(cluster.folder / "away")
    for more in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{database}{more}").unlink()
    cluster.start(1, *cluster.members(1), *ALONE)
    assert cluster.ask("put", "k", "v")[0] == 0


def test_a_flipped_bit_is_noted_and_counted_and_the_replicas_bring_the_record_back(cluster):
    for number in (1, 2, 3):
        cluster.start(number, *cluster.members(1, 2, 3))
    value = "precious " * 20
    assert cluster.ask("put", "k", value, "--w", "3")[0] == 0
    cluster.running["n2"].terminate()
    cluster.ended(cluster.running["n2"])
    database = cluster.folder / "data2" / "store.sqlite"
    content = bytearray(database.read_bytes())
    at = content.index(value.encode())
    content[at + 30] ^= 4
    database.write_bytes(content)
    process = cluster.start(2, *cluster.members(1, 2, 3))

    def brought_back():
        assert cluster.told("get", "k", node=1)["values"] == [value]
        return [v["value"] for v in cluster.told("get", "k", "--local", node=2)["versions"]] == [value]

    eventually(brought_back)
    assert cluster.told("status", node=2)["damaged_records"] == 1
    process.terminate()
    code, log = cluster.ended(process)
    assert code == 0
    (line,) = [line for line in log.splitlines() if "damaged" in line]
    assert "record of b'k' in 'data'" in line and "replicas bring it back" in line


def test_a_data_directory_that_cannot_be_used_is_refused_with_cause_and_remedy(cluster):
    (cluster.folder / "file").write_text("")
    code, log = cluster.ended(
        cluster.start(1, *cluster.members(1), *ALONE, "--data", str(cluster.folder / "file"), serving=False)
    )
    assert code == 3
    assert "check the path and its permissions" in log
    cluster.start(1, *cluster.members(1), *ALONE)
    again = cluster.start(2, *cluster.members(2), *ALONE, "--data", str(cluster.folder / "data1"), serving=False)
    code, log = cluster.ended(again)
    assert code == 3
    assert "another process runs on" in log


@contextlib.contextmanager
def nobody():
    """As a user who may do nothing."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_files_that_may_not_be_read_or_written_are_refused_with_cause_and_remedy(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    key.chmod(0o600)
    key.chmod(0)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with nobody():
        code, _, errors = command("status", "--key-file", key, "--node", "127.0.0.1:1")
        assert code == 64
        assert "check its permissions" in " ".join(errors.split())
    theirs = Path("/tmp") / f"splitbrain-test-key-{os.getpid()}"
    theirs.write_bytes(SECRET)
    theirs.chmod(0o600)
    os.chown(theirs, 65534, -1)
    try:
        words = ["serve", "--name", "n1", "--key-file", theirs, "--member", "n1=127.0.0.1:7001", *ALONE]
        with nobody():
            code, _, errors = command(*words, "--data", closed / "data")
        assert code == 3
        assert "check the path and its permissions" in errors
    finally:
        theirs.unlink()
