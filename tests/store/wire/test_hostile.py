"""Hostile traffic at one node: no crash, no change, no growth, no answer larger than its request; clients are served."""

from __future__ import annotations

import contextlib
import gc
import random
import socket
import tracemalloc
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.actions import Instant, Send
from splitbrain.store.config import Config
from splitbrain.store.wire import reassembly
from splitbrain.store.wire.datagrams import REPLY, REQUEST, Refused, Wire
from splitbrain.store.wire.messages import decode_request
from tests.store.box import CLUSTER, SECRET, Box
from tests.store.loopback import ALONE, cluster, run
from tests.store.wire.hostile import Mad, Outsider, Siege, contents, held, record
from tests.store.wire.sides import fragmented

SMALL = Config(partitions=8)


def busy_box(seed=0):
    """Three nodes that have served clients, and are at rest; and all that was sent meanwhile."""
    box = Box(3, seed=seed, config=SMALL)
    recorded = record(box)
    client = box.client("n1")
    for i in range(30):
        put = client.put(b"key%d" % i, b"v" * (i * 200))
        assert client.put(b"key%d" % i, b"w", put.context).ok
    box.client("n2").get(b"key1")
    box.run_for(3)
    assert len(recorded) > 200
    seen = list(recorded)
    box.wiretap = lambda *way: True
    return box, client, seen


def test_20_000_datagrams_of_outsiders_change_nothing_and_clients_are_served_meanwhile():
    box, client, recorded = busy_box()
    node = box.hosts["n1"].node
    before = (
        contents(box.hosts["n1"].engine),
        node.inspect().core.membership.view,
        dict(node.inspect().core.ring.members),
    )
    siege = Siege(box, "n1", random.Random(1), recorded)
    siege.run(20_000, between=lambda: client.get(b"key7").values == [b"w"] or pytest.fail("not served"))
    assert len(siege.attacks) == len(siege.outsider.attacks)
    assert (
        contents(box.hosts["n1"].engine),
        node.inspect().core.membership.view,
        dict(node.inspect().core.ring.members),
    ) == before
    refused = node.inspect().core.rpc.counters
    assert min(refused[reason] for reason in ("malformed", "forged", "replayed", "other_cluster", "reflected")) > 500
    assert client.put(b"after", b"v").ok


@pytest.mark.parametrize("restart", [False, True])
def test_what_was_recorded_on_its_way_to_others_or_before_a_restart_changes_nothing_when_it_is_replayed(restart):
    """A put that has been replaced since came back as a sibling, years later if need be."""
    box = Box(3, config=SMALL)
    recorded = []
    box.wiretap = lambda source, target, datagram: recorded.append(datagram) or True
    client = box.client("n2", "n1")
    context = None
    for i in range(20):
        put = client.put(b"key%d" % (i % 5), b"%d" % i, context)
        assert put.ok
    for i in range(5):
        found = client.get(b"key%d" % i)
        assert client.put(b"key%d" % i, b"last", found.context).ok
    box.run_for(3)
    box.wiretap = lambda *way: True
    if restart:
        box.crash("n1")
        box.start("n1")
        box.run_for(15)
    siege = Siege(box, "n1", random.Random(4), recorded)
    before = contents(box.hosts["n1"].engine)
    for datagram in recorded:
        siege._hit(datagram, ("10.9.9.9", 999))
    assert contents(box.hosts["n1"].engine) == before
    assert [client.get(b"key%d" % i).values for i in range(5)] == [[b"last"]] * 5


def test_what_a_node_remembers_does_not_grow_under_fire():
    box, client, recorded = busy_box()
    node = box.hosts["n1"].node
    siege = Siege(box, "n1", random.Random(2), recorded)
    tracemalloc.start()
    try:
        siege.run(3000)
        gc.collect()
        early, sizes = tracemalloc.get_traced_memory()[0], held(node)
        siege.run(6000)
        gc.collect()
        late = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert late - early < 200_000
    for name, size in held(node).items():
        assert size <= sizes[name] + 10, name


def test_outsiders_get_at_most_a_trickle_of_rejections():
    box, _, recorded = busy_box()
    siege = Siege(box, "n1", random.Random(3), recorded)
    lines = len(box.hosts["n1"].log)
    siege.run(10_000)
    assert siege.answered_bytes < siege.received_bytes / 1000
    assert 3 <= len(box.hosts["n1"].log) - lines < 10


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_an_outsider_makes_of_a_datagram_changes_nothing(hostile_box, data):
    box, recorded = hostile_box
    seen = data.draw(st.sampled_from(recorded))
    cut = data.draw(st.integers(0, len(seen)))
    datagram = data.draw(
        st.one_of(
            st.binary(max_size=1300),
            st.just(seen),
            st.just(seen[:cut]),
            st.binary(max_size=30).map(lambda more: seen + more),
            st.binary(min_size=1, max_size=30).map(lambda put_in: seen[:cut] + put_in + seen[cut + len(put_in) :]),
        )
    )
    siege = Siege(box, "n1", random.Random(0), recorded)
    before = contents(box.hosts["n1"].engine)
    siege._hit(datagram, ("10.9.9.9", 999))
    assert contents(box.hosts["n1"].engine) == before


@pytest.fixture(scope="module")
def hostile_box():
    box, _, recorded = busy_box(seed=5)
    return box, recorded


def test_a_holder_of_the_key_that_sends_garbage_brings_no_node_down():
    box, client, _ = busy_box(seed=6)
    rng = random.Random(7)
    host = box.hosts["n1"]
    mad = Mad(rng, SECRET, CLUSTER, list(box.names), [b"key1", b"key2"], lambda: host.node.inspect().wire.incarnation)
    for count, datagram in enumerate(islice(mad.datagrams(), 4_000)):
        box.do(host, host.node.receive(datagram, ("10.9.9.9", 9), box.instant(host)))
        if count % 100 == 0:
            box.run_for(0.05)
    box.run_for(5)
    for name in box.names:
        status = box.hosts[name].node.status()
        assert status["queues"]["partial_messages"] <= reassembly.PARTIALS_PER_SENDER
    call = client.get(b"key7")
    assert call.done and call.reply is not None


class LyingPeer:
    """In the place of a node: a holder of the key that answers every request with a message of any kind."""

    next_wake = None

    def __init__(self, box, name, rng):
        box.crash(name)
        self.rng, self.answered = rng, 0
        self.mad = Mad(rng, SECRET, CLUSTER, list(box.names), [b"key1", b"key2"])
        self.mad.wire = Wire(SECRET, CLUSTER, name, rng.getrandbits)
        box.clients[box.hosts[name].address] = self

    def receive(self, datagram, source, now: Instant):
        try:
            asked = self.mad.wire.open(datagram)
        except Refused:
            return []
        if asked.kind != REQUEST or asked.parts > 1:
            return []
        if asked.meant_for != self.mad.wire.incarnation:
            return [Send(source, self.mad.wire.hello(asked.request_id, asked.incarnation))]
        decode_request(asked.chunk)
        payload = self.mad.payload(self.mad.replies)
        self.answered += 1
        return [
            Send(source, each)
            for each in fragmented(self.mad.wire, REPLY, asked.request_id, asked.incarnation, payload)
        ]


@pytest.mark.parametrize("seed", range(5))
def test_a_peer_that_answers_with_anything_but_the_truth_brings_no_node_down(seed):
    box, client, _ = busy_box(seed=10 + seed)
    liar = LyingPeer(box, "n2", random.Random(seed))
    for i in range(100):
        client.put(b"key%d" % (i % 40), b"x%d" % i)
        client.get(b"key%d" % (i % 40))
    box.run_for(20)
    assert liar.answered > 200
    for name in ("n1", "n3"):
        box.hosts[name].node.status()


def test_half_messages_of_a_key_holder_are_kept_within_bounds_and_only_for_a_while():
    box, _, _ = busy_box(seed=8)
    host = box.hosts["n1"]
    before = held(host.node)
    mad = Mad(random.Random(8), SECRET, CLUSTER, [], [])
    for i in range(3000):
        first = next(fragmented(mad.wire, REQUEST, i, host.node.inspect().wire.incarnation, bytes(20_000)))
        box.do(host, host.node.receive(first, ("10.9.9.9", 9), box.instant(host)))
        assert held(host.node)["partial messages"] <= reassembly.PARTIALS_PER_SENDER
    box.run_for(reassembly.IDLE_MAX_S + 1)
    box.do(
        host,
        host.node.receive(
            next(fragmented(mad.wire, REQUEST, 1, host.node.inspect().wire.incarnation, bytes(2000))),
            ("10.9.9.9", 9),
            box.instant(host),
        ),
    )
    assert held(host.node)["partial messages"] <= before["partial messages"] + 1


def test_a_real_socket_under_fire_serves_its_client_and_stores_nothing():
    async def scenario():
        async with cluster(1, ALONE) as (client, _, (port,)):
            await client.put(b"k", b"v")
            rng = random.Random(9)
            recorded = [rng.randbytes(100)]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
                attacker.bind(("127.0.0.1", 0))
                attacker.setblocking(False)
                outsider = Outsider(rng, recorded, "test")
                sent = received = 0
                for count, (_, datagram) in enumerate(islice(outsider.datagrams(), 5000)):
                    attacker.sendto(datagram, ("127.0.0.1", port))
                    sent += len(datagram)
                    if count % 50 == 0:
                        assert (await client.get(b"k")).values == (b"v",)
                    with contextlib.suppress(BlockingIOError):
                        received += len(attacker.recv(70_000))
                assert received < sent / 100
                assert (await client.get(b"k")).values == (b"v",)
                status = await client.status()
                assert status["counters"]["malformed"] + status["counters"]["other_cluster"] > 1000

    run(scenario)
