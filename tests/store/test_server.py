"""The server over real UDP on loopback, with sqlite, and with processes that are killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import pytest

from splitbrain.store.client import Client
from splitbrain.store.client_core import ClientCore
from splitbrain.store.config import Config, Member
from splitbrain.store.errors import StoreError
from splitbrain.store.server import Server, present
from splitbrain.store.storage.engine import DamagedRecord, EngineError, MemoryEngine, SqliteEngine
from splitbrain.store.wire.udp import UdpSocket

SECRET = bytes(range(32))
ALONE = Config(n=1, r=1, w=1)


def free_ports(number):
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def make_client(*ports, secret=SECRET):
    core = ClientCore([("127.0.0.1", p) for p in ports], secret=secret, cluster="test", bits=secrets.randbits)
    client = Client(core, present)
    client.attach(UdpSocket(("127.0.0.1", 0), client.received))
    return client


@asynccontextmanager
async def cluster(number, config=None, engines=None):
    """Servers in this process, and a client of all."""
    ports = free_ports(number)
    members = [Member(f"n{i}", ("127.0.0.1", port)) for i, port in enumerate(ports)]
    tasks = []
    for i, member in enumerate(members):
        server = Server(
            member.name,
            members,
            config or Config(),
            secret=SECRET,
            cluster="test",
            engine=engines[i] if engines else MemoryEngine(),
            listen=member.address,
            note=print,
        )
        started = asyncio.Event()
        tasks.append(asyncio.create_task(server.serve(started)))
        await asyncio.wait_for(started.wait(), 10)
    client = make_client(*ports)
    try:
        yield client, tasks, ports
    finally:
        client.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_cluster_on_loopback_serves_puts_gets_and_deletes():
    async def scenario():
        async with cluster(3) as (client, _, _):
            context = await client.put(b"k", b"v")
            assert (await client.get(b"k")).values == (b"v",)
            await client.put(b"k", b"w")
            found = await client.get(b"k")
            assert set(found.values) == {b"v", b"w"}
            await client.delete(b"k", found.context)
            assert (await client.get(b"k")).values == ()
            with pytest.raises(StoreError):
                await client.put(b"other", b"v", context)

    run(scenario)


def test_a_value_of_a_mebibyte_goes_through_real_sockets():
    async def scenario():
        value = random.Random(1).randbytes(1 << 20)
        async with cluster(3) as (client, _, _):
            await client.put(b"k", value)
            assert (await client.get(b"k")).values == (value,)

    run(scenario)


def test_many_requests_at_once_are_all_done():
    async def scenario():
        async with cluster(3) as (client, _, _):
            await asyncio.gather(*(client.put(b"k%d" % i, b"%d" % i) for i in range(200)))
            found = await asyncio.gather(*(client.get(b"k%d" % i) for i in range(200)))
            assert [each.values for each in found] == [(b"%d" % i,) for i in range(200)]

    run(scenario)


def test_the_status_says_what_the_kernel_dropped():
    async def scenario():
        async with cluster(1, ALONE) as (client, _, _):
            status = await client.status()
            assert status["kernel_drops"] == 0

    run(scenario)


def test_a_server_on_sqlite_keeps_its_data_over_a_restart(tmp_path):
    async def once(step):
        engine = SqliteEngine(tmp_path)
        async with cluster(1, ALONE, [engine]) as (client, _, _):
            result = await step(client)
        engine.close()
        return result

    run(lambda: once(lambda client: client.put(b"k", b"v")))
    assert run(lambda: once(lambda client: client.get(b"k"))).values == (b"v",)


def test_a_port_that_is_taken_is_an_error_and_not_a_silent_node():
    async def scenario():
        async with cluster(1, ALONE) as (_, _, (port,)):
            members = [Member("n0", ("127.0.0.1", port))]
            second = Server(
                "n0",
                members,
                ALONE,
                secret=SECRET,
                cluster="test",
                engine=MemoryEngine(),
                listen=("127.0.0.1", port),
                note=print,
            )
            with pytest.raises(OSError, match="in use"):
                await second.serve()

    run(scenario)


class Failing(MemoryEngine):
    def __init__(self, problem):
        super().__init__()
        self.problem = problem

    def commit(self, records):
        raise self.problem


@pytest.mark.parametrize("problem", [EngineError("the disk is full"), RuntimeError("a bug")])
def test_a_server_that_cannot_store_stops_and_acknowledges_nothing(problem):
    async def scenario():
        async with cluster(1, ALONE, [Failing(problem)]) as (client, (task,), _):
            put = asyncio.ensure_future(client.put(b"k", b"v"))
            with pytest.raises(type(problem)):
                await asyncio.wait_for(asyncio.shield(task), 10)
            put.cancel()

    run(scenario)


class Unreadable(MemoryEngine):
    """Fails to read once it has stored something."""

    def get(self, space, key):
        if space == "data" and super().get(space, key) is not None:
            raise EngineError("the disk is broken")
        return super().get(space, key)


def test_a_server_that_cannot_read_stops_like_one_that_cannot_write():
    async def scenario():
        async with cluster(1, ALONE, [Unreadable()]) as (client, (task,), _):
            await client.put(b"k", b"v")
            get = asyncio.ensure_future(client.get(b"k"))
            with pytest.raises(EngineError, match="the disk is broken"):
                await asyncio.wait_for(asyncio.shield(task), 10)
            get.cancel()

    run(scenario)


def test_a_damaged_record_of_the_nodes_own_is_not_said_to_be_brought_back_by_replicas():
    engine, lines = MemoryEngine(), []
    members = [Member("n0", ("127.0.0.1", free_ports(1)[0]))]
    address = members[0].address
    Server("n0", members, ALONE, secret=SECRET, cluster="test", engine=engine, listen=address, note=lines.append)
    for space, key in (("data", bytes(16) + b"k"), ("meta", b"identity")):
        engine.on_damage(DamagedRecord(space, key))
    of_data, own = lines[-2:]
    assert "record of b'k' in 'data'" in of_data and "its replicas bring it back" in of_data
    assert "record of b'identity' in 'meta'" in own and "the node makes it anew" in own


def test_a_stopped_server_leaves_no_timer_and_no_port_behind():
    async def scenario():
        async with cluster(1, ALONE) as (_, (task,), (port,)):
            task.cancel()
            await asyncio.wait([task])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
                again.bind(("127.0.0.1", port))
            loop = asyncio.get_running_loop()
            due = [handle for handle in loop._scheduled if not handle.cancelled() and "Server" in repr(handle)]
            assert due == []

    run(scenario)


def test_noise_from_the_network_is_counted_and_gets_no_answer():
    async def scenario():
        async with cluster(1, ALONE) as (client, _, (port,)):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.0.0.1", 0))
                stranger.setblocking(False)
                for size in (0, 1, 22, 100, 1200, 1201, 9000):
                    stranger.sendto(os.urandom(size), ("127.0.0.1", port))
                counters = {}
                deadline = time.monotonic() + 10
                while counters.get("malformed", 0) < 7 and time.monotonic() < deadline:
                    counters = (await client.status())["counters"]
                assert counters["malformed"] == 7
                with pytest.raises(BlockingIOError):
                    stranger.recv(2000)

    run(scenario)


def test_a_client_with_another_key_times_out_and_is_told_why(monkeypatch):
    monkeypatch.setattr("splitbrain.store.client_core.TIMEOUT_S", 0.3)

    async def scenario():
        async with cluster(1, ALONE) as (_, _, (port,)):
            stranger = make_client(port, secret=b"x" * 32)
            with pytest.raises(StoreError, match="another cluster key"):
                await stranger.get(b"k")
            stranger.close()

    run(scenario)


def test_the_socket_queues_what_the_kernel_has_no_room_for_and_sends_it_later():
    async def scenario():
        received = []
        sink = UdpSocket(("127.0.0.1", 0), lambda datagram, source: received.append(datagram))
        source = UdpSocket(("127.0.0.1", 0), lambda datagram, source: None)
        real, full = source._socket, [True, True]

        class Full:
            def sendto(self, *arguments):
                if full:
                    full.pop()
                    raise BlockingIOError
                return real.sendto(*arguments)

            def __getattr__(self, name):
                return getattr(real, name)

        source._socket = Full()
        for i in range(5):
            source.send(b"%d" % i, sink.address)
        deadline = time.monotonic() + 10
        while len(received) < 5 and time.monotonic() < deadline:
            await asyncio.sleep(0)
        assert received == [b"0", b"1", b"2", b"3", b"4"]
        sink.close()
        source.close()
        source.close()

    run(scenario)


# Processes


@pytest.fixture
def processes(tmp_path):
    """Three nodes as processes: (start, stop everything at the end, ports)."""
    ports = free_ports(3)
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    running = {}

    def start(number):
        command = [sys.executable, "-m", "splitbrain.store.cli.main", "serve", "--key-file", str(key), "--cluster", "test"]
        command += ["--name", f"n{number}", "--data", str(tmp_path / f"data{number}")]
        for i, port in enumerate(ports):
            command += ["--member", f"n{i}=127.0.0.1:{port}"]
        running[number] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert "serving" in running[number].stdout.readline()
        return running[number]

    yield start, running, ports
    for process in running.values():
        process.kill()
        process.wait()
        process.stdout.close()


async def eventually(check, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if await check():
                return
        except StoreError:
            pass
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.05)


def test_acknowledged_writes_survive_kill_9_of_every_node(processes):
    start, running, ports = processes
    for number in range(3):
        start(number)

    async def write():
        client = make_client(*ports)
        await eventually(lambda: acknowledged(client, b"first"))
        for i in range(20):
            await client.put(b"k%d" % i, b"%d" % i)
        client.close()

    async def acknowledged(client, key):
        await client.put(key, b"v")
        return True

    async def read():
        client = make_client(*ports)

        async def all_there():
            return [(await client.get(b"k%d" % i)).values for i in range(20)] == [(b"%d" % i,) for i in range(20)]

        await eventually(all_there)
        client.close()

    asyncio.run(asyncio.wait_for(write(), 60))
    for process in running.values():
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    for number in range(3):
        start(number)
    asyncio.run(asyncio.wait_for(read(), 60))


def test_a_node_that_was_killed_gets_what_it_missed_when_it_is_back(processes):
    start, running, ports = processes
    for number in range(3):
        start(number)

    async def scenario():
        client = make_client(*ports[:2])
        running[2].send_signal(signal.SIGKILL)
        running[2].wait()

        async def put():
            await client.put(b"k", b"v", w=2)
            return True

        await eventually(put)
        running[2].stdout.close()
        start(2)
        late = make_client(ports[2])

        async def has_it():
            held = await late.local(b"k")
            return b"v" in [version.value for version in held.state.versions]

        await eventually(has_it)
        client.close()
        late.close()

    asyncio.run(asyncio.wait_for(scenario(), 90))


def test_sigterm_ends_a_node_with_exit_code_0(processes):
    start, _, ports = processes
    process = start(0)
    process.terminate()
    assert process.wait(timeout=20) == 0


def test_a_taken_port_ends_a_process_with_cause_and_remedy(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        member = f"n0=127.0.0.1:{taken.getsockname()[1]}"
        command = [
            sys.executable,
            "-m",
            "splitbrain.store.cli.main",
            "serve",
            "--key-file",
            str(key),
            "--name",
            "n0",
            "--engine",
            "memory",
        ]
        command += ["--member", member, "--config", "n=1", "--config", "r=1", "--config", "w=1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "can't listen on" in done.stderr
    assert "free the port" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_line_puts_and_gets(processes, tmp_path):
    start, _, ports = processes
    for number in range(3):
        start(number)

    def command(*words, **options):
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "splitbrain.store.cli.main",
                *words[:1],
                "--key-file",
                str(tmp_path / "key"),
                "--cluster",
                "test",
                "--node",
                f"127.0.0.1:{ports[0]}",
                "--json",
                *words[1:],
            ],
            capture_output=True,
            timeout=60,
            **options,
        )

    deadline = time.monotonic() + 30
    while (done := command("put", "k", "v")).returncode and time.monotonic() < deadline:
        pass
    assert done.returncode == 0, done.stderr
    context = json.loads(done.stdout)["context"]
    assert command("put", "k", "--context", context, input=b"\xff raw").returncode == 0
    found = json.loads(command("get", "k").stdout)
    assert found["values"] == ["\\xff raw"]
    raw_key = command("put", b"\xff\xfe", b"\xfd")
    assert raw_key.returncode == 0, raw_key.stderr
    assert json.loads(command("get", b"\xff\xfe").stdout)["base64"] == ["/Q=="]
    local = json.loads(command("get", "k", "--local").stdout)
    assert local["home"]
    deleted = command("delete", "k", "--context", found["context"])
    assert deleted.returncode == 0
    assert json.loads(command("get", "k").stdout)["values"] == []
    assert json.loads(command("status").stdout)["name"] == "n0"
    refused = command("put", "k", "v", "--context", "Zm9yZ2Vk")
    assert refused.returncode == 1
    assert b"bad_context" in refused.stderr
    assert b"certainly did not happen" in refused.stderr
