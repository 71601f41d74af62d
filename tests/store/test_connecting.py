"""Connecting: one call makes a client that knows the ring, or one error that says what is wrong."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from splitbrain import store
from splitbrain.store import StoreError, connect, connect_blocking
from splitbrain.store.client_core import PATIENCE_S
from splitbrain.store.contact import address
from splitbrain.store.wire.client_messages import Failed, Get
from tests.store.box import Box
from tests.store.loopback import ALONE, SECRET, cluster, free_ports, run
from tests.store.processes import ALONE as ALONE_WORDS
from tests.store.processes import processes
from tests.store.test_busy_and_silent import BusyNode

K = b"k"


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


@pytest.fixture
def silent():
    """The address of a socket that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{made.getsockname()[1]}"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A node as a process: its address, and its key file."""
    with processes(tmp_path_factory.mktemp("node")) as started:
        started.start(1, *started.members(1), *ALONE_WORDS)
        yield started.address(1), started.key


def open_files():
    return set(Path("/proc/self/fd").iterdir())


# Awaited


def test_a_connection_is_a_context_that_closes_or_is_awaited_and_closed_by_hand(key):
    async def scenario():
        async with cluster(3) as (_, _, ports):
            nodes = [f"127.0.0.1:{port}" for port in ports]
            async with connect(nodes, key_file=key, cluster="test") as one:
                await one.put(K, b"v")
            with pytest.raises(RuntimeError, match="no endpoint"):
                await one.get(K)
            other = await connect(" ".join(nodes), key_file=str(key), cluster="test")
            assert (await other.get(K)).values == (b"v",)
            other.close()

    run(scenario)


def test_a_client_that_is_given_one_node_learns_of_the_others_and_does_without_it(tmp_path):
    with processes(tmp_path) as started:
        for number in (1, 2, 3):
            started.start(number, *started.members(1, 2, 3))

        async def scenario():
            async with connect([started.address(1)], key_file=started.key) as client:
                started.running["n1"].kill()
                for number in range(10):
                    await client.put(b"%d" % number, b"v")
                    assert (await client.get(b"%d" % number)).values == (b"v",)

        run(scenario)


def test_a_node_that_waits_outside_of_the_ring_is_passed_over_and_alone_is_no_cluster(tmp_path):
    with processes(tmp_path) as started:
        started.start(1, *started.members(1), *ALONE_WORDS)
        # Its seed is not there, so that it never hears of the ring.
        started.start(2, *ALONE_WORDS, "--seed", started.address(3), "--listen", started.address(2))

        async def scenario():
            for _ in range(10):  # Each begins at either of them, by chance.
                async with connect([started.address(1), started.address(2)], key_file=started.key) as client:
                    await client.put(K, b"v")
            with pytest.raises(StoreError) as refusal:
                await connect([started.address(2)], key_file=started.key)
            assert refusal.value.code == "not_member"

        run(scenario)


@pytest.mark.parametrize(
    ("nodes", "spoil", "says"),
    [
        ("127.0.0.1:1", lambda path: path.unlink(), "make a key with: splitbrain-store key"),
        ("127.0.0.1:1", lambda path: path.write_bytes(b"short"), "has 5 bytes, and a key has 32"),
        ("127.0.0.1:1", lambda path: path.chmod(0o604), "can be read or written by every user; run: chmod o-rw"),
        ("127.0.0.1:1", lambda path: (path.unlink(), path.mkdir()), "(Is a directory): check its permissions"),
        (["no-such-host.invalid:1"], lambda path: None, "can't resolve host 'no-such-host.invalid'"),
        (["127.0.0.1"], lambda path: None, "'127.0.0.1' is not host:port, such as 127.0.0.1:7000"),
        (["h:0"], lambda path: None, "'h:0' is not host:port"),
        ([], lambda path: None, "give host:port of at least one"),
        (" ", lambda path: None, "give host:port of at least one"),
    ],
)
def test_what_can_not_be_reached_is_one_error_before_anything_is_sent(key, nodes, spoil, says):
    spoil(key)

    async def awaited():
        async with connect(nodes, key_file=key):
            pass

    for connecting in (lambda: run(awaited), lambda: connect_blocking(nodes, key_file=key)):
        with pytest.raises(StoreError) as refusal:
            connecting()
        assert (refusal.value.code, refusal.value.definite) == ("cannot_connect", True)
        assert says in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_host_is_given_by_name_or_number():
    assert address("[::1]:7000") == ("::1", 7000)
    assert address("localhost:7000") in {("127.0.0.1", 7000), ("::1", 7000)}


def test_a_node_that_does_not_answer_is_a_timeout_and_leaves_nothing_open(key, silent):
    async def scenario():
        before = open_files()
        with pytest.raises(StoreError, match=r"no answer within 0.2 s; check that the node runs") as failure:
            await connect(silent, key_file=key, timeout_s=0.2)
        assert (failure.value.code, failure.value.definite) == ("timeout", False)
        assert open_files() == before

    run(scenario)


def test_another_cluster_s_key_and_another_cluster_are_named(node, tmp_path):
    where, key = node
    other = tmp_path / "other"
    other.write_bytes(b"x" * 32)
    other.chmod(0o600)
    for options, says in (
        ({"key_file": other}, f"{where} says: it has another cluster key: use the key file"),
        ({"key_file": key, "cluster": "elsewhere"}, f"{where} says: it is of another cluster"),
    ):
        with pytest.raises(StoreError) as failure:
            connect_blocking(where, timeout_s=1, **options)
        assert failure.value.code == "timeout"
        assert says in str(failure.value)


# Time


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
def test_a_timeout_that_is_no_time_is_refused(key, silent, timeout_s):
    with pytest.raises(StoreError, match=r"give a number of seconds above 0") as refusal:
        connect_blocking(silent, key_file=key, timeout_s=timeout_s)
    assert refusal.value.code == "bad_request"


def ends(box, timeout_s):
    """After how many seconds a get of a client of n1 ends that is given that time, and how."""
    client, replies, began = box.client("n1"), [], box.now
    box.send_all(client.address, client.core.request(Get(K), box.instant(), replies.append, timeout_s))
    box.run_until(lambda: replies, PATIENCE_S * 2)
    return box.now - began, replies[0]


def test_a_request_ends_in_the_time_that_it_was_given_whether_nodes_are_silent_or_busy():
    dead = Box(1, config=ALONE)
    dead.crash("n1")
    assert ends(dead, 0.5) == (pytest.approx(0.5), None)
    busy = Box(1, config=ALONE)
    BusyNode(busy, "n1", 10_000)
    took_s, reply = ends(busy, 2.0)
    assert isinstance(reply, Failed)
    assert reply.code == "busy"
    assert took_s <= 2.0


# Updates


def test_without_a_resolver_an_update_gets_all_siblings_and_makes_one_of_them_or_none(node):
    where, key = node
    with connect_blocking(where, key_file=key) as client:
        client.put(b"plain", b"b")
        client.put(b"plain", b"a")
        assert client.update(b"plain", b"+".join).value == b"a+b"
        assert client.get(b"plain").values == (b"a+b",)
        with pytest.raises(TypeError, match="made a int: return bytes, None to delete, or give a resolver"):
            client.update(b"plain", len)
        client.update(b"plain", lambda values: None)
        assert client.get(b"plain").values == ()
        asked = client.ask(lambda it: it.update(b"plain", lambda values: b"again"))
        assert asked.value == b"again"
        assert client.get(b"plain").values == (b"again",)


def test_text_in_the_place_of_bytes_is_refused(node):
    where, key = node
    with connect_blocking(where, key_file=key) as client:
        with pytest.raises(StoreError, match=r"the key 'cart' is no bytes") as refusal:
            client.get("cart")
        assert refusal.value.code == "bad_key"
        with pytest.raises(StoreError, match=r"the value 'milk' is no bytes"):
            client.put(b"cart", "milk")


# Blocking


def test_several_threads_use_one_client_at_once_and_none_loses_an_addition(node):
    where, key = node
    cart = store.crdt(store.GrowSet)
    with connect_blocking(where, key_file=key) as client:
        start = threading.Barrier(4)

        def add(thread):
            start.wait()
            for number in range(10):
                client.update(b"threads", lambda seen: seen.add(b"%d/%d" % (thread, number)), cart)

        threads = [threading.Thread(target=add, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert client.read(b"threads", cart).value.elements == {b"%d/%d" % (t, n) for t in range(4) for n in range(10)}


def test_what_an_update_calls_runs_on_the_caller_s_thread_and_may_use_the_client(node):
    where, key = node
    with connect_blocking(where, key_file=key) as client:
        client.put(b"other", b"there")
        threads = []

        def change(values):
            threads.append(threading.current_thread())
            return client.get(b"other").values[0]

        assert client.update(b"nested", change).value == b"there"
        assert threads == [threading.current_thread()]
        with pytest.raises(RuntimeError, match="a question would wait for itself here"):
            client.ask(lambda it: client.get(K))


def test_a_close_ends_what_others_wait_for_and_twice_does_no_harm(tmp_path):
    with processes(tmp_path) as started:
        process = started.start(1, *started.members(1), *ALONE_WORDS)
        client = connect_blocking(started.address(1), key_file=started.key)
        process.send_signal(signal.SIGSTOP)
        ended, under_way = [], threading.Event()

        async def waiting(it):
            under_way.set()
            return await it.get(K)

        def get():
            try:
                client.ask(waiting)
            except StoreError as problem:
                ended.append(problem.code)

        thread = threading.Thread(target=get)
        thread.start()
        assert under_way.wait(10)
        client.close()
        client.close()
        thread.join(10)
        assert ended == ["timeout"]
        with pytest.raises(RuntimeError, match="the client is closed: connect again"):
            client.get(K)
        assert not any(each.name == "splitbrain store client" for each in threading.enumerate())


SCRIPT = """
import asyncio, sys, threading
from splitbrain import store

abandoned = threading.Event()

async def stuck(client):
    print("waiting", flush=True)
    try:
        await asyncio.sleep(3600)
    finally:
        abandoned.set()

client = store.connect_blocking(sys.argv[1], key_file=sys.argv[2])
if sys.argv[3] == "interrupted":
    try:
        client.ask(stuck)
    except KeyboardInterrupt:
        print("interrupted, abandoned:", abandoned.wait(30))
    client.put(b"script", b"v")
    print(client.get(b"script").values)
    client.close()
"""


def script(node, word):
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", SCRIPT, node[0], str(node[1]), word],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_abandons_the_call_and_leaves_the_client_usable(node):
    with script(node, "interrupted") as running:
        assert running.stdout.readline() == "waiting\n"
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=60)
    assert (output, errors, running.returncode) == ("interrupted, abandoned: True\n(b'v',)\n", "", 0)


def test_ctrl_c_while_connecting_ends_the_script_at_once(key):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(60)
        with script((f"127.0.0.1:{silent.getsockname()[1]}", key), "connecting") as running:
            silent.recv(2000)  # It is asked for the ring.
            running.send_signal(signal.SIGINT)
            output, errors = running.communicate(timeout=60)
    assert (output, running.returncode) == ("", -signal.SIGINT)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1
    assert "Warning" not in errors


def test_a_script_that_forgets_to_close_ends_all_the_same(node):
    with script(node, "forgetful") as running:
        output, errors = running.communicate(timeout=60)
    assert (output, running.returncode) == ("", 0)
    assert "Traceback" not in errors


def test_without_file_descriptors_it_says_so(key, monkeypatch):
    def refuse(number):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("splitbrain.store.blocking.require", refuse)
    with pytest.raises(StoreError, match="this process may open no more files") as refusal:
        connect_blocking(f"127.0.0.1:{free_ports(1)[0]}", key_file=key)
    assert refusal.value.code == "cannot_connect"


def test_the_face_of_the_store_is_these_names():
    # fmt: off
    assert store.__all__ == [
        "BlockingClient", "Client", "ClientCore", "Config", "ConfigError", "GetResult", "GrowSet", "Member", "Node",
        "ORSet", "PNCounter", "Resolved", "Resolver", "Sibling", "StoreError", "connect", "connect_blocking", "crdt",
        "lww", "merge", "siblings",
    ]
    # fmt: on
    assert all(hasattr(store, name) for name in store.__all__)


def test_a_connection_that_is_cancelled_leaves_nothing_open(key, silent):
    async def scenario():
        await asyncio.to_thread(int)  # Its thread is there from now on.
        before = open_files()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await connect(silent, key_file=key)
        assert open_files() == before

    run(scenario)
