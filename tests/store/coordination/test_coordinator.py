"""Puts and gets through a whole cluster: quorums, siblings, repair, retries."""

from __future__ import annotations

from collections import Counter

import pytest

from splitbrain.store.config import KEY_BYTES_MAX, VALUE_BYTES_MAX, Config
from splitbrain.store.coordination.new_version import STATE_BYTES_MAX, VERSION_BYTES
from splitbrain.store.versions.context import Context, accept
from splitbrain.store.versions.dotted import EMPTY, NOTHING, siblings, write
from splitbrain.store.wire.client_messages import Put
from splitbrain.store.wire.peer_messages import Forward, Write
from tests.store.box import SECRET, Box


@pytest.fixture
def box():
    return Box(5, seed=1)


def key_and_primaries(box):
    key = next(box.keys())
    return key, box.ring.primaries(key)


def strangers(box, key):
    return [name for name in box.names if name not in box.ring.primaries(key)]


# Reading and writing


def test_what_was_put_is_read_through_every_node(box):
    context = box.client("n3").put(b"k", b"v").context
    assert context
    for name in box.names:
        assert box.client(name).get(b"k").values == [b"v"]


def test_a_key_never_written_has_no_values_and_a_context(box):
    found = box.client().get(b"nothing")
    assert found.values == []
    assert accept(SECRET, b"nothing", found.context).seen == Context().seen


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


# Refusals


def nothing_stored(box, key):
    return not any(box.state(name, key).versions for name in box.names) and not box.hints()


@pytest.mark.parametrize("key", [b"", b"k" * (KEY_BYTES_MAX + 1)])
@pytest.mark.parametrize("via", ["n1", "n2", "n3", "n4", "n5"])
def test_an_empty_or_oversized_key_is_refused(box, key, via):
    client = box.client(via)
    for call in (client.get(key), client.put(key, b"v")):
        assert call.error == "bad_key"
    assert nothing_stored(box, key)


def test_a_delete_without_a_context_is_refused(box):
    client = box.client()
    client.put(b"k", b"v")
    assert client.put(b"k", None).error == "bad_request"
    assert client.get(b"k").values == [b"v"]


def test_a_forged_or_another_keys_context_is_refused_and_nothing_is_stored(box):
    client = box.client()
    others = client.put(b"other", b"v").context
    for context in (b"", b"junk", others, others[:-1], others[:-1] + b"x", bytes(100_000)):
        assert client.put(b"k", b"v", context).error == "bad_context"
        assert client.delete(b"k", context).error == "bad_context"
    box.run_for(2.0)
    assert nothing_stored(box, b"k")


@pytest.mark.parametrize("quorum", [0, -1, 4, 2**63])
def test_a_quorum_the_cluster_cannot_have_is_refused(box, quorum):
    client = box.client()
    assert client.get(b"k", r=quorum).error == "bad_request"
    assert client.put(b"k", b"v", w=quorum).error == "bad_request"
    assert nothing_stored(box, b"k")


def test_a_value_over_the_limit_is_refused_by_the_node_too(box):
    assert box.client().put(b"k", bytes(VALUE_BYTES_MAX + 1)).error == "too_large"
    assert nothing_stored(box, b"k")


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
    call = box.client(stranger).ask(Forward(1, Put(key, b"v", None), None))
    assert call.error == "quorum_failed"
    assert call.message.startswith("1 of 2 replicas")
    box.heal()
    assert box.client(stranger).ask(Forward(2, Put(key, b"w", None), None)).ok


@pytest.mark.parametrize(("r", "down", "ok"), [(1, 2, True), (2, 1, True), (2, 2, False), (3, 0, True), (3, 1, False)])
def test_a_strict_get_needs_r_of_its_primaries(r, down, ok):
    box = Box(5, seed=1, config=Config(sloppy=False))
    key, primaries = key_and_primaries(box)
    assert box.client(primaries[0]).put(key, b"v", w=3).ok
    for primary in primaries[3 - down :]:
        box.crash(primary)
    call = box.client(primaries[0]).get(key, r=r)
    assert call.ok == ok
    assert call.values == [b"v"] if ok else call.error == "quorum_failed"


def test_a_sloppy_put_meets_w_with_fallbacks(box):
    key, primaries = key_and_primaries(box)
    box.crash(primaries[1])
    box.crash(primaries[2])
    assert box.client(primaries[0]).put(key, b"v", w=3).ok
    assert {owner for owner, _ in box.hints()} == set(primaries[1:])


def test_a_sloppy_cluster_serves_a_key_whose_primaries_are_all_gone(box):
    key, primaries = key_and_primaries(box)
    for primary in primaries:
        box.crash(primary)
    box.run_for(3.0)
    one, other = strangers(box, key)
    assert box.client(one).put(key, b"v").ok
    assert box.client(one).get(key).values == [b"v"]
    assert box.client(other).get(key).values == [b"v"]
    for primary in primaries:
        box.start(primary)
    box.run_until(lambda: box.agree(key), 6.0)
    assert box.values(primaries[2], key) == [b"v"]


def test_primaries_only_counts_do_not_take_fallbacks():
    box = Box(5, seed=1, config=Config(pw=2, pr=2))
    key, primaries = key_and_primaries(box)
    assert box.client(primaries[0]).put(key, b"v").ok
    assert box.client(primaries[0]).get(key).ok
    box.crash(primaries[1])
    box.crash(primaries[2])
    assert box.client(primaries[0]).put(key, b"w").error == "quorum_failed"
    assert box.client(primaries[0]).get(key).error == "quorum_failed"


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


def test_an_empty_fallbacks_quick_nothing_does_not_win_over_a_primary_that_has_the_key(box):
    """The coordinator lost its disk, a dead primary's fallback has nothing, and the last primary takes a retry to hear of it."""
    key, primaries = key_and_primaries(box)
    assert box.client(primaries[0]).put(key, b"v", w=3).ok
    box.crash(primaries[1])
    box.wipe(primaries[0])
    box.run_for(4.0)
    lost = iter([True])
    box.wiretap = lambda source, target, datagram: (source, target) != (primaries[0], primaries[2]) or not next(lost, False)
    assert box.client(primaries[0]).get(key).values == [b"v"]
    assert next(lost, None) is None, "nothing was lost, so nothing was tested"


# Repair


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


# Retries


def test_a_put_retried_through_two_coordinators_reads_as_one_value(box):
    key, primaries = key_and_primaries(box)
    put, number = Put(key, b"v", None), 12345
    client = box.client(primaries[0])
    for primary in primaries[:2]:
        client.core._rpc.ask(box.hosts[primary].address, put, box.now + 3.0, lambda reply: None, number)
        box.send_all(client.address, client.core._actions())
        box.run_until(lambda primary=primary: box.values(primary, key) == [b"v"])
        box.run_for(0.5)
    found = client.get(key)
    assert found.values == [b"v"]
    assert [len(box.versions(primary, key)) for primary in primaries] == [1, 1, 1]
    client.put(key, b"w", found.context)
    assert client.get(key).values == [b"w"]


def test_a_client_that_goes_to_another_node_while_both_do_its_put_reads_one_value(box):
    """The first coordinator's answer is lost, and it is cut off from the second, so two dots are made."""
    key, primaries = key_and_primaries(box)
    box.cut(primaries[0], "client", both=False)
    box.cut(primaries[0], primaries[1])
    client = box.client(primaries[0], primaries[1])
    assert client.put(key, b"v").ok
    box.heal()
    box.run_for(3.0)
    found = box.client(primaries[2]).get(key)
    assert found.values == [b"v"]
    assert box.client(primaries[2]).put(key, b"w", found.context).ok
    box.run_until(lambda: box.agree(key), 5.0)
    assert box.values(primaries[1], key) == [b"w"]
    assert len(box.versions(primaries[0], key)) == 1


def test_a_retried_put_with_the_same_request_id_makes_one_version(box):
    key, primaries = key_and_primaries(box)
    lost = iter([True, True, True])
    box.wiretap = lambda source, target, datagram: not (target == "client" and next(lost, False))
    assert box.client(primaries[0]).put(key, b"v").ok
    box.run_for(1.0)
    assert [len(box.versions(primary, key)) for primary in primaries] == [1, 1, 1]


def test_a_put_that_was_known_under_another_dot_spends_the_dot_it_was_given(box):
    """Else the giver's dots have a gap for ever, and every later one stays apart from the clock, in every message."""
    key, primaries = key_and_primaries(box)
    first, second = strangers(box, key)
    box.cut(first, "client", both=False)
    client = box.client(first, second)
    assert client.put(key, b"v").ok
    box.heal()
    through = box.client(second)
    context = through.get(key).context
    for i in range(10):
        context = through.put(key, b"%d" % i, context).context
    box.run_for(2.0)
    assert [box.state(primary, key).seen.cloud for primary in primaries] == [()] * 3


def test_a_fallback_that_refuses_a_put_gives_its_actor_up(box, monkeypatch):
    key, primaries = key_and_primaries(box)
    for primary in primaries:
        box.crash(primary)
    box.run_for(3.0)
    one = strangers(box, key)[0]
    client = box.client(one)
    assert client.put(key, b"a").ok
    monkeypatch.setattr("splitbrain.store.coordination.new_version.STATE_BYTES_MAX", 10)
    assert client.put(key, b"b").error == "too_large"
    monkeypatch.setattr("splitbrain.store.coordination.new_version.STATE_BYTES_MAX", STATE_BYTES_MAX)
    for i in range(5):
        assert client.put(key, b"c%d" % i).ok
    assert all(state.seen.cloud == () for state in box.hints().values())


def test_writes_through_a_fallback_do_not_make_the_clock_grow(box):
    key, primaries = key_and_primaries(box)
    for primary in primaries:
        box.crash(primary)
    box.run_for(3.0)
    client, context = box.client(strangers(box, key)[0]), None
    for i in range(50):
        context = client.put(key, b"%d" % i, context).context
    assert all(len(state.seen.clock) <= 2 for state in box.hints().values())


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


def test_state_that_differs_only_in_siblings_reads_alike_through_all_nodes(box):
    client = box.client()
    for i in range(8):
        client.put(b"k", b"%d" % i)
    assert {tuple(box.client(name).get(b"k").values) for name in box.names} == {tuple(b"%d" % i for i in range(8))}
    assert len(siblings(box.state(box.ring.primaries(b"k")[0], b"k"))) == 8
