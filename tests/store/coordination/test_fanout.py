"""Whom a request asks, and who stands in."""

from __future__ import annotations

import pytest

from splitbrain.store.config import Config
from splitbrain.store.coordination.fanout import Answered, Ask, AskAgain, Expect, Fanout, PendingChanged, RingDiffers
from splitbrain.store.wire.client_messages import Failed, Put
from splitbrain.store.wire.peer_messages import Moved, Read, Write, Written
from tests.store.box import Box


@pytest.fixture
def box():
    return Box(5, seed=1)


def asked(box, kind):
    """Decoded replica requests by target, as they go out."""
    seen = []
    for name in box.names:
        if box.hosts[name].node is None:
            continue
        core = box.parts(name).core
        plain = core.rpc.ask

        def ask(to, request, deadline, on_reply, *rest, plain=plain, **named):
            if isinstance(request, kind):
                seen.append((box.owner[to], request))
            plain(to, request, deadline, on_reply, *rest, **named)

        core.rpc.ask = ask
    return seen


def test_no_machine_is_asked_twice_for_one_request(box):
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    box.crash(primaries[1])
    box.crash(primaries[2])
    seen = asked(box, Write)
    client = box.client(primaries[0])
    client.put(key, b"v", w=3)
    targets = [target for target, _ in seen]
    assert len(targets) == len(set(targets)) == 4
    assert {request.owner for _, request in seen} == {None, primaries[1], primaries[2]}


def test_trusted_primaries_that_answer_are_asked_and_nobody_else(box):
    key = next(box.keys())
    seen = asked(box, Read | Write)
    box.client(box.ring.primaries(key)[0]).put(key, b"v")
    box.client(box.ring.primaries(key)[0]).get(key)
    box.run_for(2.0)
    assert sorted(target for target, _ in seen) == sorted(box.ring.primaries(key)[1:] * 2)


def test_a_suspected_primary_gets_its_fallback_at_once(box):
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    box.crash(primaries[2])
    box.run_for(4.0)
    seen = asked(box, Write)
    began = box.now
    assert box.client(primaries[0]).put(key, b"v", w=3).ok
    assert box.now - began < 0.1
    assert primaries[2] not in [target for target, _ in seen]


def test_a_strict_quorum_has_no_fallbacks():
    box = Box(5, seed=1, config=Config(sloppy=False))
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    box.crash(primaries[2])
    box.run_for(4.0)
    seen = asked(box, Write)
    box.client(primaries[0]).put(key, b"v")
    box.run_for(2.0)
    assert {target for target, request in seen} == set(primaries[1:])


def test_a_primary_wrongly_suspected_is_asked_itself_when_its_fallbacks_do_not_answer(box):
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    node = box.hosts[primaries[0]].node
    for name in box.names:
        if name not in primaries:
            box.crash(name)
    detector = node.inspect().core.detector
    detector.suspects = lambda peer, now: peer == primaries[1]
    assert box.client(primaries[0]).put(key, b"v", w=3).ok


def test_a_primary_that_refuses_gets_a_fallback_and_counts_for_nothing(box):
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    refusing = box.hosts[primaries[1]].node
    rpc = refusing.inspect().core.rpc
    plain = rpc.answer
    rpc.answer = lambda incoming, reply: plain(incoming, Failed("busy", "no") if isinstance(reply, Written) else reply)
    seen = asked(box, Write)
    call = box.client(primaries[0]).begin(Put(key, b"v", None, 3))
    box.run_until(lambda: call.done)
    assert call.ok
    assert [request.owner for _, request in seen if request.owner] == [primaries[1]]


def test_a_fallbacks_nothing_counts_as_soon_as_the_last_primary_is_given_up():
    box = Box(4, seed=1)
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    box.crash(primaries[1])
    box.run_for(4.0)
    box.crash(primaries[2])
    began = box.now
    assert box.client(primaries[0]).get(key).values == []
    assert box.now - began < 0.5


def fanout_of(box, *, sloppy=True):
    """A fan-out on the first primary replica of a key, with the primaries."""
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    core = box.parts(primaries[0]).core
    return Fanout(core, key, core.now + 1.0, sloppy), primaries


def test_the_fan_out_says_whom_to_ask_and_asks_nobody(box):
    fanout, (own, one, other) = fanout_of(box)
    before = box.datagrams
    assert list(fanout.start(besides=own)) == [Ask(one, None), Expect(one), Ask(other, None), Expect(other)]
    assert fanout.pending == fanout.unanswered == {one, other}
    box.run_for(0.0)
    assert box.datagrams == before


def test_a_primary_that_is_overdue_leaves_its_place_to_a_fallback_and_is_pending_no_more(box):
    fanout, (own, one, other) = fanout_of(box)
    list(fanout.start(besides=own))
    asked, expected, changed = fanout.overdue(one)
    assert (asked.owner, expected, changed) == (one, Expect(one), PendingChanged())
    assert asked.node not in (own, one, other)
    assert fanout.pending == {other}
    assert fanout.degraded


def test_a_refusal_is_not_waited_out(box):
    fanout, (own, one, _) = fanout_of(box)
    list(fanout.start(besides=own))
    asked, *_ = fanout.answered(one, None, Failed("busy", "no"))
    assert asked.owner == one


def test_what_an_answer_completes_decides_whether_more_are_asked(box):
    """The answer comes from a node without a token. Whoever coordinates finds that it is enough: nobody is sought."""
    fanout, (own, one, _) = fanout_of(box)
    list(fanout.start(besides=own))
    events = fanout.answered(one, None, Written(slot=None))
    assert next(events) == Answered(one, None, Written(slot=None))
    fanout.enough()
    assert list(events) == [PendingChanged()]


def test_where_a_node_holds_no_token_those_who_may_hold_it_are_asked_and_all_are_asked_again(box):
    fanout, (own, one, _) = fanout_of(box)
    list(fanout.start(besides=own))
    _, *events = fanout.answered(one, None, Written(slot=None))
    *sought, again, changed = events
    assert isinstance(again, AskAgain) and changed == PendingChanged()
    assert {event.node for event in sought if isinstance(event, Ask)} == set(box.names) - set(
        box.ring.primaries(next(box.keys()))
    )
    assert next(iter(fanout.again())) == Ask(one, None)


def test_a_node_that_knows_another_ring_is_no_answer(box):
    fanout, (own, one, _) = fanout_of(box)
    list(fanout.start(besides=own))
    events = list(fanout.answered(one, None, Moved()))
    assert events[0] == RingDiffers(one)
    assert not any(isinstance(event, Answered) for event in events)
    assert one in fanout.unanswered
