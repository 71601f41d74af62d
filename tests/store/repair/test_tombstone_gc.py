"""Reaping: a tombstone goes once it is everywhere, nothing older is anywhere, and its key was quiet."""

from __future__ import annotations

import pytest

from splitbrain.store.config import Config
from splitbrain.store.repair import tombstone_gc
from splitbrain.store.repair.merkle import digest
from splitbrain.store.repair.tombstone_gc import OTHER, READY, REST_S, WAIT
from splitbrain.store.wire.client_messages import Failed
from splitbrain.store.wire.peer_messages import AskQuiet, Quiet, Reap, Write
from tests.store.box import Box
from tests.store.repair.tombstones import CONFIG, CYCLE_S, GRACE_S, QUIET_S, deleted, gone, say


@pytest.fixture
def box():
    return Box(5, seed=6, config=CONFIG)


def test_a_tombstone_is_deleted_after_its_grace_period_and_not_before(box):
    key = box.key()
    deleted(box, key)
    box.run_for(GRACE_S - 1.0)
    assert all(box.versions(primary, key) for primary in box.ring.primaries(key))
    box.run_until(lambda: gone(box, key), REST_S[0] + CYCLE_S + 2.0)
    assert sum(box.counter(name, "tombstones_reaped") for name in box.names) == 3


def test_without_a_grace_tombstones_stay():
    box = Box(3, config=Config(anti_entropy_s=2.0, partitions=8))
    key = box.key()
    deleted(box, key)
    box.run_for(300.0)
    assert all(box.versions(primary, key) for primary in box.ring.primaries(key))


def test_live_values_and_tombstones_beside_a_live_sibling_stay(box):
    key, other = b"a", b"b"
    client = box.client()
    assert client.put(key, b"v").ok
    context = client.put(other, b"x").context
    client.delete(other, context)
    client.put(other, b"sibling")
    box.run_for(GRACE_S + 2 * CYCLE_S)
    assert client.get(key).values == [b"v"]
    assert client.get(other).values == [b"sibling"]


def test_a_node_that_was_stalled_counts_its_quiet_anew(box):
    key = box.key()
    deleted(box, key)
    primary = box.ring.primaries(key)[1]
    state = box.state(primary, key)
    assert say(box, primary, key, state) == WAIT
    box.run_for(QUIET_S)
    assert say(box, primary, key, state) == READY
    box.pause(primary)
    box.run_for(1.0)
    box.resume(primary)
    assert say(box, primary, key, state) == WAIT


def test_a_restarted_node_counts_its_quiet_anew(box):
    key = box.key(others="n1")
    deleted(box, key)
    state = box.state(box.ring.primaries(key)[0], key)
    say(box, "n1", key, state)
    box.run_for(QUIET_S)
    assert say(box, "n1", key, state) == READY
    box.crash("n1")
    box.start("n1")
    assert say(box, "n1", key, state) == WAIT


def test_a_hint_that_came_and_went_between_two_questions_ends_the_quiet(box):
    key = box.key(others="n1")
    old = box.client(box.ring.primaries(key)[0])
    context = old.put(key, b"v", w=3).context
    primary = box.ring.primaries(key)[0]
    value = box.state(primary, key)
    old.delete(key, context)
    box.run_for(1.0)
    state = box.state(primary, key)
    say(box, "n1", key, state)
    box.run_for(QUIET_S - 5.0)
    box.client("n1").ask(Write(key, value, primary))
    box.run_for(5.0)
    assert not box.hints()
    assert say(box, "n1", key, state) == WAIT


def test_a_primary_that_holds_another_state_says_so_and_is_sent_the_tombstone():
    box = Box(5, seed=6, config=Config(tombstone_grace_s=GRACE_S, anti_entropy_s=0, read_repair="off", partitions=8))
    key = box.key()
    deleted(box, key)
    box.run_for(1.0)
    primaries = box.ring.primaries(key)
    state = box.state(primaries[0], key)
    for primary in primaries[1:]:
        box.wipe(primary)
    assert say(box, primaries[1], key, state) == OTHER
    box.run_until(lambda: box.state(primaries[1], key) == box.state(primaries[2], key) == state, GRACE_S + 2 * CYCLE_S)
    box.run_until(lambda: gone(box, key), 3 * CYCLE_S)


def test_a_put_with_a_context_from_before_the_collection_has_no_sibling(box):
    key = box.key()
    context = deleted(box, key)
    box.run_until(lambda: gone(box, key), GRACE_S + 2 * CYCLE_S)
    client = box.client(box.ring.primaries(key)[1])
    assert client.put(key, b"again", context).ok
    box.run_for(2.0)
    assert client.get(key).values == [b"again"]
    assert client.put(key, b"blind").ok
    assert client.get(key).values == [b"again", b"blind"]


def test_no_dot_is_used_again_after_a_collection(box):
    dots = box.watch_dots()
    key = box.key()
    primaries = box.ring.primaries(key)
    for value in (b"1", b"2"):
        deleted(box, key, value)
        box.run_until(lambda: gone(box, key), GRACE_S + 3 * CYCLE_S)
    for primary in primaries:
        assert box.client(primary).put(key, b"3").ok
    assert max(len(ids) for ids in dots.values()) == 1


def test_an_order_about_a_key_that_was_written_meanwhile_changes_nothing(box):
    key = box.key()
    context = deleted(box, key)
    primary = box.ring.primaries(key)[0]
    state = box.state(primary, key)
    for name in box.names:
        say(box, name, key, state)
    assert box.client(primary).put(key, b"new", context, w=3).ok
    view = box.membership(primary).view
    for name in box.ring.primaries(key):
        box.client(name).ask(Reap(view, [(key, digest(key, state))]))
    assert [box.values(name, key) for name in box.ring.primaries(key)] == [[b"new"]] * 3


def test_an_order_to_delete_that_was_not_prepared_changes_nothing(box):
    key = box.key()
    deleted(box, key)
    primary = box.ring.primaries(key)[0]
    view = box.membership(primary).view
    box.client(primary).ask(Reap(view, [(key, digest(key, box.state(primary, key)))]))
    assert box.versions(primary, key)


def test_a_question_in_another_view_of_the_membership_is_refused(box):
    assert isinstance(box.client("n1").ask(AskQuiet(1, [(b"k", 2)])).reply, Failed)
    assert isinstance(box.client("n1").ask(Reap(1, [(b"k", 2)])).reply, Failed)


def test_what_is_watched_is_bounded(box, monkeypatch):
    monkeypatch.setattr(tombstone_gc, "WATCHED_MAX", 10)
    view = box.membership("n1").view
    keys = [key for key, _ in zip(box.keys(), range(200), strict=False) if "n1" not in box.ring.primaries(key)]
    reply = box.client("n1").ask(AskQuiet(view, [(key, 5) for key in keys])).reply
    assert isinstance(reply, Quiet) and set(reply.answers) == {WAIT}
    assert len(box.parts("n1").tombstone_gc._watched) == 10


def test_thousands_of_tombstones_are_deleted_in_batches(monkeypatch):
    monkeypatch.setattr(tombstone_gc, "BATCH_KEYS", 20)
    box = Box(3, seed=1, config=CONFIG)
    client = box.client()
    keys = [b"%d" % i for i in range(100)]
    for key in keys:
        client.delete(key, client.put(key, b"v").context)
    box.run_until(lambda: gone(box, *keys), GRACE_S + 5 * CYCLE_S)
