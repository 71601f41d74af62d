"""Requests that several nodes are asked, and that nobody waits for any more once one has answered."""

from __future__ import annotations

import pytest

from splitbrain.store.wire.client_messages import Failed, Put, Stored
from splitbrain.store.wire.datagrams import RETRY
from splitbrain.store.wire.messages import encode
from splitbrain.store.wire.peer_messages import Ping, Pong
from splitbrain.store.wire.rpc import IN_FLIGHT_MAX
from tests.store.wire.sides import PUT, Pair, fragmented

LONG = Put(b"k", bytes(300_000), None)


@pytest.fixture
def pair():
    """Two sides that know each other."""
    made = Pair()
    made.greeted(Ping())
    made.b.answer_with(None)
    made.run(made.now + 2.0)
    made.b.taken.clear()
    return made


def test_one_request_may_be_under_way_to_two_nodes_and_each_answers_for_itself(pair):
    pair.b.answer_with(Stored(b"c"))
    there = pair.a.ask(pair.b, PUT, request_id=7, deadline=9.0)
    elsewhere = []
    pair.a.rpc.ask(("c", 1), PUT, 9.0, elsewhere.append, 7)
    pair.a.out.clear()
    pair.run(pair.now + 0.1)
    assert there == [Stored(b"c")]
    assert elsewhere == []
    assert pair.a.rpc.queues["asked"] == 1
    with pytest.raises(ValueError, match="under way to c:1 already"):
        pair.a.rpc.ask(("c", 1), PUT, 9.0, elsewhere.append, 7)


def test_a_long_request_that_is_dropped_frees_the_window_and_is_sent_no_more(pair):
    pair.a.ask(pair.b, LONG, request_id=7, deadline=9.0)
    pair.run(pair.now + 0.0015)
    (flow,) = pair.a.rpc.long._flows.values()
    assert flow._flying > 0
    pair.a.rpc.drop(pair.b.address, 7)
    assert flow._flying == 0
    assert {name: pair.a.rpc.queues[name] for name in ("asked", "sending", "sending_bytes")} == {
        "asked": 0,
        "sending": 0,
        "sending_bytes": 0,
    }
    before = pair.count(pair.a)
    pair.run(pair.now + 3.0)
    assert pair.count(pair.a) == before
    pair.b.answer_with(Stored(b"c"))
    replies = pair.a.ask(pair.b, LONG, deadline=9.0)
    pair.run(pair.now + 1.0)
    assert replies == [Stored(b"c")]


def test_a_request_that_is_dropped_makes_room_for_one_that_waits(pair):
    for number in range(IN_FLIGHT_MAX):
        pair.a.ask(pair.b, Ping(), request_id=1000 + number, deadline=9.0)
    pair.run(pair.now + 0.1)
    pair.b.answer_with(Pong())
    replies = pair.a.ask(pair.b, Ping(), deadline=9.0)
    assert pair.a.rpc.queues["waiting"] == 1
    pair.a.rpc.drop(pair.b.address, 1000)
    pair.flush(pair.a)
    pair.run(pair.now + 0.01)
    assert replies == [Pong()]


def test_one_that_waits_may_be_dropped_and_one_that_is_over_too(pair):
    for number in range(IN_FLIGHT_MAX + 1):
        replies = pair.a.ask(pair.b, Ping(), request_id=1000 + number, deadline=9.0)
    pair.a.rpc.drop(pair.b.address, 1000 + IN_FLIGHT_MAX)
    pair.run(10.0)
    pair.a.rpc.drop(pair.b.address, 1000 + IN_FLIGHT_MAX)
    pair.a.rpc.drop(("nowhere", 1), 1)
    assert replies == []
    assert pair.a.rpc.queues["asked"] == pair.a.rpc.queues["waiting"] == 0


def test_a_retry_of_what_an_earlier_incarnation_may_have_done_is_never_refused_as_busy(pair):
    """`busy` says that it certainly did not happen."""
    pair.b.rpc.admit = lambda size: Failed("busy", "later", 70)
    for datagram in fragmented(pair.a.wire, RETRY, 7, pair.b.wire.incarnation, encode(LONG), defers=True):
        pair.b.rpc.receive(datagram, pair.a.address)
    assert [(incoming.request, incoming.retried) for incoming in pair.b.taken] == [(LONG, True)]


def test_a_long_put_that_arrived_before_the_node_was_replaced_is_a_retry_to_the_next(pair):
    replies = pair.a.ask(pair.b, LONG, deadline=9.0, defers=True)
    pair.run(pair.now + 0.5)
    assert [incoming.retried for incoming in pair.b.taken] == [False]
    pair.b.restart().answer_with(Stored(b"c"))
    pair.b.rpc.admit = lambda size: Failed("busy", "later", 70)
    pair.run(pair.now + 3.0)
    assert [incoming.retried for incoming in pair.b.taken] == [True]
    assert replies == [Stored(b"c")]


def test_a_long_put_of_which_the_node_had_only_a_part_is_no_retry_to_the_next(pair):
    pair.a.ask(pair.b, LONG, deadline=9.0)
    pair.run(pair.now + 0.0015)
    pair.b.restart().answer_with(Stored(b"c"))
    pair.run(pair.now + 3.0)
    assert [incoming.retried for incoming in pair.b.taken] == [False]


def test_what_was_sent_under_an_earlier_incarnation_of_this_side_is_a_retry(pair):
    """The peer would not know it again."""
    pair.a.ask(pair.b, PUT, deadline=9.0)
    pair.run(pair.now + 0.01)
    pair.a.wire._renew()
    pair.run(pair.now + 3.0)
    assert [incoming.retried for incoming in pair.b.taken] == [False, True]
