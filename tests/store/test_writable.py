"""Always writable (2.2): what a client meets while nodes are dead, in virtual time."""

from __future__ import annotations

import pytest

from splitbrain.store.client_core import TIMEOUT_S
from splitbrain.store.wire.client_messages import Get, Members, Put
from tests.store.box import Box

KEYS = [b"k%d" % number for number in range(100)]


@pytest.fixture
def box():
    return Box(5, seed=1)


def caller(box, kind):
    """A client: through one node and the others in standby, spread over all, or straight to primary replicas."""
    client = box.client(spread=kind == "spread")
    if kind == "direct":
        client.core.learn(client.ask(Members()).reply)
    return client


def timed(box, call):
    """How long a request takes that must succeed; virtual seconds."""
    began = box.now
    reply = call()
    assert reply.ok, reply
    return box.now - began


def times(box, client, keys=KEYS):
    """Of a put and a get of each key."""
    return [timed(box, lambda: client.ask(request)) for key in keys for request in (Put(key, b"v", None), Get(key))]


KINDS = pytest.mark.parametrize("kind", ["standby", "spread", "direct"])


@KINDS
@pytest.mark.parametrize("dead", ["n1", "n3"])
def test_one_dead_of_five_costs_300_ms_at_most_and_after_that_less_than_twice_the_usual(box, kind, dead):
    """It cost 1.8 s, every time: the client forgot what it had met."""
    client = caller(box, kind)
    usual = max(times(box, client))
    box.crash(dead)
    first = times(box, client, [b"new%d" % number for number in range(20)])
    assert max(first) < 0.3
    box.run_for(3.0)
    assert max(times(box, client)) < 2 * usual


@KINDS
@pytest.mark.parametrize("dead", ["n1 n2 n3", "n3 n4 n5", "n1 n3 n5"])
def test_three_dead_of_five_fail_no_put_and_no_get(box, kind, dead):
    client = caller(box, kind)
    times(box, client, KEYS[:10])
    for name in dead.split():
        box.crash(name)
    assert max(times(box, client)) < TIMEOUT_S


@KINDS
def test_a_fresh_client_of_a_cluster_with_three_dead_of_five_fails_no_put_and_no_get(box, kind):
    for name in ("n1", "n2", "n3"):
        box.crash(name)
    times(box, caller(box, kind), KEYS[:20])


def test_any_node_takes_a_request_when_all_homes_are_suspected(box):
    client = caller(box, "direct")
    key = box.key()
    for name in box.ring.primaries(key):
        box.crash(name)
    timed(box, lambda: client.put(key, b"v"))
    box.run_for(2.0)
    assert timed(box, lambda: client.put(key, b"w")) < 0.1


def test_a_node_that_is_back_is_asked_again(box):
    client = caller(box, "standby")
    box.crash("n1")
    timed(box, lambda: client.put(b"k", b"v"))
    box.start("n1")
    box.run_for(5.0)
    timed(box, lambda: client.get(b"k"))
    box.run_for(0.5)
    asked = set()
    box.wiretap = lambda source, target, datagram: bool(source != "client" or asked.add(target) or True)
    timed(box, lambda: client.get(b"k"))
    assert asked == {"n1"}


def test_a_client_of_several_nodes_spreads_its_requests(box):
    client = caller(box, "spread")
    asked = []
    box.wiretap = lambda source, target, datagram: bool(source != "client" or asked.append(target) or True)
    for key in KEYS:
        assert client.put(key, b"v").ok
    shares = {name: asked.count(name) / len(asked) for name in box.names}
    assert min(shares.values()) > 0.15, shares


def test_a_slow_answer_is_no_failure_of_a_request(box):
    """The hedge is answered first; the slow answer comes later, and is nobody's."""
    client = caller(box, "standby")
    timed(box, lambda: client.put(b"k", b"v"))
    box.pause("n1")
    call = client.begin(Put(b"k", b"w", None))
    box.run_until(lambda: call.done)
    assert call.ok
    box.resume("n1")
    box.run_for(3.0)
    assert sorted(client.get(b"k").values) == [b"v", b"w"]


def test_fresh_nodes_take_puts_that_have_to_be_sent_again():
    """They refused them for ten seconds: with 5% loss, one put in ten failed."""
    box = Box(3, seed=1, loss=0.05, settled=False)
    clients = [box.client(name) for name in box.names]
    for number in range(300):
        assert clients[number % 3].put(b"k%d" % number, b"v").ok


def test_a_rolling_restart_under_loss_fails_no_put():
    box = Box(3, seed=2, loss=0.05, settled=False)
    client = box.client(spread=True)
    for number in range(300):
        if number % 30 == 0:
            name = box.names[number // 30 % 3]
            box.crash(name)
            box.start(name)
        assert client.put(b"k%d" % number, b"v").ok


@pytest.mark.parametrize("seed", range(20))
def test_a_put_is_one_sibling_at_most_however_often_it_was_tried_anywhere(seed):
    """Clients replace what they read, while nodes are paused and cut off and datagrams are lost: no value comes back."""
    box = Box(5, seed=seed, loss=0.05)
    clients = [box.client(*box.rng.sample(box.names, 5)) for _ in range(4)]
    key = box.key()
    paused = ""
    for number in range(60):
        client = box.rng.choice(clients)
        read = client.get(key)
        if read.ok and len(read.values) <= 1:
            client.begin(Put(key, b"%d" % number, read.context))
        elif read.ok:
            # Written at the same time: the next put merges them.
            client.begin(Put(key, max(read.values, key=int), read.context))
        if paused:
            box.resume(paused)
            paused = ""
        if box.rng.random() < 0.4:
            paused = box.rng.choice(box.names)
            box.pause(paused)
        if box.rng.random() < 0.2:
            box.heal()
            box.cut(*box.rng.sample(box.names, 2))
        box.run_for(box.rng.random() * 0.3)
    if paused:
        box.resume(paused)
    box.heal()
    box.run_for(5.0)
    read = clients[0].get(key)
    assert clients[0].put(key, b"last", read.context).ok
    box.run_until(lambda: box.agree(key), 30.0)
    box.run_for(5.0)
    assert box.client().get(key, 3).values == [b"last"]
