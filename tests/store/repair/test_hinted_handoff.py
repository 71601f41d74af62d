"""Hints: kept durably, pushed, and deleted only once their owner has them durably."""

from __future__ import annotations

import pytest

from splitbrain.store.config import Config, Member
from splitbrain.store.node import Node
from splitbrain.store.repair.hinted_handoff import PUSHES_AT_ONCE
from splitbrain.store.versions.dotted import siblings
from splitbrain.store.wire.client_messages import Put
from tests.store.box import CLUSTER, SECRET, Box


@pytest.fixture
def box():
    return Box(5, seed=4)


def put_while_down(box, owner, value=b"v", key=None, context=None):
    """A put of a key that has the owner among its primary replicas, while that one is cut off."""
    key = key or box.key(owner)
    coordinator = next(primary for primary in box.ring.primaries(key) if primary != owner)
    assert box.client(coordinator).put(key, value, context).ok
    return key


def holders(box, owner, key):
    return [name for name in box.names if (owner, key) in box.hints(name)]


def test_a_fallback_keeps_a_hint_and_pushes_it_when_the_owner_is_back(box):
    box.isolate("n1")
    key = put_while_down(box, "n1")
    box.run_until(lambda: holders(box, "n1", key))
    (holder,) = holders(box, "n1", key)
    assert holder not in box.ring.primaries(key)
    assert box.values("n1", key) == []
    box.heal()
    box.run_until(lambda: box.agree(key), 5.0)
    assert box.values("n1", key) == [b"v"]


def test_a_hint_is_not_deleted_before_its_owner_has_it_durably(box):
    box.isolate("n1")
    key = put_while_down(box, "n1")
    box.run_until(lambda: holders(box, "n1", key))
    box.hold("n1")
    box.heal()
    box.run_for(6.0)
    assert len(holders(box, "n1", key)) == 1
    box.crash("n1")  # The pushed hint was never durable, and is gone.
    box.start("n1")
    box.hosts["n1"].held = False
    box.run_until(lambda: box.agree(key), 6.0)
    assert box.values("n1", key) == [b"v"]


def test_a_holder_that_crashes_keeps_its_hints(box):
    box.isolate("n1")
    key = put_while_down(box, "n1")
    box.run_until(lambda: holders(box, "n1", key))
    (holder,) = holders(box, "n1", key)
    box.crash(holder)
    box.run_for(1.0)
    box.start(holder)
    box.heal()
    box.run_until(lambda: box.agree(key), 6.0)
    assert box.values("n1", key) == [b"v"]


def test_a_lost_acknowledgement_does_not_lose_the_hint_or_deliver_it_twice(box):
    box.isolate("n1")
    key = put_while_down(box, "n1")
    box.run_until(lambda: holders(box, "n1", key))
    (holder,) = holders(box, "n1", key)
    box.heal()
    box.cut("n1", holder, both=False)
    box.run_for(5.0)
    assert holders(box, "n1", key) == [holder]
    box.heal()
    box.run_until(lambda: box.agree(key), 6.0)
    assert len(box.versions("n1", key)) == 1


def test_two_hints_of_one_key_are_merged(box):
    box.isolate("n1")
    key = put_while_down(box, "n1", b"a")
    put_while_down(box, "n1", b"b", key)
    box.run_until(lambda: any(len(siblings(state)) == 2 for state in box.hints().values()))
    box.heal()
    box.run_until(lambda: box.agree(key), 5.0)
    assert box.values("n1", key) == [b"a", b"b"]


def test_a_newer_hint_that_comes_while_an_older_one_is_pushed_survives(box):
    box.isolate("n1")
    key = put_while_down(box, "n1", b"a")
    box.run_until(lambda: holders(box, "n1", key))
    (holder,) = holders(box, "n1", key)
    handoff = box.parts(holder).handoff
    box.heal()
    box.cut("n1", holder, both=False)  # The owner gets the hint; its word of it is lost.
    box.run_until(lambda: box.values("n1", key) == [b"a"], 5.0)
    newer = Box(5, seed=77)
    newer.client("n2").put(key, b"b")
    newer.run_for(1.0)
    handoff.keep("n1", key, newer.state(newer.ring.primaries(key)[0], key), lambda: None)
    box.heal()
    box.do(box.hosts[holder], box.hosts[holder].node.wake(box.instant()))
    box.run_until(lambda: not box.hints(), 6.0)
    assert box.values("n1", key) == [b"a", b"b"]


def test_nothing_is_pushed_that_a_crash_of_the_holder_would_undo(box):
    """A fallback that pushed what it then forgets would give away the same dot again."""
    key = box.key(others="n1")
    primary = box.ring.primaries(key)[0]
    other = Box(5, seed=77)
    other.client("n2").put(key, b"v")
    other.run_for(1.0)
    box.hold("n1")
    node = box.hosts["n1"].node
    node.inspect().handoff.keep(primary, key, other.state(primary, key), lambda: None)
    box.do(box.hosts["n1"], node.wake(box.instant()))
    box.run_for(5.0)
    assert box.values(primary, key) == []
    box.release("n1")
    box.run_until(lambda: box.values(primary, key) == [b"v"], 3.0)


def test_thousands_of_hints_are_pushed_a_few_at_a_time():
    box = Box(4, seed=1, config=Config(n=2, w=1, r=1, anti_entropy_s=0))
    keys = [f"key{i}".encode() for i in range(1200)]
    keys = [key for key in keys if "n1" in box.ring.primaries(key)][:500]
    box.isolate("n1")
    client = box.client("n2")
    for key in keys:
        assert client.put(key, b"v").ok
    box.run_for(2.0)
    assert len(box.hints()) == len(keys)
    most = 0

    def look():
        nonlocal most
        pushing = [len(host.node.inspect().handoff._pushing) for host in box.hosts.values()]
        most = max(most, *pushing)
        return not box.hints()

    box.heal()
    box.run_until(look, 20.0)
    assert 1 < most <= PUSHES_AT_ONCE
    assert all(box.values("n1", key) == [b"v"] for key in keys)


def test_a_suspected_owner_is_not_pushed_to(box):
    box.isolate("n1")
    key = put_while_down(box, "n1")
    box.run_until(lambda: holders(box, "n1", key))
    box.run_for(3.0)
    (holder,) = holders(box, "n1", key)
    asked = box.hosts[holder].node.status()["queues"]["asked"]
    assert asked <= 2  # Pings only.


def test_hints_of_a_node_that_is_no_member_any_more_do_no_harm(box):
    box.isolate("n1")
    key = put_while_down(box, "n1")
    box.run_until(lambda: holders(box, "n1", key))
    (holder,) = holders(box, "n1", key)
    remaining = [Member(m.name, m.address) for m in box.members if m.name != "n1"]
    node = Node(
        holder,
        remaining,
        Config(),
        secret=SECRET,
        cluster=CLUSTER,
        reader=box.hosts[holder].engine,
        bits=box.rng.getrandbits,
    )
    node.start(box.instant())
    assert node.status()["hints"] == {"n1": 1}


def test_a_coordinator_that_crashes_before_all_primaries_have_the_write_keeps_hints_for_them():
    box = Box(3, seed=2)
    key = next(box.keys())
    coordinator, other, cut_off = box.ring.primaries(key)
    box.isolate(cut_off)
    assert box.client(coordinator).put(key, b"v").ok
    box.crash(coordinator)
    box.heal()
    box.run_for(5.0)
    assert box.values(cut_off, key) == []
    box.start(coordinator)
    box.run_until(lambda: box.agree(key), 5.0)
    assert box.values(cut_off, key) == [b"v"]
    box.run_for(0.2)
    assert not list(box.hosts[coordinator].engine.scan("spreading"))


def test_a_lone_replica_leaves_no_note_behind():
    box = Box(1, config=Config(n=1, r=1, w=1))
    client = box.client("n1")
    client.begin(Put(b"k", b"v", None))
    box.run_until(lambda: box.values("n1", b"k") == [b"v"])
    box.crash("n1")  # The note is durable with the write; taking it back was not yet.
    assert len(list(box.hosts["n1"].engine.scan("spreading"))) == 1
    box.start("n1")
    box.run_for(1.0)
    assert not list(box.hosts["n1"].engine.scan("spreading"))


def test_notes_of_spreading_writes_are_taken_back(box):
    client = box.client()
    keys = [f"k{i}".encode() for i in range(30)]
    for key in keys:
        assert client.put(key, b"v").ok
    box.run_for(2.0)
    for host in box.hosts.values():
        assert not list(host.engine.scan("spreading"))
        assert not host.node.inspect().handoff._spreading


def test_under_lww_a_hint_older_than_what_the_owner_has_changes_nothing():
    box = Box(5, seed=4, config=Config(conflicts="lww", anti_entropy_s=0))
    key = box.key("n1")
    box.isolate("n1")
    put_while_down(box, "n1", b"old", key)
    box.run_until(lambda: holders(box, "n1", key))
    (holder,) = holders(box, "n1", key)
    box.heal()
    box.cut("n1", holder)
    assert box.client(box.ring.primaries(key)[1]).put(key, b"new").ok
    box.run_for(1.0)
    box.heal()
    box.run_until(lambda: box.agree(key), 8.0)
    assert {tuple(box.values(primary, key)) for primary in box.ring.primaries(key)} == {(b"new",)}


def test_a_fallback_that_coordinates_does_not_hand_its_only_copy_off_while_it_still_spreads():
    """Its hint reached one primary replica and was deleted, another primary replica was down, and then it crashed: nobody told the other."""
    box = Box(5, seed=4, config=Config(request_timeout_s=10.0, anti_entropy_s=0))
    key = box.key(others="n1")
    back, there, down = box.ring.primaries(key)
    box.crash(down)
    box.isolate("n1")
    box.run_for(3.0)
    call = box.client("n1").begin(Put(key, b"v", None, 1))
    box.run_until(lambda: call.done)
    box.cut("n1", there)
    for name in box.names:
        if name not in ("n1", *box.ring.primaries(key)):
            box.crash(name)
    box.cuts = {cut for cut in box.cuts if back not in cut}
    box.run_until(lambda: box.values(back, key) == [b"v"], 5.0)
    box.run_for(1.5)
    box.crash("n1")
    box.heal()
    for name, host in box.hosts.items():
        if host.node is None:
            box.start(name)
    box.run_until(lambda: box.agree(key), 8.0)
    assert box.values(down, key) == [b"v"]
