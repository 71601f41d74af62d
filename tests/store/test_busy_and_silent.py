"""Whom a client asks next: after a node that is busy, after one that is silent, and while one takes in a large value."""

from __future__ import annotations

import random

import pytest

from splitbrain.store.client_core import PATIENCE_S, TIMEOUT_S
from splitbrain.store.wire.client_messages import Failed, Get, Members, Put, Status, View
from splitbrain.store.wire.outgoing import FIRST
from splitbrain.store.wire.peer_messages import Forward
from tests.store.box import Box

MIB = 1 << 20
VALUE = random.Random(1).randbytes(MIB)


class BusyNode:
    """Refuses so many requests of those kinds, and then does what it is asked. took: what came, refused or not."""

    def __init__(self, box, name, refusals, after_ms=300, kinds=Get | Put):
        self.rpc = box.parts(name).core.rpc
        self.refusals, self.after_ms, self.kinds, self.took = refusals, after_ms, kinds, []
        self.done = self.rpc.on_request
        self.rpc.on_request = self.take

    def take(self, incoming):
        if isinstance(incoming.request, self.kinds):
            self.took.append(incoming)
            if len(self.took) <= self.refusals:
                self.rpc.answer(incoming, Failed("busy", "later", self.after_ms))
                return
        self.done(incoming)


def asked_by(box, client):
    """The targets of what a client sends from now on."""
    targets = []
    box.wiretap = lambda source, target, datagram: bool(source != client or targets.append(target) or True)
    return targets


def direct(box):
    client = box.client()
    client.core.learn(client.ask(Members()).reply)
    return client


def test_after_a_busy_node_the_next_is_asked_at_once():
    box = Box(3, seed=1)
    node = BusyNode(box, "n1", 10_000)
    began = box.now
    assert box.client("n1", "n2").put(b"k", b"v").ok
    assert box.now - began < 0.1
    assert len(node.took) == 1


def test_where_all_homes_are_busy_nobody_else_is_asked_and_each_is_come_back_to_at_its_time():
    """Others would only hand the put to those that are busy. It stays one write, whoever does it in the end."""
    box = Box(5, seed=2)
    client = direct(box)
    key = box.key()
    homes = {name: BusyNode(box, name, 2, 200) for name in box.ring.primaries(key)}
    targets = asked_by(box, "client")
    began = box.now
    assert client.put(key, b"v").ok
    assert 0.4 <= box.now - began < 1.0
    assert set(targets) <= set(homes)
    took = [incoming for node in homes.values() for incoming in node.took]
    assert len({incoming.request.identity for incoming in took}) == 1
    for node in homes.values():
        ids = [incoming.request_id for incoming in node.took]
        assert len(set(ids)) == len(ids)
    box.run_until(lambda: box.agree(key), 6.0)
    assert all(box.values(name, key) == [b"v"] for name in homes)


def test_a_busy_node_is_come_back_to_while_another_is_silent():
    """The dead node would be waited for until the request's time is up."""
    box = Box(3, seed=3)
    for name in ("n2", "n3"):
        BusyNode(box, name, 1, 200)
    box.crash("n1")
    began = box.now
    assert box.client().put(b"k", b"v").ok
    assert box.now - began < 1.0


def test_a_put_that_a_silent_node_did_is_not_called_refused_because_the_others_were_busy():
    box = Box(3, seed=4)
    client = box.client()
    assert client.get(b"k").ok
    box.cut("n1", "client", both=False)
    for name in ("n2", "n3"):
        BusyNode(box, name, 10_000)
    call = client.begin(Put(b"k", b"v", None))
    box.run_until(lambda: call.done, 2 * PATIENCE_S)
    assert call.error == "timeout"
    assert "busy" in call.reply.message
    assert box.values("n1", b"k") == [b"v"]


def test_a_refusal_for_another_reason_ends_it_though_a_node_was_busy():
    box = Box(3, seed=5)
    BusyNode(box, "n1", 10_000)
    call = box.client("n1", "n2").put(b"k", b"v", b"forged")
    assert call.error == "bad_context"


def test_what_is_about_one_node_is_asked_of_that_node_again():
    box = Box(3, seed=6)
    node = BusyNode(box, "n1", 1, 100, Status)
    client = box.client("n1", "n2")
    targets = asked_by(box, "client")
    assert b'"name":"n1"' in client.ask(Status()).reply.json.replace(b" ", b"")
    assert len(node.took) == 2
    assert set(targets) == {"n1"}


def test_what_any_node_knows_is_asked_of_the_next():
    box = Box(3, seed=6)
    BusyNode(box, "n1", 10_000, 100, Members)
    client = box.client("n1", "n2")
    targets = asked_by(box, "client")
    assert isinstance(client.ask(Members()).reply, View)
    assert set(targets) == {"n1", "n2"}


@pytest.mark.parametrize("seed", range(4))
def test_a_node_that_takes_in_a_large_value_is_not_silent(seed):
    """It was sent to five nodes, one every 250 ms."""
    box = Box(5, seed=seed, loss=0.05)
    client = direct(box)
    key = box.key()
    client.get(key)
    targets = asked_by(box, "client")
    assert client.put(key, VALUE).ok
    large = {name for name in targets if targets.count(name) > 2 * FIRST}
    assert len(large) == 1, {name: targets.count(name) for name in targets}


def test_a_dead_node_costs_a_large_value_its_first_fragments_and_as_long_as_a_small_one():
    box = Box(5, seed=7)
    client = box.client()
    assert client.get(b"k").ok
    box.crash("n1")
    targets = asked_by(box, "client")
    call = client.begin(Put(b"k", VALUE, None))
    box.run_until(lambda: "n2" in targets)
    began = box.now
    assert targets.count("n1") <= FIRST + 4
    box.run_until(lambda: call.done)
    assert call.ok
    assert box.now - began < TIMEOUT_S
    assert set(targets) == {"n1", "n2"}


@pytest.mark.parametrize("seed", range(3))
def test_a_large_value_is_handed_to_one_home(seed):
    box = Box(5, seed=seed, loss=0.05)
    key = box.key()
    (stranger, *_) = (name for name in box.names if name not in box.ring.primaries(key))
    forwards = []
    for name in box.ring.primaries(key):
        rpc = box.parts(name).core.rpc
        taken = rpc.on_request
        rpc.on_request = lambda incoming, name=name, taken=taken: (
            isinstance(incoming.request, Forward) and forwards.append(name),
            taken(incoming),
        )
    assert box.client(stranger).put(key, VALUE).ok
    assert len(forwards) == 1


def test_a_large_answer_that_is_arriving_is_not_asked_of_another_node():
    box = Box(5, seed=8, loss=0.05)
    client = direct(box)
    key = box.key()
    assert client.put(key, VALUE).ok
    box.run_until(lambda: box.agree(key), 10.0)
    targets = asked_by(box, "client")
    assert client.get(key).values == [VALUE]
    assert len({name for name in targets if targets.count(name) > FIRST}) == 1
