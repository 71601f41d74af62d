"""The server over real UDP on loopback, with sqlite, in this process."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time

import pytest

from splitbrain.store.config import Member
from splitbrain.store.errors import StoreError
from splitbrain.store.server import Server
from splitbrain.store.storage.engine import DamagedRecord, EngineError, MemoryEngine, NoRoom, SqliteEngine
from splitbrain.store.wire.udp import UdpSocket
from tests.store.loopback import ALONE, SECRET, cluster, free_ports, make_client, run


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


class Cramped(MemoryEngine):
    """Has no room for every third commit: group commits come before and after those that are refused."""

    waits = True

    def __init__(self):
        super().__init__()
        self.commits = self.refused = 0

    def commit(self, records):
        self.commits += 1
        if self.commits % 3 == 0:
            self.refused += 1
            raise NoRoom("the disk is full")
        super().commit(records)


def test_a_server_whose_disk_is_full_now_and_then_goes_on_and_keeps_the_order_of_changes():
    async def scenario():
        engine = Cramped()
        async with cluster(1, ALONE, [engine]) as (client, (task,), _):
            acknowledged, refused = {}, 0
            for round_ in range(6):
                puts = [(b"k%d" % (i % 7), b"%d in %d" % (i, round_)) for i in range(40)]
                results = await asyncio.gather(*(client.put(*put) for put in puts), return_exceptions=True)
                for (key, value), result in zip(puts, results, strict=True):
                    if isinstance(result, StoreError):
                        assert result.code in ("disk_full", "quorum_failed")
                        refused += 1
                    else:
                        acknowledged.setdefault(key, set()).add(value)
            assert engine.refused and refused and not task.done()
            while (await client.status())["queues"]["unsynced"]:
                await asyncio.sleep(0.05)
            for key, values in acknowledged.items():
                # Blind writes stay beside each other: a change that overtook a later one would have taken it away.
                assert values <= set((await client.get(key)).values)

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
