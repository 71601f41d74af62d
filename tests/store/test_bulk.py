"""Bulk load: many large puts at once all succeed, small requests are served meanwhile, and nothing is left behind."""

from __future__ import annotations

import asyncio
import random
import secrets

import pytest

from splitbrain.store.client import Client
from splitbrain.store.client_core import PATIENCE_S, ClientCore
from splitbrain.store.server import present
from splitbrain.store.wire.client_messages import Failed, Get, Put, Status
from splitbrain.store.wire.udp import UdpSocket
from tests.store.box import Box
from tests.store.loopback import SECRET
from tests.store.processes import processes

KIB, MIB = 1 << 10, 1 << 20
STATUS_S = 0.1


def value(number, size):
    return random.Random(number).randbytes(size)


def burst(box, count, size, *via):
    """So many puts at once, spread over the nodes of `via`, or all. Asks for the status of each node meanwhile."""
    callers = [box.client(name) for name in via or box.names]
    watcher = [box.client(name) for name in box.names]
    for caller in (*callers, *watcher):
        caller.get(b"warm")
    calls = [callers[i % len(callers)].begin(Put(b"bulk%d" % i, value(i, size), None)) for i in range(count)]
    slowest = 0.0
    while not all(call.done for call in calls):
        began = box.now
        for each in watcher:
            assert each.ask(Status()).reply is not None
            slowest = max(slowest, box.now - began)
        box.run_for(0.02)
    assert [call.error for call in calls if not call.ok] == []
    for i in range(count):
        assert callers[0].get(b"bulk%d" % i).values == [value(i, size)]
    return slowest


@pytest.mark.parametrize(("nodes", "count", "size"), [(3, 16, MIB), (3, 256, 16 * KIB), (5, 64, 128 * KIB)])
def test_many_large_puts_at_once_all_succeed_and_a_status_is_answered_at_once(nodes, count, size):
    box = Box(nodes, seed=count)
    assert burst(box, count, size) < STATUS_S
    box.run_for(15.0)
    for name in box.names:
        queues = box.hosts[name].node.status()["queues"]
        left = {key: queues[key] for key in ("requests", "put_bytes", "asked", "sending", "partial_messages")}
        assert set(left.values()) == {0}, left


def test_many_large_puts_through_one_node_are_told_to_come_back_and_all_succeed():
    box = Box(3, seed=32)
    assert burst(box, 24, MIB, "n1") < STATUS_S
    assert box.counter("n1", "busy") > 0


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
def test_large_puts_succeed_on_a_network_that_loses_and_repeats(loss):
    box = Box(3, seed=5, loss=loss, duplicate=loss)
    client = box.client()
    for i in range(4):
        assert client.put(b"large%d" % i, value(i, MIB)).ok
        assert client.get(b"large%d" % i).values == [value(i, MIB)]


def test_one_large_put_on_a_network_that_loses_a_twentieth_is_sent_little_more_than_once():
    box = Box(3, seed=6, loss=0.05)
    client = box.client("n1")
    client.get(b"warm")
    sent = []
    box.wiretap = lambda source, to, datagram: sent.append(len(datagram)) or True
    assert client.put(b"large", value(1, MIB)).ok
    assert sum(sent) < 1.35 * 3 * MIB


class BusyNode:
    """In the place of a node: it is busy for a while, and then does what it is asked."""

    next_wake = None

    def __init__(self, box, name, refusals):
        self.box, self.node, self.refusals = box, box.hosts[name].node, refusals
        self.ids = []
        rpc = self.node.inspect().core.rpc
        self.taken = rpc.on_request
        rpc.on_request = self.take

    def take(self, incoming):
        if isinstance(incoming.request, Get | Put):
            self.ids.append(incoming.request_id)
            if len(self.ids) <= self.refusals:
                self.node.inspect().core.rpc.answer(incoming, Failed("busy", "later", 300))
                return
        self.taken(incoming)


def test_a_client_comes_back_to_a_busy_node_when_it_was_told_and_under_a_new_id():
    """Under the old id a late copy of what was refused could still be done, after the client was told that it was not."""
    box = Box(3, seed=7)
    node = BusyNode(box, "n1", 3)
    client = box.client("n1")
    began = box.now
    assert client.put(b"k", b"v").ok
    assert 0.9 <= box.now - began < 1.5
    assert len(set(node.ids)) == len(node.ids) == 4
    assert client.get(b"k").values == [b"v"]


def test_a_node_that_stays_busy_is_given_up_on_with_an_error_that_says_that_nothing_was_done():
    box = Box(3, seed=8)
    BusyNode(box, "n1", 10_000)
    client = box.client("n1")
    began = box.now
    call = client.begin(Put(b"k", b"v", None))
    box.run_until(lambda: call.done, 2 * PATIENCE_S)
    assert call.error == "busy"
    assert PATIENCE_S - 1 <= box.now - began <= PATIENCE_S
    box.run_for(5.0)
    assert box.client("n2").get(b"k").values == []


def test_puts_of_real_processes_at_once_all_succeed_and_none_is_lost(tmp_path):
    """No timing: a machine may be slow. That of 256 puts of 16 KiB most failed, and of 16 of 1 MiB all."""

    async def scenario(addresses):
        core = ClientCore(addresses, secret=SECRET, cluster="splitbrain", bits=secrets.randbits)
        client = Client(core, present)
        endpoint = UdpSocket(("127.0.0.1", 0), client.received)
        client.attach(endpoint, endpoint.buffer_datagrams)
        await client.direct()
        for count, size in ((64, 16 * KIB), (6, MIB)):
            values = {b"%d/%d" % (size, i): value(i, size) for i in range(count)}
            await asyncio.gather(*(client.put(key, each) for key, each in values.items()))
            for key, each in values.items():
                assert (await client.get(key)).values == (each,)
        client.close()

    with processes(tmp_path) as cluster:
        for number in (1, 2, 3):
            cluster.start(number, *cluster.members(1, 2, 3))
        asyncio.run(scenario([("127.0.0.1", port) for port in cluster.ports[:3]]))
        for number in (1, 2, 3):
            assert cluster.told("status", node=number)["kernel_drops"] == 0
