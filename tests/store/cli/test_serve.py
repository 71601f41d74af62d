"""A node as a process: whatever is wrong with its key or its place, it says so in a line; and a cluster from the shell."""

from __future__ import annotations

import errno
import json
import random
import re
import resource
import signal
import subprocess
import sys

import pytest

from splitbrain.store.server import Server
from tests.store.loopback import SECRET
from tests.store.processes import ALONE, command, eventually, processes


@pytest.fixture
def cluster(tmp_path):
    with processes(tmp_path) as made:
        yield made


# Strangers


def test_another_key_or_another_cluster_is_named_by_the_client_and_in_the_nodes_log(cluster, monkeypatch):
    monkeypatch.setattr("splitbrain.store.client_core.TIMEOUT_S", 0.5)
    process = cluster.start(1, *cluster.members(1), *ALONE)
    other = cluster.folder / "other"
    other.write_bytes(b"x" * 32)
    other.chmod(0o600)
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


# What a node lacks


@pytest.mark.parametrize("limit", [7, 9, 11, 13])
def test_a_node_that_is_out_of_descriptors_says_so_wherever_it_runs_out(cluster, limit):
    """It said "free the port". The limits end it at the database, the event loop and the socket."""

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    process = cluster.start(1, *cluster.members(1), *ALONE, serving=False, preexec_fn=few)
    code, log = cluster.ended(process)
    assert code == 3
    assert "this process may open no more files: raise its limit" in log
    assert len(log.splitlines()) == 1


def test_a_command_that_is_out_of_descriptors_says_so(cluster, monkeypatch):
    def none_left(number):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("splitbrain.store.cli.queries.require", none_left)
    code, _, errors = cluster.ask("get", "k")
    assert code == 1
    assert "this process may open no more files: raise its limit" in errors


def test_a_second_machine_under_a_members_name_stops_and_says_why(cluster):
    for number in (1, 2, 3):
        cluster.start(number, *cluster.members(1, 2, 3), "--config", "gossip_s=0.2")
    second = cluster.start(
        5,
        *cluster.members(1, 2, 3),
        "--config",
        "gossip_s=0.2",
        "--listen",
        cluster.address(4),
        called="n3",
        serving=False,
    )
    code, log = cluster.ended(second)
    assert code == 3
    assert f"n3 stops: another process answers as 'n3' at {cluster.address(3)}" in log
    assert cluster.ask("put", "k", "v", "--w", "3")[0] == 0


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
    for asked in (["get", "k"], ["ring"], ["versions", "k"], ["hints"]):
        code, _, errors = cluster.ask(*asked, node=4)
        assert code == 1
        assert "not_member" in errors
    process.terminate()
    _, log = cluster.ended(process)
    command = f"splitbrain-store join n4={cluster.address(4)} --capacity 2 --node {cluster.address(1)} --key-file FILE"
    assert command in log


def test_a_joining_node_did_not_say_that_its_seed_was_silent(cluster):
    process = cluster.start(4, "--seed", cluster.address(1), "--listen", cluster.address(4))
    line = next(line for line in process.stdout if "no seed answers" in line)
    assert f"no seed answers ({cluster.address(1)}): no answer within" in line
    cluster.start(1, *cluster.members(1), *ALONE)
    assert any("a seed answers now" in line for line in process.stdout)
    process.terminate()
    assert cluster.ended(process)[0] == 0


# Values


def test_get_printed_bytes_that_are_no_text_as_backslashes_and_could_not_print_them_as_they_are(cluster):
    cluster.start(1, *cluster.members(1), *ALONE)
    value = random.Random(16).randbytes(3000)
    common = ["--node", cluster.address(1), "--key-file", str(cluster.key)]
    store = [sys.executable, "-m", "splitbrain.store.cli.main"]
    subprocess.run([*store, "put", *common, "k"], input=value, check=True, capture_output=True)
    got = subprocess.run([*store, "get", *common, "--raw", "k"], check=True, capture_output=True)
    assert got.stdout == value
    assert got.stderr.startswith(b"context: ")


def test_a_raw_get_of_nothing_or_of_siblings_fails_and_prints_no_bytes(cluster):
    cluster.start(1, *cluster.members(1), *ALONE)
    code, output, errors = cluster.ask("get", "--raw", "k")
    assert (code, output) == (1, "") and "no value" in errors
    for value in ("a", "b"):
        assert cluster.ask("put", "k", value)[0] == 0
    code, output, errors = cluster.ask("get", "--raw", "k")
    assert (code, output) == (1, "") and "2 siblings" in errors and "--json" in errors
    assert cluster.ask("get", "--raw", "--json", "k")[0] == 64


def test_one_value_of_two_lines_looked_like_two_siblings(cluster):
    cluster.start(1, *cluster.members(1), *ALONE)
    for value in ("milk\neggs", "milk\\neggs", "eggs"):
        assert cluster.ask("put", "k", value)[0] == 0
    assert sorted(cluster.ask("get", "k")[1].splitlines()) == ["eggs", "milk\\\\neggs", "milk\\neggs"]


def test_a_dead_node_does_not_keep_the_others_from_being_looked_into(cluster, monkeypatch):
    monkeypatch.setattr("splitbrain.store.client_core.TIMEOUT_S", 2.0)
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


def test_a_request_asks_for_primaries_from_the_shell(cluster):
    for number in (1, 2, 3):
        cluster.start(number, *cluster.members(1, 2, 3))
    code, context, _ = cluster.ask("put", "k", "v", "--pw", "3", "--dw", "3", "--json")
    assert code == 0
    cluster.running["n3"].kill()
    assert cluster.ask("put", "k", "v", "--w", "2", "--pw", "2", "--strict")[0] == 0
    assert cluster.ask("get", "k", "--pr", "2")[0] == 0
    for words in (["put", "k", "v", "--pw", "3"], ["get", "k", "--pr", "3"], _delete(context, "--pw", "3")):
        code, _, errors = cluster.ask(*words)
        assert code == 1
        assert "2 of 3 primaries" in errors


def _delete(context, *more):
    return ["delete", "k", "--context", json.loads(context)["context"], *more]


# The end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_node_with_0_and_an_empty_error_log(cluster, number):
    process = cluster.start(1, *cluster.members(1), *ALONE)
    process.send_signal(number)
    code, log = cluster.ended(process)
    assert code == 0
    assert [line.split()[0] for line in log.splitlines()] == ["serving"]


def test_a_bug_ends_a_node_with_3_and_one_line_that_says_where(tmp_path, monkeypatch):
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    key.chmod(0o600)

    async def broken(self, started=None):
        raise KeyError("oops")

    monkeypatch.setattr(Server, "serve", broken)
    words = ["serve", "--name", "n1", "--key-file", key, "--member", "n1=127.0.0.1:7001", *ALONE]
    code, _, errors = command(*words, "--engine", "memory")
    assert code == 3
    assert re.search(r"a bug in the store at test_serve.py:\d+: KeyError: 'oops'; report this line", errors)


def test_a_node_survives_the_end_of_its_log_s_reader(cluster):
    process = cluster.start(1, *cluster.members(1), *ALONE)
    process.stdout.close()
    other = cluster.folder / "other"
    other.write_bytes(b"x" * 32)
    other.chmod(0o600)
    assert cluster.ask("get", "k", key=other)[0] == 1  # A line for the log.
    assert cluster.ask("put", "k", "v")[0] == 0


def test_an_address_of_another_machine_is_refused_with_a_remedy(cluster):
    code, log = cluster.ended(
        cluster.start(1, *cluster.members(1), *ALONE, "--listen", "203.0.113.1:7000", serving=False)
    )
    assert code == 3
    assert "this machine has no such address" in log
