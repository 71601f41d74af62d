"""Reception: requests that a node refuses, those that come twice, and those that waited while it was stalled."""

from __future__ import annotations

import pytest

from splitbrain.harness.simulation.cluster import START_S
from splitbrain.store import client_core
from splitbrain.store.actions import Record
from splitbrain.store.config import KEY_BYTES_MAX, VALUE_BYTES_MAX
from splitbrain.store.coordination import reception as module
from splitbrain.store.errors import StoreError
from splitbrain.store.storage.replica import RING
from splitbrain.store.wire.client_messages import Failed, Put
from splitbrain.store.wire.peer_messages import Forward
from tests.store.box import Box, Call
from tests.store.coordination.replicas import key_and_primaries, nothing_stored, strangers


@pytest.fixture
def box():
    return Box(5, seed=1)


# Requests that are refused


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


# Requests that are under way, or waited


def test_a_node_with_all_it_can_take_under_way_says_busy_and_recovers(monkeypatch):
    monkeypatch.setattr(module, "REQUESTS_MAX", 5)
    monkeypatch.setattr(client_core, "PATIENCE_S", 0.0)  # Else the client would come back until there is room.
    box = Box(3)
    for name in ("n2", "n3"):
        box.crash(name)
    client = box.client("n1")
    reception, refused, answer = box.parts("n1").reception, [], box.parts("n1").core.rpc.answer

    def note(incoming, reply):
        assert reception.ongoing <= 5
        if isinstance(reply, Failed) and reply.code == "busy":
            assert reply.retry_after_ms > 0
            refused.append(incoming.request.key)
        answer(incoming, reply)

    monkeypatch.setattr(box.parts("n1").core.rpc, "answer", note)
    calls = [client.begin(Put(b"k%d" % i, b"v", None)) for i in range(8)]
    box.run_for(0.05)
    assert len(refused) == len(set(refused)) == 3
    box.run_until(lambda: all(call.done for call in calls), 10.0)
    assert [call.error for call in calls] == ["quorum_failed"] * 8  # The client came back with those.
    assert client.get(b"k0", r=1).ok
    assert box.parts("n1").reception.ongoing == 0


def test_a_put_that_is_under_way_here_is_not_refused_as_busy_when_it_comes_again(monkeypatch):
    monkeypatch.setattr(module, "REQUESTS_MAX", 1)
    box = Box(3)
    box.hold("n1")
    client = box.client("n1")
    call = client.begin(Put(b"k", b"v", None))
    box.run_for(0.05)
    forward = Forward(client.core._rpc._next_id, Put(b"k", b"v", None))
    twin = box.client("n1").begin(forward)
    box.run_for(0.05)
    assert not twin.done
    box.release("n1")
    box.run_until(lambda: call.done and twin.done)
    assert call.reply == twin.reply
    assert call.ok


def test_two_clients_with_one_request_id_for_two_keys_are_two_puts():
    box = Box(3)
    one, other = box.client("n1"), box.client("n1")
    other.core._rpc._next_id = one.core._rpc._next_id
    calls = [one.begin(Put(b"a", b"v", None)), other.begin(Put(b"b", b"w", None))]
    box.run_until(lambda: all(call.done for call in calls))
    assert one.get(b"a").values == [b"v"]
    assert one.get(b"b").values == [b"w"]


def test_a_put_that_is_sent_again_to_a_node_just_started_is_done_once():
    """Nodes refused every retried put for ten seconds after their start: with some loss, one in ten puts failed."""
    box = Box(3, settled=False)
    lost = iter([True])
    box.wiretap = lambda source, target, datagram: not (source == "client" and next(lost, False))
    assert box.client("n1").put(b"k", b"v").ok
    assert box.now < START_S + 2
    assert len(box.versions("n1", b"k")) == 1


def sent_to_two_incarnations(box, put):
    """A put that n1 does, and is asked for again after a restart, when somebody has replaced it. Returns the call."""
    client = box.client("n1")
    assert client.get(b"k").ok  # They know each other: the put is taken at once.
    box.cut("n1", "client", both=False)
    call = Call()
    client.core._rpc.ask(box.hosts["n1"].address, put, box.now + 3.0, call, 77)
    box.send_all(client.address, client.core._actions())
    box.run_until(lambda: bool(box.versions("n2", b"k")))
    other = box.client("n2")
    assert other.put(b"k", b"w", other.get(b"k").context).ok
    box.run_for(0.2)
    box.crash("n1")
    box.start("n1")
    box.heal()
    box.run_until(lambda: call.done)
    return call


def test_a_put_without_identity_that_an_earlier_incarnation_was_sent_is_indefinite_and_not_done():
    box = Box(3)
    call = sent_to_two_incarnations(box, Put(b"k", b"v", None))
    assert call.error == "timeout"
    assert "n1 started while this put was under way" in call.message
    assert box.values("n1", b"k") == [b"w"]


def test_a_put_with_an_identity_that_an_earlier_incarnation_did_is_known_to_be_done():
    box = Box(3)
    call = sent_to_two_incarnations(box, Put(b"k", b"v", None, identity=(7, 1)))
    assert call.ok
    assert box.values("n1", b"k") == [b"w"]


def test_a_first_attempt_at_a_node_that_is_unknown_yet_leaves_no_doubt():
    """It is lost, or is answered with a hello: whichever incarnation sends that, none can have taken the put."""
    box = Box(3)
    client, call = box.client("n1"), Call()
    lost = iter([True, True])
    box.wiretap = lambda source, target, datagram: not (source == "client" and next(lost, False))
    client.core._rpc.ask(box.hosts["n1"].address, Put(b"k", b"v", None), box.now + 3.0, call, 77)
    box.send_all(client.address, client.core._actions())
    box.crash("n1")
    box.start("n1")
    box.run_until(lambda: call.done)
    assert call.ok


@pytest.mark.parametrize("via", ["client", "stranger"])
@pytest.mark.parametrize("trouble", ["lost its membership", "has a full disk"])
def test_a_put_that_the_node_did_before_a_crash_is_not_said_to_be_refused_when_it_comes_again(via, trouble):
    """Flipped bits in the record of the membership: the restarted node said `not_member`, of a put that had been done."""
    box = Box(5)
    key, primaries = key_and_primaries(box)
    first = primaries[0]
    # A stranger forwards the put with a dot, which would tell whether it was done, were it looked at.
    through = first if via == "client" else strangers(box, key)[0]
    asker = "client" if via == "client" else through
    client = box.client(through)
    assert client.get(key).ok  # They know each other: the put needs no answer to be taken.
    call = client.begin(Put(key, b"v", None))
    box.cut(first, asker, both=False)
    box.run_until(lambda: bool(box.versions(first, key)))
    box.crash(first)
    if trouble == "lost its membership":
        box.setups[first] = box.setups[first]._replace(members=(), seeds=())
        engine = box.hosts[first].engine
        engine.commit([Record(RING, k, None) for k, _ in list(engine.scan(RING))])
        box.start(first)
    else:
        box.hold(first)
        box.start(first)
        host = box.hosts[first]
        asked, host.pending[:] = host.pending[:], []
        for persist in asked:
            box.do(host, host.node.persist_refused(persist.ticket, box.instant(host)))
        assert box.parts(first).core.replica.full
    box.heal()
    box.run_until(lambda: call.done)
    assert box.versions(first, key)
    assert call.ok or not StoreError(call.error, "").kind.definite


def test_a_node_that_was_stalled_drops_the_puts_that_waited_and_takes_them_when_they_come_again():
    box = Box(3)
    client = box.client("n1")
    box.pause("n1")
    call, held = None, []
    box.wiretap = lambda source, target, datagram: held.append((target, datagram)) or target != "n1"
    call = client.begin(Put(b"k", b"v", None))
    box.run_for(1.0)
    box.resume("n1")
    first = next(datagram for target, datagram in held if target == "n1")
    box.inject(box.hosts["n1"].address, first, client.address)
    box.wiretap = lambda source, target, datagram: True
    box.run_until(lambda: call.done)
    assert call.ok
    assert box.counter("n1", "stalls") >= 1
    assert box.counter("n1", "stale_puts") >= 1
    assert len(box.versions("n1", b"k")) == 1
