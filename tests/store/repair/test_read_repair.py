"""Read repair: a get brings stale primaries what the replicas know together."""

from __future__ import annotations

import pytest

from splitbrain.store.config import Config
from splitbrain.store.versions.dotted import EMPTY, NOTHING, write
from splitbrain.store.wire.peer_messages import Write
from tests.store.box import Box
from tests.store.coordination.replicas import key_and_primaries, strangers


@pytest.fixture
def box():
    return Box(5, seed=1)


def stale(box, primaries, key):
    """The last primary missed the second value, and no hint will bring it."""
    client = box.client(primaries[0])
    client.put(key, b"a")
    box.run_for(1.0)
    box.crash(primaries[2])
    for name in strangers(box, key):
        box.crash(name)
    client.put(key, b"b")
    box.run_for(2.0)
    for host in box.hosts.values():
        box_hints = [place for place, _ in host.engine.scan("hints")]
        for place in box_hints:
            host.engine._spaces["hints"].pop(place)
        if host.node is not None:
            host.node.inspect().handoff._keys.clear()
    box.start(primaries[2])
    box.run_for(2.0)
    assert box.values(primaries[2], key) == [b"a"]
    return client


def test_a_read_brings_a_stale_primary_the_merged_set_and_not_one_winner(box):
    key, primaries = key_and_primaries(box)
    client = stale(box, primaries, key)
    assert client.get(key).values == [b"a", b"b"]
    box.run_for(1.0)
    assert box.values(primaries[2], key) == [b"a", b"b"]
    assert box.agree(key)


def test_repair_pushes_siblings_that_no_single_replica_had(box):
    key, primaries = key_and_primaries(box)
    for primary, actor in zip(primaries[:2], (1, 2), strict=True):
        state, _ = write(
            EMPTY, NOTHING, dot=(actor, 1), value=b"%d" % actor, request_id=actor, coordinator="n", wall_ns=0
        )
        box.client(primary).ask(Write(key, state))
    assert box.client(primaries[2]).get(key, r=3).values == [b"1", b"2"]
    box.run_for(1.0)
    assert [box.values(primary, key) for primary in primaries] == [[b"1", b"2"]] * 3


def test_with_repair_off_a_stale_primary_stays_stale():
    box = Box(5, seed=1, config=Config(read_repair="off", anti_entropy_s=0))
    key, primaries = key_and_primaries(box)
    client = stale(box, primaries, key)
    assert client.get(key).values == [b"a", b"b"]
    box.run_for(1.0)
    assert box.values(primaries[2], key) == [b"a"]


def test_blocking_repair_answers_only_what_r_replicas_hold():
    box = Box(5, seed=1, config=Config(read_repair="blocking", r=3, anti_entropy_s=0))
    key, primaries = key_and_primaries(box)
    client = stale(box, primaries, key)
    call = client.get(key)
    assert call.values == [b"a", b"b"]
    assert [box.values(primary, key) for primary in primaries] == [[b"a", b"b"]] * 3


def test_a_get_of_equal_replicas_repairs_nothing(box):
    client = box.client("n1")
    client.put(b"k", b"v")
    box.run_for(1.0)
    client.get(b"k")
    box.run_for(1.0)
    assert sum(box.counter(name, "read_repairs") for name in box.names) == 0
