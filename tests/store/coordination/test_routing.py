"""Any node takes any request, and hands it on once."""

from __future__ import annotations

import msgspec
import pytest

from splitbrain.store.client_core import PATIENCE_S, TIMEOUT_S
from splitbrain.store.config import Config
from splitbrain.store.versions.context import accept, issue
from splitbrain.store.wire.client_messages import Get, Put
from splitbrain.store.wire.peer_messages import Forward
from tests.store.box import SECRET, Box


@pytest.fixture
def box():
    return Box(5, seed=1)


def stranger_and_primaries(box):
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    return key, [name for name in box.names if name not in primaries], primaries


def forwarded(box):
    return sum(box.counter(name, "forwarded") for name in box.names if box.hosts[name].node)


def test_a_primary_does_what_it_is_sent_itself(box):
    key, _, primaries = stranger_and_primaries(box)
    box.client(primaries[1]).put(key, b"v")
    assert forwarded(box) == 0
    assert {version.coordinator for version in box.versions(primaries[1], key)} == {primaries[1]}


def test_a_node_that_is_no_primary_hands_a_request_on_once(box):
    key, strangers, primaries = stranger_and_primaries(box)
    client = box.client(strangers[0])
    assert client.put(key, b"v").ok
    assert client.get(key).values == [b"v"]
    assert forwarded(box) == 2
    assert {version.coordinator for version in box.versions(primaries[0], key)} == {primaries[0]}


def test_what_was_handed_on_is_never_handed_on_again(box):
    key, strangers, _ = stranger_and_primaries(box)
    client = box.client(strangers[0])
    assert client.ask(Forward(5, Put(key, b"v", None))).ok
    assert client.ask(Forward(6, Get(key))).ok
    assert forwarded(box) == 0


def test_the_next_primary_is_tried_when_the_first_is_dead_and_it_stays_one_version(box):
    key, strangers, primaries = stranger_and_primaries(box)
    box.crash(primaries[0])
    call = box.client(strangers[0]).put(key, b"v")
    assert call.ok
    box.start(primaries[0])
    box.run_until(lambda: box.agree(key), 6.0)
    assert len(box.versions(primaries[0], key)) == 1


def test_a_put_given_up_on_and_done_all_the_same_by_the_first_primary_is_still_one_write(box):
    """The primary gets the put, but none of its own datagrams arrive. The next primary does it again, and it is replaced there
    before the first is heard of again: under a dot of its own it would come back as a sibling of its successor."""
    key, strangers, primaries = stranger_and_primaries(box)
    for name in box.names:
        if name != primaries[0]:
            box.cut(primaries[0], name, both=False)
    for primary in primaries[1:]:
        box.cut(primaries[0], primary)
    client = box.client(strangers[0])
    context = client.put(key, b"v").context
    assert client.put(key, b"w", context).ok
    assert box.values(primaries[0], key) == [b"v"]
    assert box.values(primaries[1], key) == [b"w"]
    box.heal()
    box.run_until(lambda: box.agree(key), 6.0)
    assert [version.value for version in box.versions(primaries[0], key)] == [b"w"]


def test_a_strict_cluster_whose_primaries_are_gone_answers_timeout(box):
    box = Box(5, seed=1, config=Config(sloppy=False))
    key, strangers, primaries = stranger_and_primaries(box)
    for primary in primaries:
        box.crash(primary)
    assert box.client(strangers[0]).put(key, b"v").error == "timeout"
    assert not any(box.state(name, key).versions for name in box.names)


def test_a_refusal_after_another_primary_was_asked_is_indefinite():
    """The first primary did the put, and only its answers are lost. The others are busy: "it certainly did not happen"
    would be a lie."""
    box = Box(5, seed=1, config=Config(sloppy=False, anti_entropy_s=0))
    key, strangers, primaries = stranger_and_primaries(box)
    box.cut(primaries[0], strangers[0], both=False)
    for primary in primaries[1:]:
        box.hosts[primary].node.inspect().reception.ongoing = 1000
    call = box.client(strangers[0]).put(key, b"v")
    assert call.error == "timeout"
    assert "busy" in call.reply.message
    assert box.values(primaries[0], key) == [b"v"]


def test_a_refusal_of_the_only_primary_asked_is_definite(box):
    key, strangers, primaries = stranger_and_primaries(box)
    box.hosts[primaries[0]].node.inspect().reception.ongoing = 1000
    assert box.client(strangers[0]).put(key, b"v").error == "busy"


def test_a_refusal_by_the_node_itself_after_a_primary_was_asked_is_indefinite(box, monkeypatch):
    key, strangers, primaries = stranger_and_primaries(box)
    box.crash(primaries[1])
    box.crash(primaries[2])
    box.run_for(3.0)
    box.cut(primaries[0], strangers[0], both=False)
    call = box.client(strangers[0]).begin(Put(key, b"v", None))
    box.run_until(lambda: box.values(primaries[0], key) == [b"v"])
    monkeypatch.setattr("splitbrain.store.coordination.new_version.STATE_BYTES_MAX", 10)
    box.run_until(lambda: call.done)
    assert call.error == "timeout"
    assert "too_large" in call.reply.message


def test_a_client_that_goes_to_another_node_gets_no_definite_refusal_for_a_put(box):
    key, _, primaries = stranger_and_primaries(box)
    client = box.client(primaries[0], primaries[1])
    assert client.get(key).values == []
    box.cut(primaries[0], "client", both=False)
    box.hosts[primaries[1]].node.inspect().reception.ongoing = 1000
    call = client.begin(Put(key, b"v", None))
    box.run_until(lambda: call.done, PATIENCE_S + TIMEOUT_S)
    assert call.error == "timeout"
    assert "busy" in call.reply.message
    assert box.values(primaries[0], key) == [b"v"]


def test_two_nodes_that_hand_on_the_same_put_cause_it_once(box):
    key, strangers, primaries = stranger_and_primaries(box)
    box.hold(primaries[0])
    callers = [box.client(name) for name in strangers]
    for caller in callers[1:]:
        caller.core._rpc._next_id = callers[0].core._rpc._next_id
    calls = [caller.begin(Put(key, b"v", None)) for caller in callers]
    box.run_for(0.1)
    box.release(primaries[0])
    box.run_until(lambda: all(call.done for call in calls))
    assert all(call.ok for call in calls)
    box.run_for(1.0)
    assert len(box.versions(primaries[0], key)) == 1


# The coordinator of a put: the fastest replier of the get before it


def without_fastest(key, context):
    """What a store without the mechanism would have handed out."""
    return issue(SECRET, key, msgspec.structs.replace(accept(SECRET, key, context), fastest=""))


def coordinators(box, key):
    return {version.coordinator for name in box.names for version in box.versions(name, key)}


def test_a_put_goes_to_the_primary_that_answered_the_get_before_it(box):
    key, strangers, primaries = stranger_and_primaries(box)
    context = box.client(primaries[2]).get(key).context
    assert accept(SECRET, key, context).fastest == primaries[2]
    for node in (strangers[0], primaries[1]):
        context = box.client(node).put(key, b"v", context).context
        assert coordinators(box, key) == {primaries[2]}
    assert box.client(primaries[2]).put(key, b"v", context).ok
    assert forwarded(box) == 2


def test_a_put_goes_where_the_put_before_it_was_coordinated(box):
    key, strangers, primaries = stranger_and_primaries(box)
    context = box.client(primaries[2]).put(key, b"v").context
    assert box.client(strangers[0]).put(key, b"w", context).ok
    assert coordinators(box, key) == {primaries[2]}


def test_a_fastest_replier_that_is_suspected_is_passed_by(box):
    key, _, primaries = stranger_and_primaries(box)
    context = box.client(primaries[2]).get(key).context
    box.crash(primaries[2])
    box.run_for(3.0)
    assert box.client(primaries[1]).put(key, b"v", context).ok
    assert forwarded(box) == 0
    assert coordinators(box, key) == {primaries[1]}


def test_a_primary_that_forwarded_to_a_dying_one_coordinates_itself_and_it_stays_one_version(box):
    key, _, primaries = stranger_and_primaries(box)
    context = box.client(primaries[2]).get(key).context
    for name in box.names:
        if name != primaries[2]:
            box.cut(primaries[2], name, both=False)
    assert box.client(primaries[1]).put(key, b"v", context).ok
    box.heal()
    box.run_until(lambda: box.agree(key), 6.0)
    assert [version.value for version in box.versions(primaries[0], key)] == [b"v"]


def test_a_fastest_replier_that_is_no_primary_any_more_is_ignored(box):
    key, strangers, primaries = stranger_and_primaries(box)
    context = box.client(primaries[0]).get(key).context
    stale = issue(SECRET, key, msgspec.structs.replace(accept(SECRET, key, context), fastest=strangers[1]))
    assert box.client(primaries[1]).put(key, b"v", stale).ok
    assert coordinators(box, key) == {primaries[1]}


@pytest.mark.parametrize("config", [Config(clocks="server-id"), Config(sloppy=False)])
def test_it_works_with_server_id_clocks_and_with_a_strict_quorum_as_well(config):
    box = Box(5, seed=1, config=config)
    key, strangers, primaries = stranger_and_primaries(box)
    context = box.client(primaries[2]).get(key).context
    for value, node in zip((b"a", b"b", b"c"), (strangers[0], primaries[1], primaries[0]), strict=True):
        context = box.client(node).put(key, value, context).context
        assert coordinators(box, key) == {primaries[2]}
    assert box.client(primaries[1]).get(key).values == [b"c"]


def share_that_reads_its_own_write(seed, *, fastest):
    """Of clients that read through the node next to them and write through any, with R = W = 1."""
    box = Box(5, seed=seed, config=Config(r=1, w=1, partitions=16, read_repair="off", anti_entropy_s=0))
    own, keys = 0, [b"k%d" % i for i in range(40)]
    readers = {name: box.client(name) for name in box.names}
    writers = {name: box.client(name) for name in box.names}
    for key in keys:
        reader = readers[box.rng.choice(box.ring.primaries(key))]
        context = reader.get(key).context
        if not fastest:
            context = without_fastest(key, context)
        assert writers[box.rng.choice(box.names)].put(key, b"mine", context).ok
        own += reader.get(key).values == [b"mine"]
    return own / len(keys)


def test_going_to_the_fastest_replier_raises_the_chance_to_read_ones_own_write():
    with_it = [share_that_reads_its_own_write(seed, fastest=True) for seed in range(10)]
    without = [share_that_reads_its_own_write(seed, fastest=False) for seed in range(10)]
    assert min(with_it) > max(without)


def test_it_raises_only_the_chance():
    """The replier is cut off before the put: another primary takes it, and the client reads what was there before."""
    box = Box(5, seed=1, config=Config(r=1, w=1, anti_entropy_s=0))
    key, _, primaries = stranger_and_primaries(box)
    reader = box.client(primaries[2])
    context = reader.get(key).context
    box.isolate(primaries[2])
    box.run_for(3.0)
    assert box.client(primaries[0]).put(key, b"mine", context).ok
    assert reader.get(key).values == []
