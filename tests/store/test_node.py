"""A node: every kind of request is answered, nothing is left over, and one seed makes one run."""

from __future__ import annotations

import random

import msgspec
import pytest

from splitbrain.store.client_core import ClientCore
from splitbrain.store.wire.client_messages import Held, Local, Members, Report, Status, View
from splitbrain.store.wire.peer_messages import Ping, Pong, Read, State, Write, Written
from tests.store.box import CLUSTER, SECRET, Box


def test_every_kind_of_request_is_answered_in_kind():
    box = Box(3)
    client = box.client("n1")
    client.put(b"k", b"v")
    box.run_for(0.5)
    state = box.state("n1", b"k")
    assert client.ask(Ping()).reply == Pong()
    slot = box.ring.primaries(b"k").index("n1")
    assert client.ask(Read(b"k")).reply == State(state, slot)
    assert client.ask(Write(b"k", state)).reply == Written(slot)
    assert client.ask(Local(b"k")).reply == Held(True, state, [])
    assert isinstance(client.ask(Members()).reply, View)
    report = client.ask(Status()).reply
    assert isinstance(report, Report)
    status = msgspec.json.decode(report.json)
    assert {"name", "boot", "config", "ring", "peers", "hints", "queues", "counters", "latency_ms"} <= set(status)


def test_an_idle_nodes_timers_and_tables_do_not_grow():
    box = Box(3)
    box.run_for(30.0)
    before = [len(host.node.inspect().core.timers._heap) for host in box.hosts.values()]
    box.run_for(300.0)
    after = [len(host.node.inspect().core.timers._heap) for host in box.hosts.values()]
    assert max(after) <= max(before) + 5


def test_after_traffic_nothing_is_left_over():
    box = Box(5, loss=0.1, seed=5)
    client = box.client("n1", "n2")
    for i in range(100):
        client.put(b"k%d" % (i % 7), b"%d" % i)
        client.get(b"k%d" % (i % 7))
    box.loss = 0.0
    box.run_for(30.0)
    client.get(b"k0")
    box.run_for(3.0)
    for host in box.hosts.values():
        queues = host.node.status()["queues"]
        assert queues["requests"] == queues["waiting"] == queues["unsynced"] == 0
        assert queues["asked"] <= 1
        assert queues["answers_kept"] <= 5
        assert not host.node.inspect().reception._putting
        assert len(host.node.inspect().core.timers._heap) < 40
    assert not box.hints()


def test_the_same_seed_makes_the_same_run():
    def run():
        box, trace = Box(4, seed=8, loss=0.1, duplicate=0.1, settled=False), []
        box.wiretap = lambda source, target, datagram: trace.append((box.now, source, target, datagram)) or True
        client = box.client()
        for i in range(10):
            client.put(b"k", b"%d" % i)
        return trace

    assert run() == run()


def test_a_client_core_needs_a_node():
    with pytest.raises(ValueError, match="at least one node"):
        ClientCore([], secret=SECRET, cluster=CLUSTER, bits=random.Random(1).getrandbits)
