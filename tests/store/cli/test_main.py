"""Wrong usage of `splitbrain-store`: exit code 64, and a message that names cause and remedy; never a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from splitbrain.store.cli import main
from splitbrain.store.cli.arguments import MemberType
from splitbrain.store.config import Member


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(bytes(32))
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def run(monkeypatch, capsys):
    """The command in this process: (exit code, output, errors)."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["splitbrain-store", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main.main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return end.value.code, printed.out, printed.err

    return command


MEMBER = "n1=127.0.0.1:7001"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--member", MEMBER], "--name"),
        (["--name", "n1"], "give --member for each node of a new cluster, or --seed"),
        (["--name", "n1", "--seed", "127.0.0.1:7001"], "needs --listen HOST:PORT"),
        (["--name", "n1", "--seed", "127.0.0.1"], "not host:port"),
        (["--name", "n1", "--member", MEMBER, "--zone", "z"], "for a node that joins later"),
        (["--name", "n1", "--member", MEMBER, "--capacity", "2"], "for a node that joins later"),
        (["--name", "n1", "--seed", MEMBER[3:], "--listen", MEMBER[3:], "--capacity", "99"], "not in the range"),
        (["--name", "n1", "--seed", MEMBER[3:], "--listen", MEMBER[3:], "--engine", "memory", "--zone", "\t"], "zone"),
        (["--name", "\t", "--seed", MEMBER[3:], "--listen", MEMBER[3:], "--engine", "memory"], "printable bytes"),
        (["--name", "n1", "--member", MEMBER + ",z,x"], "the capacity is a number"),
        (["--name", "n1", "--member", MEMBER + ",z,1,2"], "not name=host:port,zone,capacity"),
        (["--name", "n1", "--member", MEMBER + ",z,99"], "capacity 99 of 'n1': give 1 to 16"),
        (["--name", "n1", "--member", MEMBER + "," + "z" * 65], "can't be a zone"),
        (["--name", "n2", "--member", MEMBER], "not among the members n1"),
        (["--name", "n1", "--member", MEMBER], "needs --data DIRECTORY"),
        (["--name", "n1", "--member", "n1"], "not name=host:port, such as n1=127.0.0.1:7000"),
        (["--name", "n1", "--member", "=127.0.0.1:1"], "not name=host:port"),
        (["--name", "n1", "--member", "n1=127.0.0.1"], "not host:port, such as"),
        (["--name", "n1", "--member", "n1=127.0.0.1:0"], "not host:port"),
        (["--name", "n1", "--member", "n1=127.0.0.1:65536"], "not host:port"),
        (["--name", "n1", "--member", "n1=127.0.0.1:\u00b2"], "not host:port"),
        (["--name", "n1", "--member", "n1=127.0.0.1:" + "9" * 5000], "not host:port"),
        (["--name", "n1", "--member", "n1=a..b:7000"], "can't resolve host"),
        (["--name", "n1", "--member", "n1=" + "x" * 300 + ":7000"], "can't resolve host"),
        (["--name", "x" * 65, "--member", "x" * 65 + "=127.0.0.1:1"], "give 1 to 64 printable bytes"),
        (["--name", "\udcff", "--member", "\udcff=127.0.0.1:1"], "give 1 to 64 printable bytes"),
        (["--name", "n1", "--member", MEMBER, "--config", "n"], "give key=value, such as n=3"),
        (["--name", "n1", "--member", MEMBER, "--config", "q=3"], "unknown configuration key 'q'"),
        (["--name", "n1", "--member", MEMBER, "--config", "n=x"], "not a number"),
        (["--name", "n1", "--member", MEMBER, "--config", "w=9"], "give w between 1 and 3"),
        (["--name", "n1", "--member", MEMBER, "--engine", "disk"], "'disk' is not one of"),
        (["--name", "n1", "--member", MEMBER, "--engine", "memory"], "n=3 with 1 members: add nodes, or lower n"),
        (
            ["--name", "n1", "--member", MEMBER, "--member", MEMBER, "--engine", "memory"],
            "two members have the same name",
        ),
        (
            ["--name", "n1", "--member", MEMBER, "--member", "n2=127.0.0.1:7001", "--engine", "memory"],
            "two members have the same address",
        ),
    ],
)
def test_a_node_that_cannot_be_is_refused_with_cause_and_remedy(run, key, words, says):
    code, _, errors = run("serve", "--key-file", key, *words)
    assert code == 64
    assert says in errors


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["get", "k"], "--node"),
        (["get", "--node", "127.0.0.1"], "not host:port"),
        (["get", "--node", "127.0.0.1:1"], "KEY"),
        (["get", "--node", "127.0.0.1:1", "k", "--r", "0"], "not in the range"),
        (["get", "--node", "127.0.0.1:1", "k", "--r", "9" * 30], "not in the range"),
        (["put", "--node", "127.0.0.1:1", "k", "v", "--w", "x"], "not a valid integer"),
        (["put", "--node", "127.0.0.1:1", "k", "v", "--pw", "-1"], "not in the range"),
        (["delete", "--node", "127.0.0.1:1", "k", "--context", "", "--dw", "256"], "not in the range"),
        (["put", "--node", "127.0.0.1:1", "k", "v", "--context", "!"], "not what a get printed"),
        (["put", "--node", "127.0.0.1:1", "k", "v", "--context", "\u00e9"], "not what a get printed"),
        (["delete", "--node", "127.0.0.1:1", "k"], "--context"),
        (["delete", "--node", "127.0.0.1:1", "k", "--context", "abc"], "not what a get printed"),
        (["status", "--node", "127.0.0.1:1", "more"], "unexpected extra argument"),
        (["join", "--node", "127.0.0.1:1"], "NAME=HOST:PORT"),
        (["join", "--node", "127.0.0.1:1", "n4"], "not name=host:port"),
        (["join", "--node", "127.0.0.1:1", "n4=127.0.0.1:1", "--capacity", "0"], "not in the range"),
        (["join", "--node", "127.0.0.1:1", "n4=127.0.0.1:1", "--zone", "z" * 65], "can't be a zone"),
        (["leave", "--node", "127.0.0.1:1"], "NAME"),
        (["leave", "--node", "127.0.0.1:1", "n1", "--gone"], "add --yes if that is meant"),
        (["versions", "--node", "127.0.0.1:1"], "KEY"),
        (["get", "--nodes", "x"], "No such option"),
    ],
)
def test_a_request_that_cannot_be_is_refused_with_cause_and_remedy(run, key, words, says):
    code, _, errors = run(words[0], "--key-file", key, *words[1:])
    assert code == 64
    assert says in errors


def test_a_missing_or_wrong_key_file_says_how_to_make_one(run, tmp_path):
    short = tmp_path / "short"
    short.write_bytes(b"short")
    short.chmod(0o600)
    for path in (tmp_path / "none", short, tmp_path):
        code, _, errors = run("status", "--key-file", path, "--node", "127.0.0.1:1")
        assert code == 64
        assert "splitbrain-store key" in " ".join(errors.split())


@pytest.mark.parametrize("mode", [0o644, 0o602, 0o777])
def test_a_key_file_that_every_user_may_read_or_write_is_refused(run, key, mode):
    Path(key).chmod(mode)
    code, _, errors = run("status", "--key-file", key, "--node", "127.0.0.1:1")
    assert code == 64
    assert f"can be read or written by every user; run: chmod o-rw {key}" in " ".join(errors.split())


@pytest.mark.parametrize(
    ("text", "member"),
    [
        ("n1=127.0.0.1:7001", Member("n1", ("127.0.0.1", 7001))),
        ("n1=127.0.0.1:7001,z", Member("n1", ("127.0.0.1", 7001), "z")),
        ("n1=127.0.0.1:7001,z,3", Member("n1", ("127.0.0.1", 7001), "z", 3)),
        ("n1=127.0.0.1:7001,,3", Member("n1", ("127.0.0.1", 7001), "", 3)),
        ("n1=[::1]:7001,z", Member("n1", ("::1", 7001), "z")),
        ("a=b=127.0.0.1:7001", None),
    ],
)
def test_a_member_is_given_with_its_zone_and_capacity_behind_commas(text, member):
    if member is None:
        with pytest.raises(click.BadParameter):
            MemberType().convert(text, None, None)
    else:
        assert MemberType().convert(text, None, None) == member


def test_a_reader_that_goes_away_early_is_no_error():
    script = f"{sys.executable} -m splitbrain.store.cli.main --help | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_output_that_cannot_be_written_ends_with_1_and_is_said_in_a_line():
    script = f"exec {sys.executable} -m splitbrain.store.cli.main --help > /dev/full"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("splitbrain-store: can't write the output (No space left on device)")
    assert len(done.stderr.splitlines()) == 1


def test_no_command_and_an_unknown_command_are_wrong_usage(run):
    assert run()[0] == 64
    code, _, errors = run("frobnicate")
    assert code == 64
    assert "frobnicate" in errors


def test_help_is_no_error(run):
    code, output, _ = run("--help")
    assert code == 0
    assert "serve" in output


def test_a_key_is_made_once_for_its_owner_only_and_never_overwritten(run, tmp_path):
    path = tmp_path / "new"
    assert run("key", path)[0] == 0
    assert len(path.read_bytes()) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    code, _, errors = run("key", path)
    assert code == 64
    assert "must not be overwritten" in errors
    assert path.read_bytes() == before
    code, _, errors = run("key", tmp_path / "none" / "key")
    assert code == 64
    assert "choose another path" in errors


def test_a_key_or_value_the_store_refuses_ends_with_1_and_says_that_nothing_happened(run, key):
    for words in (["get", ""], ["put", "k" * 1025, "v"], ["put", "k", "v" * ((1 << 20) + 1)]):
        code, _, errors = run(words[0], "--key-file", key, "--node", "127.0.0.1:1", *words[1:])
        assert code == 1
        assert "certainly did not happen" in errors


def test_no_answer_ends_with_1_and_says_that_the_outcome_is_unknown(run, key, monkeypatch):
    monkeypatch.setattr("splitbrain.store.client_core.TIMEOUT_S", 0.2)
    code, _, errors = run("put", "--key-file", key, "--node", "127.0.0.1:1", "k", "v")
    assert code == 1
    assert "timeout" in errors
    assert "it may or may not have happened" in errors


def test_a_data_directory_that_is_unusable_or_another_nodes_ends_with_3(run, key, tmp_path):
    from splitbrain.store.actions import Record
    from splitbrain.store.storage.engine import SqliteEngine
    from splitbrain.store.storage.replica import META, Identity, _encode

    one = ["serve", "--key-file", key, "--name", "n1", "--member", MEMBER]
    one += ["--config", "n=1", "--config", "r=1", "--config", "w=1"]
    (tmp_path / "file").write_text("")
    code, _, errors = run(*one, "--data", tmp_path / "file" / "below")
    assert code == 3
    assert "check the path" in errors
    engine = SqliteEngine(tmp_path / "other")
    engine.commit([Record(META, b"identity", _encode(Identity("n7", 1 << 24)))])
    code, _, errors = run(*one, "--data", tmp_path / "other")
    assert code == 3
    assert "another process runs on" in errors
    engine.close()
    code, _, errors = run(*one, "--data", tmp_path / "other")
    assert code == 3
    assert "belongs to node 'n7', not 'n1'" in errors


def test_the_command_itself_prints_no_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "splitbrain.store.cli.main", "get"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 64
    assert "Traceback" not in done.stderr
