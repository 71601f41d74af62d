"""A deleted value never comes back: with a node that was down, a late hint, a removed node, or faults at random."""

from __future__ import annotations

import random

import pytest

from splitbrain.store.config import Config
from splitbrain.store.repair import tombstone_gc
from splitbrain.store.repair.tombstone_gc import PATIENCE_S
from splitbrain.store.versions.dotted import EMPTY
from splitbrain.store.wire.client_messages import Get
from tests.store.box import Box
from tests.store.repair.tombstones import CONFIG, CYCLE_S, GRACE_S, alive, deleted, gone, never_alive


@pytest.fixture
def box():
    return Box(5, seed=6, config=CONFIG)


@pytest.mark.parametrize("anti_entropy_s", [0, 2.0])
def test_a_primary_that_was_down_with_the_old_value_does_not_bring_it_back(anti_entropy_s):
    box = Box(5, seed=6, config=Config(tombstone_grace_s=GRACE_S, anti_entropy_s=anti_entropy_s, partitions=8))
    key = box.key()
    client = box.client(box.ring.primaries(key)[0])
    context = client.put(key, b"v", w=3).context
    away = box.ring.primaries(key)[2]
    box.crash(away)
    assert client.delete(key, context).ok
    box.run_for(GRACE_S + 2 * CYCLE_S)
    assert all(box.versions(primary, key) for primary in box.ring.primaries(key)[:2]), "reaped while a home was away"
    assert sum(box.counter(name, "reaping_put_off") for name in box.names if name != away) > 0
    box.start(away)
    box.run_until(lambda: not alive(box, key), 10.0)
    box.run_until(lambda: gone(box, key), 3 * CYCLE_S)
    never_alive(box, 20.0, key)


@pytest.mark.parametrize("from_all", [True, False], ids=["from all", "from its owner"])
def test_a_hint_of_the_old_value_that_is_delivered_late_does_not_bring_it_back(box, from_all):
    """Its holder is cut off, while all primary replicas hold the tombstone for long."""
    key = box.key()
    primaries = box.ring.primaries(key)
    box.isolate(primaries[2])
    client = box.client(primaries[0])
    context = client.put(key, b"v").context
    box.run_until(lambda: (primaries[2], key) in box.hints())
    (holder,) = [name for name in box.names if (primaries[2], key) in box.hints(name)]
    box.heal()
    if from_all:
        box.isolate(holder)
    else:
        box.cut(holder, primaries[2])
    assert client.delete(key, context).ok
    box.run_until(
        lambda: all(box.versions(primary, key) and not box.values(primary, key) for primary in primaries), 10.0
    )
    box.run_for(GRACE_S + 2 * CYCLE_S)
    assert all(box.versions(primary, key) for primary in primaries), "reaped while a hint was kept"
    assert box.hints(holder)
    box.heal()
    never_alive(box, 10.0, key)
    assert not box.hints()
    box.run_until(lambda: gone(box, key), 3 * CYCLE_S)
    never_alive(box, 10.0, key)


@pytest.mark.parametrize("joins_again", [False, True])
def test_a_removed_node_does_not_bring_the_value_back_with_its_hints(box, joins_again):
    """Nobody asks it, so the tombstone is reaped while it keeps a hint of the value."""
    key = box.key()
    primaries = box.ring.primaries(key)
    box.isolate(primaries[2])
    client = box.client(primaries[0])
    context = client.put(key, b"v").context
    box.run_until(lambda: (primaries[2], key) in box.hints())
    (holder,) = [name for name in box.names if (primaries[2], key) in box.hints(name)]
    box.heal()
    box.isolate(holder)
    if joins_again:
        box.crash(holder)
    assert client.delete(key, context).ok
    box.run_for(3.0)
    assert box.leave(holder, via=primaries[0], gone=True).ok
    box.run_until(lambda: gone(box, key), GRACE_S + 3 * CYCLE_S)
    assert box.hints(holder)
    box.heal()
    if joins_again:
        box.start(holder)
        assert box.join(holder, via=primaries[0]).ok
    never_alive(box, 30.0, key)
    assert not box.hints()


def test_a_hint_whose_deletion_is_not_durable_counts_as_kept(box):
    """After a crash it would be there again, and be pushed."""
    key = box.key()
    primaries = box.ring.primaries(key)
    box.isolate(primaries[2])
    context = box.client(primaries[0]).put(key, b"v").context
    box.run_until(lambda: (primaries[2], key) in box.hints())
    (holder,) = [name for name in box.names if (primaries[2], key) in box.hints(name)]
    box.hold(holder)
    box.heal()
    box.run_until(lambda: box.values(primaries[2], key) == [b"v"], 10.0)
    assert (
        box.client(primaries[0])
        .delete(
            key,
            context,
        )
        .ok
    )
    box.run_for(1.0)
    assert not box.parts(holder).handoff.owners(key)
    box.run_for(GRACE_S + 3 * CYCLE_S)
    assert all(box.versions(primary, key) for primary in primaries), "reaped while a crash could bring a hint back"
    box.crash(holder)
    box.start(holder)
    box.release(holder)
    assert box.hints(holder)
    never_alive(box, 10.0, key)


def test_a_replica_that_is_not_told_to_delete_brings_the_tombstone_back_and_not_the_value(box):
    key = box.key()
    deleted(box, key)
    first, _, untold = box.ring.primaries(key)
    reaper = box.parts(first).tombstone_gc
    told = reaper._answered

    def cut_off_before_the_order(*args, last):
        if last:
            box.isolate(untold)
            reaper._answered = told
        told(*args, last=last)

    reaper._answered = cut_off_before_the_order
    box.run_until(lambda: box.state(first, key) == EMPTY, GRACE_S + 2 * CYCLE_S)
    box.run_for(PATIENCE_S + 1.0)
    assert box.versions(untold, key)
    box.heal()
    box.run_until(lambda: bool(box.versions(first, key)), 20.0)
    never_alive(box, 5.0, key)
    box.run_until(lambda: gone(box, key), 3 * CYCLE_S)


def strike(box, rng):
    """One fault, or the end of all. Most of the time all nodes are there, or nothing would be reaped."""
    name = rng.choice(box.names)
    host = box.hosts[name]
    match rng.choice(["isolate", "crash", "hold", "stall", "loss", "recover", "recover", "recover"]):
        case "isolate":
            box.isolate(name)
        case "crash" if host.node is not None:
            box.crash(name, keep=rng.randint(0, 2))
        case "hold":
            box.hold(name)
        case "stall" if host.node is not None:
            box.pause(name)
            box.run_for(rng.choice([1.0, 10.0]))
            box.resume(name)
        case "loss":
            box.loss = 0.2
        case "recover":
            recover(box)


def recover(box):
    box.heal()
    box.loss = 0.0
    for name, host in box.hosts.items():
        if host.held:
            box.release(name)
        if host.node is None:
            box.start(name)


@pytest.mark.parametrize("seed", range(30))
def test_under_faults_a_deleted_value_never_comes_back_and_every_tombstone_goes_in_the_end(seed, monkeypatch):
    # Nothing is under way for longer than requests and pushes take: datagrams arrive within milliseconds here.
    monkeypatch.setattr(tombstone_gc, "UNDER_WAY_S", 6.0)
    monkeypatch.setattr(tombstone_gc, "REST_S", (2.0, 2.0))
    cycle_s = 2.0 + 8.0 + 2 * PATIENCE_S
    rng = random.Random(seed)
    config = Config(tombstone_grace_s=3.0, anti_entropy_s=2.0, partitions=8, read_repair=rng.choice(["off", "async"]))
    box = Box(5, seed=seed, config=config, settled=False, duplicate=0.1, delay_s=(0.0005, 0.02))
    client = box.client()
    missed = {}
    for key in (b"%d" % i for i in range(6)):
        # One primary replica misses the put, or the delete, and gets a hint.
        missed[key] = rng.choice(box.ring.primaries(key))
        if rng.random() < 0.5:
            box.isolate(missed[key])
        client.put(key, b"v")
        box.heal()
    # A put that was retried may have made two versions, which a context covers only once they have met.
    box.run_until(lambda: box.agree(*missed), 30.0)
    contexts = {key: client.get(key, r=3).context for key in missed}
    keys = []
    for key, context in contexts.items():
        if rng.random() < 0.5:
            box.isolate(missed[key])
        if client.delete(key, context).ok:
            keys.append(key)
        if rng.random() < 0.7:
            box.heal()
    reaped = set()
    for _ in range(25):
        strike(box, rng)
        client.begin(Get(rng.choice(keys), 1))
        box.run_for(rng.choice([0.5, 3.0, 10.0]))
        for key in keys:
            if box.state(box.ring.primaries(key)[0], key) == EMPTY and not alive(box, key):
                reaped.add(key)
            assert key not in reaped or not alive(box, key), f"{key!r} came back (seed {seed})"
    recover(box)
    box.run_until(lambda: gone(box, *keys), 3.0 + 6 * cycle_s)
    never_alive(box, 5.0, *keys)
    assert all(box.client().get(key, r=3).values == [] for key in keys)
