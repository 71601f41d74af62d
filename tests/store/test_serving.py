"""A node as a process: whatever is wrong with its disk, its key or its place, it says so in a line, and loses nothing."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from store import cli
from store.server import Server
from tests.store.test_server import SECRET, free_ports

ALONE = ["--config", "n=1", "--config", "r=1", "--config", "w=1"]


def command(*words: object) -> tuple[int, str, str]:
    """`splitbrain-store` in this process: exit code, output, errors."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", ["splitbrain-store", *map(str, words)])
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            cli.main()
    assert "Traceback" not in errors.getvalue()
    return end.value.code, output.getvalue(), errors.getvalue()


class Cluster:
    """Processes of `splitbrain-store serve`, and the commands that ask them."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.ports = free_ports(number)
        self.lines: dict[int, list[str]] = {}
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.key = folder / "key"
        self.key.write_bytes(SECRET)

    def address(self, number: int) -> str:
        return f"127.0.0.1:{self.ports[number - 1]}"

    def members(self, *numbers: int) -> list[str]:
        return [word for i in numbers for word in ("--member", f"n{i}={self.address(i)}")]

    def start(self, number: int, *words: str, serving: bool = True, **options) -> subprocess.Popen[str]:
        name = f"n{number}"
        command = [sys.executable, "-m", "store.cli", "serve", "--name", name, "--key-file", str(self.key)]
        command += ["--data", str(self.folder / f"data{number}"), *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
        self.running[name] = process
        while serving:
            line = process.stdout.readline()
            assert line, "it ended"
            self.lines.setdefault(process.pid, []).append(line)
            serving = not line.startswith("serving")
        return process

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Exit code and log of a process that ends by itself."""
        output, _ = process.communicate(timeout=60)
        log = "".join(self.lines.get(process.pid, ())) + output
        assert "Traceback" not in log
        return process.returncode, log

    def ask(self, *words: str, node: int = 1, key: Path | None = None) -> tuple[int, str, str]:
        """A command to a node: exit code, output, errors."""
        common = ["--node", self.address(node), "--key-file", str(key or self.key)]
        return command(words[0], *common, *words[1:])

    def told(self, *words: str, node: int = 1) -> dict:
        """What a command that succeeds says, as JSON."""
        code, output, errors = self.ask(*words, "--json", node=node)
        assert code == 0, errors
        return json.loads(output)

    def stop(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
            process.stdout.close()  # Twice does no harm.


def eventually(condition):
    """Its value, once it is true."""
    deadline = time.monotonic() + 30
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
    return value


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path, 5)
    yield made
    made.stop()


# The disk


def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


def test_a_disk_that_is_full_ends_the_node_with_3_and_loses_nothing_acknowledged(cluster):
    process = cluster.start(1, *cluster.members(1), *ALONE, preexec_fn=small_files)
    acknowledged, refused = [], None
    for i in range(40):
        code, _, errors = cluster.ask("put", f"k{i}", f"{i} " + "v" * 20_000)
        if code:
            refused = errors
            break
        acknowledged.append(i)
    assert acknowledged
    assert "nobody knows whether it happened" in refused
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


def test_a_file_system_that_is_full_ends_the_node_with_3_and_with_space_it_goes_on(cluster, tiny_disk):
    process = cluster.start(1, *cluster.members(1), *ALONE, "--data", str(tiny_disk / "n1"))
    assert cluster.ask("put", "before", "v")[0] == 0
    for i in range(40):
        if cluster.ask("put", f"k{i}", "v" * 60_000)[0]:
            break
    code, log = cluster.ended(process)
    assert code == 3
    assert "database or disk is full" in log and "free space on its disk" in log
    process = cluster.start(1, *cluster.members(1), *ALONE, "--data", str(tiny_disk / "n1"), serving=False)
    line = process.stdout.readline()
    if not line.startswith("serving"):  # Not even the log of the database could be opened.
        assert "free space on its disk" in line
    process.kill()
    subprocess.run(["mount", "-o", "remount,size=8m", tiny_disk], check=True)
    cluster.start(1, *cluster.members(1), *ALONE, "--data", str(tiny_disk / "n1"))
    assert cluster.told("get", "before")["values"] == ["v"]
    assert cluster.ask("put", "after", "v")[0] == 0


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
    key.chmod(0)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with nobody():
        code, _, errors = command("status", "--key-file", key, "--node", "127.0.0.1:1")
        assert code == 64
        assert "check its permissions" in " ".join(errors.split())
    key.chmod(0o644)
    open_to_all = Path("/tmp") / f"splitbrain-test-key-{os.getpid()}"
    open_to_all.write_bytes(SECRET)
    try:
        words = ["serve", "--name", "n1", "--key-file", open_to_all, "--member", "n1=127.0.0.1:7001", *ALONE]
        with nobody():
            code, _, errors = command(*words, "--data", closed / "data")
        assert code == 3
        assert "check the path and its permissions" in errors
    finally:
        open_to_all.unlink()


# Strangers


def test_another_key_or_another_cluster_is_named_by_the_client_and_in_the_nodes_log(cluster, monkeypatch):
    monkeypatch.setattr("store.client.TIMEOUT_S", 0.5)
    process = cluster.start(1, *cluster.members(1), *ALONE)
    other = cluster.folder / "other"
    other.write_bytes(b"x" * 32)
    code, _, errors = cluster.ask("get", "k", key=other)
    assert code == 1
    assert f"{cluster.address(1)} says: it has another cluster key: use the key file" in errors
    code, _, errors = cluster.ask("get", "k", "--cluster", "elsewhere")
    assert code == 1
    assert "says: it is of another cluster" in errors
    process.terminate()
    code, log = cluster.ended(process)
    assert code == 0
    assert "sends datagrams that do not open under this cluster's key" in log
    assert "sends datagrams of another cluster" in log


# The cluster


def test_a_cluster_is_looked_into_joined_and_left_from_the_shell(cluster):
    for number in (1, 2, 3):
        cluster.start(number, *cluster.members(1, 2, 3))
    waiting = cluster.start(4, "--seed", cluster.address(1), "--listen", cluster.address(4), "--zone", "z4")
    assert cluster.ask("put", "cart", "milk", "--w", "3")[0] == 0
    assert cluster.ask("put", "odd", "\x1b[31mred", "--w", "3")[0] == 0
    assert cluster.ask("get", "odd")[1] == "\x1b[31mred\n"

    ring = cluster.told("ring", "--key", "cart")
    assert sorted(ring["nodes"]) == ["n1", "n2", "n3"]
    assert sorted(ring["key"]["homes"]) == ["n1", "n2", "n3"]
    versions = cluster.told("versions", "cart")
    assert versions["agree"] is True
    assert [each["versions"][0]["value"] for each in versions["nodes"].values()] == ["milk"] * 3
    assert cluster.told("hints") == {"total": 0, "hints": {}, "no_answer": []}
    assert cluster.told("status")["name"] == "n1"
    for words in (["ring", "--key", "cart"], ["versions", "cart"], ["hints"], ["status"], ["status", "--verbose"]):
        code, output, errors = cluster.ask(*words)
        assert code == 0, errors
        assert output.strip()

    code, _, errors = cluster.ask("get", "cart", "--r", "4")
    assert code == 1 and "r=4 with n=3: give 1 to 3" in errors and "certainly did not happen" in errors
    code, _, errors = cluster.ask("put", "cart", "x", "--w", "9")
    assert code == 1 and "w=9 with n=3: give 1 to 3" in errors
    code, _, errors = cluster.ask("leave", "n3")
    assert code == 1 and "too few would be left" in errors and "join first" in errors
    code, _, errors = cluster.ask("leave", "nobody")
    assert code == 1 and "no node 'nobody'" in errors
    code, _, errors = cluster.ask("join", f"n2={cluster.address(4)}")
    assert (code == 1 and "choose another" in errors) or "give that name" in errors
    code, _, errors = cluster.ask("join", f"n4={cluster.address(2)}")
    assert code == 1 and "certainly did not happen" in errors
    assert sorted(cluster.told("ring")["nodes"]) == ["n1", "n2", "n3"]

    assert cluster.told("join", f"n4={cluster.address(4)}", "--zone", "z4")["joined"] == "n4"
    told = eventually(lambda: (nodes := cluster.told("ring", node=2)["nodes"]) and "n4" in nodes and nodes)
    assert told["n4"]["standing"] == "member" and told["n4"]["zone"] == "z4" and told["n4"]["partitions"] == 16
    assert cluster.told("get", "cart", node=3)["values"] == ["milk"]

    code, _, errors = cluster.ask("leave", "n1", "--gone", node=2)
    assert code == 64 and "add --yes if that is meant" in errors
    assert cluster.told("leave", "n1", "--gone", "--yes", node=2) == {"left": "n1", "gone": True}
    assert cluster.told("ring", node=2)["nodes"]["n1"]["standing"] == "gone"
    assert "n1 is gone already" in cluster.ask("leave", "n1", node=2)[1]
    assert cluster.told("leave", "n1", node=2) == {"left": "n1", "gone": True}
    waiting.terminate()
    _, log = cluster.ended(waiting)
    assert "n4 is a member of the ring" in log


def test_a_node_outside_says_how_to_have_it_join(cluster):
    process = cluster.start(4, "--seed", cluster.address(1), "--listen", cluster.address(4), "--capacity", "2")
    code, _, errors = cluster.ask("get", "k", node=4)
    assert code == 1
    assert "not_member" in errors
    process.terminate()
    _, log = cluster.ended(process)
    command = f"splitbrain-store join n4={cluster.address(4)} --capacity 2 --node {cluster.address(1)} --key-file FILE"
    assert command in log


def test_a_dead_node_does_not_keep_the_others_from_being_looked_into(cluster, monkeypatch):
    monkeypatch.setattr("store.client.TIMEOUT_S", 2.0)
    for number in (1, 2, 3):
        cluster.start(number, *cluster.members(1, 2, 3))
    assert cluster.ask("put", "k", "v", "--w", "3")[0] == 0
    cluster.running["n3"].kill()
    assert cluster.told("hints")["no_answer"] == ["n3"]
    told = cluster.told("versions", "k")
    assert told["agree"] is None
    assert "no answer within" in told["nodes"]["n3"]["error"]
    code, output, _ = cluster.ask("versions", "k")
    assert code == 0
    assert "no answer from n3" in output


# The end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_node_with_0_and_no_word_of_complaint(cluster, number):
    process = cluster.start(1, *cluster.members(1), *ALONE)
    process.send_signal(number)
    code, log = cluster.ended(process)
    assert code == 0
    assert [line.split()[0] for line in log.splitlines()] == ["serving"]


def test_a_bug_ends_a_node_with_3_and_one_line_that_says_where(tmp_path, monkeypatch):
    key = tmp_path / "key"
    key.write_bytes(SECRET)

    async def broken(self, started=None):
        raise KeyError("oops")

    monkeypatch.setattr(Server, "serve", broken)
    words = ["serve", "--name", "n1", "--key-file", key, "--member", "n1=127.0.0.1:7001", *ALONE]
    code, _, errors = command(*words, "--engine", "memory")
    assert code == 3
    assert re.search(r"a bug in the store at test_serving.py:\d+: KeyError: 'oops'; report this line", errors)


def test_a_log_that_nobody_reads_any_more_ends_no_node(cluster):
    process = cluster.start(1, *cluster.members(1), *ALONE)
    process.stdout.close()
    other = cluster.folder / "other"
    other.write_bytes(b"x" * 32)
    assert cluster.ask("get", "k", key=other)[0] == 1  # A line for the log.
    assert cluster.ask("put", "k", "v")[0] == 0


def test_an_address_of_another_machine_is_refused_with_a_remedy(cluster):
    code, log = cluster.ended(
        cluster.start(1, *cluster.members(1), *ALONE, "--listen", "203.0.113.1:7000", serving=False)
    )
    assert code == 3
    assert "this machine has no such address" in log
