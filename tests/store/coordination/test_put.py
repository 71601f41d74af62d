"""Puts through a whole cluster: their quorums, what is durable when, large values, bad networks."""

from __future__ import annotations

import pytest

from splitbrain.store.config import VALUE_BYTES_MAX, Config
from splitbrain.store.wire.client_messages import Put
from splitbrain.store.wire.peer_messages import Forward
from tests.store.box import Box
from tests.store.coordination.replicas import key_and_primaries, nothing_stored, strangers


@pytest.fixture
def box():
    return Box(5, seed=1)


# Large values and bad networks


def test_the_largest_value_passes_over_a_network_that_loses_5_percent():
    box = Box(5, seed=2, loss=0.05, delay_s=(0.0002, 0.001))
    value = bytes(range(256)) * (VALUE_BYTES_MAX // 256)
    client = box.client()
    assert client.put(b"k", value).ok
    assert client.get(b"k").values == [value]
    box.run_until(lambda: box.agree(b"k"), 10.0)


@pytest.mark.parametrize("seed", range(3))
def test_a_network_that_loses_delays_and_duplicates_still_does_every_put_once(seed):
    box = Box(5, seed=seed, loss=0.1, duplicate=0.2, delay_s=(0.0005, 0.05))
    client = box.client()
    for i in range(30):
        assert client.put(b"k%d" % i, b"v").ok
    box.run_for(5.0)
    for i in range(30):
        key = b"k%d" % i
        assert client.get(key).values == [b"v"]
        assert {len(box.versions(primary, key)) for primary in box.ring.primaries(key)} == {1}


# Quorums


def fails(box, call):
    box.run_until(lambda: call.done)
    return call.error


@pytest.mark.parametrize(("w", "down", "ok"), [(1, 2, True), (2, 1, True), (2, 2, False), (3, 0, True), (3, 1, False)])
def test_a_strict_put_needs_w_of_its_primaries(w, down, ok):
    box = Box(5, seed=1, config=Config(sloppy=False))
    key, primaries = key_and_primaries(box)
    for primary in primaries[3 - down :]:
        box.crash(primary)
    call = box.client(primaries[0]).put(key, b"v", w=w)
    assert call.ok == ok
    if not ok:
        assert call.error == "quorum_failed"


def test_a_strict_put_that_another_node_coordinates_counts_no_hint_of_its_own():
    """A node whose ring is older is handed a put as a primary, and is none: its hint is on no strict read's way."""
    box = Box(5, seed=1, config=Config(sloppy=False, anti_entropy_s=0))
    key, primaries = key_and_primaries(box)
    stranger = strangers(box, key)[0]
    box.cut(stranger, primaries[0])
    box.cut(stranger, primaries[2])
    call = box.client(stranger).ask(Forward(1, Put(key, b"v", None)))
    assert call.error == "quorum_failed"
    assert call.message.startswith("1 of 2 replicas")
    box.heal()
    assert box.client(stranger).ask(Forward(2, Put(key, b"w", None))).ok


def test_a_sloppy_put_meets_w_with_fallbacks(box):
    key, primaries = key_and_primaries(box)
    box.crash(primaries[1])
    box.crash(primaries[2])
    assert box.client(primaries[0]).put(key, b"v", w=3).ok
    assert {owner for owner, _ in box.hints()} == set(primaries[1:])


def test_a_primary_and_its_own_fallback_count_once_toward_w(box):
    """One primary is slow, so that its fallback takes the write first; another is dead. Two primaries then have it, not 3."""
    key, primaries = key_and_primaries(box)
    fallbacks = box.ring.preference(key)[3:]
    slow, dead = primaries[1], primaries[2]
    box.crash(dead)
    box.crash(fallbacks[1])
    box.hold(slow)
    call = box.client(primaries[0]).begin(Put(key, b"v", None, 3))
    box.run_for(0.5)
    box.release(slow)
    assert fails(box, call) == "quorum_failed"
    assert box.values(slow, key) == [b"v"]


def test_a_failed_quorum_is_indefinite_and_the_write_spreads_all_the_same():
    box = Box(5, seed=1, config=Config(sloppy=False, anti_entropy_s=0))
    key, primaries = key_and_primaries(box)
    for primary in primaries[1:]:
        box.cut(primaries[0], primary)
    assert box.client(primaries[0]).put(key, b"v").error == "quorum_failed"
    box.heal()
    box.run_until(lambda: box.agree(key), 6.0)
    assert box.values(primaries[2], key) == [b"v"]


def test_a_put_is_not_acknowledged_before_w_nodes_have_it_durably(box):
    key, primaries = key_and_primaries(box)
    for primary in primaries[1:]:
        box.hold(primary)
    for stranger in strangers(box, key):
        box.hold(stranger)
    call = box.client(primaries[0]).begin(Put(key, b"v", None))
    box.run_for(0.9)
    assert not call.done
    box.release(primaries[1])
    box.run_until(lambda: call.done)
    assert call.ok


def test_a_coordinator_sends_nothing_before_it_is_durable_there(box):
    key, primaries = key_and_primaries(box)
    box.run_for(0.5)
    box.hold(primaries[0])
    sent = []
    call = box.client(primaries[0]).begin(Put(key, b"v" * 500, None))
    box.wiretap = lambda source, target, datagram: sent.append((source, len(datagram))) or True
    box.run_for(0.9)
    assert not [size for source, size in sent if source == primaries[0] and size > 500]
    box.crash(primaries[0])
    box.run_for(3.0)
    assert not call.ok
    assert nothing_stored(box, key)


def test_a_disk_stall_past_the_deadline_fails_the_put_and_suspects_nobody(box):
    key, primaries = key_and_primaries(box)
    box.hold(primaries[0])
    call = box.client(primaries[0]).begin(Put(key, b"v", None))
    box.run_until(lambda: call.done)
    assert call.error == "quorum_failed"
    box.release(primaries[0])
    box.run_for(0.7)
    peers = box.hosts[primaries[0]].node.status()["peers"]
    assert {peer["state"] for peer in peers.values()} == {"trusted"}
    box.run_until(lambda: box.agree(key), 6.0)
    assert box.values(primaries[2], key) == [b"v"]
