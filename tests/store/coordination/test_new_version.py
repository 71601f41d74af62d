"""What a put makes of a key's state: siblings and contexts, tombstones, lost disks, last write wins."""

from __future__ import annotations

from collections import Counter

import pytest

from splitbrain.store.config import VALUE_BYTES_MAX, Config
from splitbrain.store.coordination.new_version import STATE_BYTES_MAX, VERSION_BYTES
from tests.store.box import Box
from tests.store.coordination.replicas import key_and_primaries


@pytest.fixture
def box():
    return Box(5, seed=1)


# Reading and writing


def test_a_put_with_the_context_of_a_get_replaces_all_siblings_it_returned(box):
    client = box.client()
    for value in (b"a", b"b", b"c"):
        client.put(b"k", value)
    found = client.get(b"k")
    assert found.values == [b"a", b"b", b"c"]
    client.put(b"k", b"merged", found.context)
    assert client.get(b"k").values == [b"merged"]


def test_a_blind_put_becomes_a_sibling(box):
    client = box.client()
    client.put(b"k", b"a")
    client.put(b"k", b"b")
    assert client.get(b"k").values == [b"a", b"b"]


def test_concurrent_puts_with_one_context_become_siblings_also_through_one_coordinator(box):
    """Server-id vector clocks cannot tell these two apart, and one silently wins."""
    client = box.client("n1")
    context = client.put(b"k", b"old").context
    client.put(b"k", b"a", context)
    client.put(b"k", b"b", context)
    assert client.get(b"k").values == [b"a", b"b"]


def test_the_context_of_a_put_does_not_cover_a_sibling_its_client_never_saw(box):
    one, other = box.client("n1"), box.client("n1")
    context = one.put(b"k", b"mine").context
    other.put(b"k", b"unseen")
    one.put(b"k", b"mine again", context)
    assert one.get(b"k").values == [b"mine again", b"unseen"]


def test_clients_that_write_in_turn_with_their_puts_contexts_do_not_make_siblings_explode(box):
    clients = [box.client(name) for name in ("n1", "n2")]
    contexts = [None, None]
    for turn in range(20):
        for i in (0, 1):
            contexts[i] = clients[i].put(b"k", b"%d by %d" % (turn, i), contexts[i]).context
    assert clients[0].get(b"k").values == [b"19 by 0", b"19 by 1"]


def test_a_deleted_key_reads_as_empty_and_re_creating_it_is_causal(box):
    client = box.client()
    context = client.put(b"k", b"v").context
    assert client.delete(b"k", context).ok
    found = client.get(b"k")
    assert found.values == []
    assert client.put(b"k", b"again", found.context).ok
    assert client.get(b"k").values == [b"again"]
    box.run_for(1.0)
    assert all(len(box.versions(primary, b"k")) == 1 for primary in box.ring.primaries(b"k"))


def test_a_tombstone_stays_so_that_a_late_replica_does_not_bring_the_value_back(box):
    key, primaries = key_and_primaries(box)
    client = box.client(primaries[0])
    context = client.put(key, b"v").context
    box.run_for(1.0)
    box.crash(primaries[2])
    client.delete(key, context)
    box.run_for(1.0)
    box.start(primaries[2])
    assert box.values(primaries[2], key) == [b"v"]
    box.run_until(lambda: box.agree(key), 6.0)
    assert box.client(primaries[2]).get(key).values == []
    assert [v.value for v in box.versions(primaries[2], key)] == [None]


def test_a_sibling_the_deleter_did_not_see_survives_the_delete(box):
    client = box.client()
    context = client.put(b"k", b"seen").context
    client.put(b"k", b"unseen")
    client.delete(b"k", context)
    assert client.get(b"k").values == [b"unseen"]


def test_an_empty_value_is_a_value(box):
    client = box.client()
    client.put(b"k", b"")
    assert client.get(b"k").values == [b""]


# Limits


def test_siblings_over_the_limit_together_are_refused_and_can_still_be_merged():
    box = Box(1, config=Config(n=1, r=1, w=1))
    client = box.client()
    big = bytes(VALUE_BYTES_MAX - 2)
    fit = STATE_BYTES_MAX // (VALUE_BYTES_MAX + VERSION_BYTES)
    for i in range(fit):
        assert client.put(b"k", b"%02d" % i + big).ok
    assert client.put(b"k", b"xx" + big).error == "too_large"
    found = client.get(b"k")
    assert len(found.values) == fit
    assert client.put(b"k", b"merged", found.context).ok
    assert client.get(b"k").values == [b"merged"]


def test_the_bookkeeping_of_many_small_siblings_counts_too(box, monkeypatch):
    monkeypatch.setattr("splitbrain.store.coordination.new_version.STATE_BYTES_MAX", 20 * VERSION_BYTES)
    client = box.client("n1")
    calls = [client.put(b"k", b"") for _ in range(25)]
    assert Counter(call.ok for call in calls) == {True: 20, False: 5}


# Lost disks


def test_a_write_through_a_coordinator_that_lost_its_disk_is_not_swallowed(box):
    """With its old actor it would make the dot of its first write again, which the others have seen."""
    key, primaries = key_and_primaries(box)
    assert box.client(primaries[0]).put(key, b"before", w=3).ok
    box.wipe(primaries[0])
    assert box.client(primaries[0]).put(key, b"after").ok
    assert box.client(primaries[1]).get(key, r=3).values == [b"after", b"before"]


def test_a_write_through_a_coordinator_restored_from_a_backup_is_not_swallowed(box):
    key, primaries = key_and_primaries(box)
    client = box.client(primaries[0])
    assert client.put(key, b"saved", w=3).ok
    backup = box.backup(primaries[0])
    assert client.put(key, b"later", w=3).ok
    box.crash(primaries[0])
    box.hosts[primaries[0]].engine = backup
    box.start(primaries[0], fresh=True)
    assert client.put(key, b"last").ok
    assert box.client(primaries[1]).get(key, r=3).values == [b"last", b"later", b"saved"]


# Last write wins


def test_lww_keeps_the_newest_on_every_replica():
    box = Box(5, seed=1, config=Config(conflicts="lww", anti_entropy_s=0))
    key, primaries = key_and_primaries(box)
    for i in range(10):
        assert box.client(primaries[i % 3]).put(key, b"%d" % i).ok
    box.run_until(lambda: box.agree(key), 5.0)
    assert box.client().get(key).values == [b"9"]
    assert [box.values(primary, key) for primary in primaries] == [[b"9"]] * 3


def test_lww_under_a_lagging_clock_still_prefers_a_write_to_what_its_context_covers():
    """The coordinator has not seen what the context covers, and its clock is an hour behind."""
    box = Box(5, seed=1, config=Config(conflicts="lww", anti_entropy_s=0))
    key, primaries = key_and_primaries(box)
    box.hosts[primaries[2]].clock_ahead_s = -3600
    box.cut(primaries[0], primaries[2])
    box.cut(primaries[1], primaries[2])
    context = box.client(primaries[0]).put(key, b"old").context
    assert box.values(primaries[2], key) == []
    assert box.client(primaries[2]).put(key, b"new", context).ok
    box.heal()
    box.run_until(lambda: box.agree(key), 8.0)
    assert box.client(primaries[0]).get(key).values == [b"new"]


def test_lww_deletes_win_over_what_they_cover():
    box = Box(5, seed=1, config=Config(conflicts="lww", anti_entropy_s=0))
    client = box.client()
    context = client.put(b"k", b"v").context
    assert client.delete(b"k", context).ok
    assert client.get(b"k").values == []
