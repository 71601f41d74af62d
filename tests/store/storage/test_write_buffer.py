"""Writes held in memory: fast, and lost in a crash as far as they said so."""

from __future__ import annotations

import pytest

from splitbrain.store.config import Config
from splitbrain.store.storage.replica import DATA
from splitbrain.store.wire.client_messages import Get, Put
from splitbrain.store.wire.peer_messages import Write, Written
from tests.store.box import Box

FLUSH_S = 5.0


def buffered(**settings):
    return Config(**{"write_buffer": 100, "flush_s": FLUSH_S, "partitions": 8, "anti_entropy_s": 0, **settings})


@pytest.fixture
def box():
    box = Box(3, config=buffered(dw=0))
    box.run_until(lambda: not any(box.hosts[name].pending for name in box.names))
    return box


def held(box, name):
    return box.hosts[name].node.status()["buffer"]["objects"]


def durable_everywhere(box, key):
    return all(box.values(name, key) for name in box.names)


def lose_power(box):
    """All at once; they start again on their disks."""
    for name in box.names:
        box.crash(name)
    for name in box.names:
        box.start(name)
    box.run_for(12.0)


def test_with_dw_0_a_put_is_acknowledged_before_any_disk_has_it(box):
    call = box.client("n1").put(b"k", b"v", w=3)
    assert (call.reply.replicas, call.reply.durable) == (3, 0)
    assert not any(box.values(name, b"k") for name in box.names)
    assert [held(box, name) for name in box.names] == [1, 1, 1]


def test_reads_look_in_the_buffer_first(box):
    client = box.client("n1")
    context = client.put(b"k", b"old", w=3).context
    box.run_for(2 * FLUSH_S)
    assert durable_everywhere(box, b"k")
    assert client.put(b"k", b"new", context, w=3).ok
    for name in box.names:
        assert box.values(name, b"k") == [b"old"]
        assert box.client(name).get(b"k", r=1).values == [b"new"]


def test_the_buffer_is_flushed_after_a_while_and_then_empty(box):
    box.client("n1").put(b"k", b"v", w=3)
    box.run_for(FLUSH_S + 0.1)
    assert durable_everywhere(box, b"k")
    assert [held(box, name) for name in box.names] == [0, 0, 0]


def test_with_dw_1_the_coordinator_is_durable_and_the_others_hold_it_in_memory():
    box = Box(3, config=buffered())
    call = box.client("n1").put(b"k", b"v", w=3)
    assert (call.reply.replicas, call.reply.durable) == (3, 1)
    assert [box.values(name, b"k") for name in box.names] == [[b"v"], [], []]
    assert [held(box, name) for name in box.names] == [0, 1, 1]


def test_with_dw_2_all_are_asked_to_write_durably_and_two_must():
    box = Box(3, config=buffered(dw=2))
    call = box.client("n1").put(b"k", b"v")
    assert call.reply.durable >= 2
    box.run_for(0.1)
    assert durable_everywhere(box, b"k")


def test_a_put_may_ask_for_another_dw_than_the_clusters():
    box = Box(3, config=buffered())
    assert box.client("n1").ask(Put(b"none", b"v", None, dw=0)).reply.durable == 0
    assert box.client("n1").ask(Put(b"all", b"v", None, dw=3)).reply.durable == 3
    assert durable_everywhere(box, b"all")


def test_a_power_cut_loses_what_was_acknowledged_with_dw_0_by_design(box):
    assert box.client("n1").put(b"k", b"v", w=3).ok
    lose_power(box)
    assert box.client("n1").get(b"k").values == []


@pytest.mark.parametrize("seed", range(20))
def test_a_power_cut_loses_nothing_that_was_acknowledged_with_dw_1(seed):
    box = Box(5, seed=seed, config=buffered(), loss=0.1)
    clients = [box.client(name) for name in box.names]
    done = {}
    for i in range(20):
        key = b"k%d" % (i % 7)
        context = clients[i % 5].get(key).context
        if clients[i % 5].put(key, b"%d" % i, context).ok:
            done[key] = b"%d" % i
    box.loss = 0.0
    lose_power(box)
    for key, value in done.items():
        assert value in box.client("n1").ask(Get(key, r=3, pr=3)).values


def test_a_dw_that_is_not_met_says_so_and_is_indeterminate():
    box = Box(3, config=buffered(dw=2, sloppy=False))
    box.hold("n2")
    box.hold("n3")
    call = box.client("n1").put(b"k", b"v", w=1)
    assert call.error == "quorum_failed"
    assert "1 of 2 durable replicas" in call.reply.message or "1 of 1 replicas" in call.reply.message
    box.release("n2")
    box.release("n3")


def test_a_write_on_a_key_that_is_on_its_way_to_the_disk_is_not_buffered():
    """Else the older of the two could be made durable after the newer, and bring it back."""
    box = Box(3, config=buffered())
    client = box.client("n1")
    for name in box.names:
        box.hold(name)
    first = client.begin(Put(b"k", b"a", None))
    box.run_for(0.05)
    node = box.hosts["n1"].node
    assert not node.inspect().core.buffer.merge(b"k", node.inspect().core.replica.newest(DATA, b"k").state)
    for name in box.names:
        box.release(name)
    box.run_until(lambda: first.done)
    assert first.ok


def test_a_durable_change_of_a_buffered_key_includes_what_the_buffer_held(box):
    context = box.client("n1").put(b"k", b"old", w=3).context
    assert box.client("n1").ask(Put(b"k", b"new", context, w=3, dw=3)).ok
    assert [held(box, name) for name in box.names] == [0, 0, 0]
    assert box.client("n2").ask(Put(b"k", b"sibling", None, w=3, dw=0)).ok
    box.run_for(2 * FLUSH_S)
    assert all(box.values(name, b"k") == [b"new", b"sibling"] for name in box.names)


def test_the_buffer_holds_so_many_objects_and_is_flushed_when_full():
    box = Box(3, config=buffered(write_buffer=10, dw=0, flush_s=60))
    client = box.client("n1")
    for i in range(9):
        assert client.put(b"%d" % i, b"v", w=3).ok
    box.run_for(0.1)
    assert [held(box, name) for name in box.names] == [9, 9, 9]
    assert client.put(b"9", b"v", w=3).ok
    box.run_for(0.1)
    assert [held(box, name) for name in box.names] == [0, 0, 0]
    assert all(durable_everywhere(box, b"%d" % i) for i in range(10))


def test_what_finds_no_room_is_written_durably_before_it_is_acknowledged():
    box = Box(3, config=buffered(write_buffer=3, dw=0))
    box.hold("n1")
    client = box.client("n1")
    for i in range(3):
        assert client.put(b"%d" % i, b"v", w=1).ok
    late = client.begin(Put(b"late", b"v", None, w=1))
    box.run_for(0.2)
    assert not late.done
    assert held(box, "n1") == 3
    box.release("n1")
    box.run_until(lambda: late.done)
    assert (late.ok, late.reply.durable) == (True, 1)


def test_ten_writes_of_one_key_are_one_write_to_the_disk(box):
    client = box.client("n1")
    before = box.hosts["n2"].persists
    context = None
    for i in range(10):
        context = client.put(b"k", b"%d" % i, context, w=3).context
    box.run_for(FLUSH_S + 0.1)
    assert box.values("n2", b"k") == [b"9"]
    flushed = box.hosts["n2"].persists - before
    assert flushed <= 3


def test_a_write_that_comes_again_once_it_is_durable_is_not_held_for_ever():
    """It would never be flushed, as the disk has it: its room would be lost, and its token could not be given away."""
    box = Box(3, config=buffered())
    assert box.client("n1").put(b"k", b"v", w=3).ok
    box.run_for(2 * FLUSH_S)
    again = box.client("n2").ask(Write(b"k", box.state("n2", b"k"), None, False))
    assert again.reply == Written(slot=box.parts("n2").core.ownership.slot(b"k"), durable=True)
    for name in ("n1", "n2"):
        core = box.parts(name).core
        assert not core.buffer.put(b"k", core.replica.newest(DATA, b"k"))
        assert held(box, name) == 0


def test_a_hint_is_durable_whatever_the_put_asks_for():
    box = Box(5, config=buffered(dw=0, partitions=64))
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    box.crash(primaries[2])
    box.run_for(3.0)
    assert box.client(primaries[0]).put(key, b"v", w=3).ok
    assert (primaries[2], key) in box.hints()


def test_a_write_between_nodes_is_durable_unless_it_says_otherwise(box):
    client = box.client("n1")
    box.client("n2").put(b"k", b"v", w=3)
    state = box.parts("n2").core.replica.visible(b"k")
    assert client.ask(Write(b"k", state)).reply == Written(slot=box.parts("n1").core.ownership.slot(b"k"))
    assert box.values("n1", b"k") == [b"v"]


@pytest.mark.parametrize("seed", range(20))
def test_no_dot_is_used_twice_whatever_a_crash_makes_a_node_forget(seed):
    """A dot of a lost write, given again, would silently swallow a write."""
    box = Box(3, seed=seed, config=buffered(dw=0, w=1, flush_s=0.5))
    dots = box.watch_dots()
    clients = [box.client(name) for name in box.names]
    for i in range(40):
        name = box.names[box.rng.randrange(3)]
        call = clients[box.names.index(name)].begin(Put(b"k%d" % (i % 3), b"%d" % i, None, w=1, dw=i % 2))
        box.run_for(box.rng.uniform(0.0, 0.3))
        if box.rng.random() < 0.2:
            box.crash(name, keep=box.rng.randrange(3))
            box.start(name)
        del call
    box.run_for(5.0)
    assert dots
    assert {len(requests) for requests in dots.values()} == {1}


def test_without_a_buffer_everything_is_durable_even_with_dw_0():
    box = Box(3, config=Config(dw=0, partitions=8))
    call = box.client("n1").put(b"k", b"v", w=3)
    assert (call.reply.replicas, call.reply.durable) == (3, 3)
    assert durable_everywhere(box, b"k")


def test_the_status_shows_how_many_writes_are_only_in_memory(box):
    box.client("n1").put(b"k", b"v", w=3)
    assert box.hosts["n1"].node.status()["buffer"] == {"objects": 1, "room": 100, "flushes": 0}
