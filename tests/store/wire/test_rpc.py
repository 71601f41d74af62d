"""Requests: how they are retried, and that a peer does each of them once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.wire import rpc as module
from splitbrain.store.wire import taken
from splitbrain.store.wire.client_messages import Failed, Get, Local, Put, Stored
from splitbrain.store.wire.datagrams import RETRY, Wire
from splitbrain.store.wire.messages import encode
from splitbrain.store.wire.peer_messages import Ping, Pong
from splitbrain.store.wire.taken import ANSWER_KEPT_S
from tests.store.wire.sides import PUT, SECRET, Pair


@pytest.fixture
def pair():
    return Pair()


def test_a_request_is_answered(pair):
    pair.b.answer_with(Pong())
    replies = pair.a.ask(pair.b, Ping())
    pair.run(1.0)
    assert replies == [Pong()]
    assert pair.a.rpc.queues["asked"] == 0


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.6))
def test_a_lossy_network_delays_a_request_and_does_it_once(seed, loss):
    pair, rng = Pair(), random.Random(seed)
    pair.carries = lambda sender, datagram: rng.random() >= loss
    pair.b.answer_with(Stored(b"c"))
    replies = pair.a.ask(pair.b, PUT, deadline=60.0)
    pair.run(9.0)
    assert len(pair.b.taken) <= 1
    assert replies in ([], [Stored(b"c")])
    if pair.b.taken and loss < 0.3:
        assert replies == [Stored(b"c")]


def test_a_request_without_an_answer_fails_once_at_its_deadline(pair):
    pair.b.answer_with(None)
    replies = pair.a.ask(pair.b, Ping(), deadline=1.0)
    pair.run(0.99)
    assert replies == []
    pair.run(5.0)
    assert replies == [None]
    assert pair.a.rpc.queues["asked"] == 0
    assert pair.a.timers.next is None


def test_retries_back_off(pair):
    pair.carries = lambda sender, datagram: False
    pair.a.ask(pair.b, Ping(), deadline=10.0)
    pair.run(10.0)
    assert 10 < pair.count(pair.a) < 25


def test_a_retried_put_is_answered_from_memory(pair):
    pair.b.answer_with(Stored(b"c"))
    lost = iter([False, True])  # b's hello arrives, its answer does not.
    pair.carries = lambda sender, datagram: sender is pair.a or not next(lost, False)
    replies = pair.a.ask(pair.b, PUT)
    pair.run(1.0)
    assert replies == [Stored(b"c")]
    assert len(pair.b.taken) == 1
    assert pair.b.rpc.counters["repeated_requests"] == 1


def test_the_first_request_to_a_peer_learns_its_incarnation_and_is_no_retry(pair):
    pair.b.answer_with(Stored(b"c"))
    replies = pair.a.ask(pair.b, PUT)
    pair.run(1.0)
    assert replies == [Stored(b"c")]
    assert [incoming.retried for incoming in pair.b.taken] == [False]
    assert pair.b.rpc.counters["hellos"] == 1
    assert pair.a.rpc.counters["retries"] == 0
    pair.a.ask(pair.b, PUT, deadline=2.0)
    pair.run(2.0)
    assert len(pair.b.taken) == 2
    assert pair.b.rpc.counters["hellos"] == 1


def test_a_peer_that_was_started_again_is_asked_again_at_once(pair):
    pair.b.answer_with(Stored(b"c"))
    pair.a.ask(pair.b, PUT)
    pair.run(1.0)
    pair.b.restart().answer_with(Stored(b"d"))
    replies = pair.a.ask(pair.b, PUT, deadline=1.01)
    pair.run(1.01)
    assert replies == [Stored(b"d")]


def test_requests_recorded_on_their_way_to_one_peer_are_taken_by_no_other_and_by_none_that_was_started_again(pair):
    pair.b.answer_with(Stored(b"c"))
    pair.a.ask(pair.b, PUT)
    pair.run(1.0)
    recorded = [datagram for side, datagram in pair.sent if side is pair.a]
    pair.b.restart().answer_with(Stored(b"d"))
    for datagram in recorded:
        pair.b.rpc.receive(datagram, ("stranger", 1))
        answered = sum(len(send.datagram) for send in pair.b.out)
        pair.b.out.clear()
        assert answered <= len(datagram)
    assert pair.b.taken == []


def test_a_hello_that_answers_nothing_and_one_too_many_change_nothing(pair):
    pair.b.answer_with(None)
    pair.a.ask(pair.b, PUT)
    for other_boot in range(10):
        pair.a.rpc.receive(
            Wire(SECRET, "c", "x", lambda k, b=other_boot: b + 1).hello(5, pair.a.wire.incarnation), ("b", 1)
        )
    assert pair.a.rpc.counters["unasked_answers"] == 10
    pair.run(0.01)
    (asked,) = pair.a.rpc._asked.values()
    sent = len(pair.sent)
    for other_boot in range(10):
        wire = Wire(SECRET, "c", "x", lambda k, b=other_boot: b + 1)
        pair.a.rpc.receive(wire.hello(asked.request_id, pair.a.wire.incarnation), ("b", 1))
    pair.flush(pair.a)
    assert len(pair.sent) - sent <= module.HELLOS_MAX


def test_a_long_message_to_a_peer_whose_incarnation_is_unknown_gets_one_hello(pair):
    pair.b.answer_with(Stored(b"c"))
    replies = pair.a.ask(pair.b, Put(b"k", bytes(20_000), None))
    pair.run(1.0)
    assert replies == [Stored(b"c")]
    assert sum(side is pair.b and len(datagram) == 65 for side, datagram in pair.sent) == 1


@pytest.mark.parametrize("met_before", [False, True])
def test_a_retry_to_the_same_incarnation_is_none_to_the_peer(pair, met_before):
    """No incarnation before can have done it, so there is nothing to doubt."""
    pair.b.answer_with(Stored(b"c"))
    if met_before:
        pair.a.ask(pair.b, PUT)
        pair.run(0.1)
        pair.b.taken.clear()
    lost = iter([True, False, True])
    pair.carries = lambda sender, datagram: not next(lost, False)
    pair.a.ask(pair.b, PUT)
    pair.run(1.0)
    assert [incoming.retried for incoming in pair.b.taken] == [False]


@pytest.mark.parametrize("lost", [1, 2])
def test_a_retry_to_a_later_incarnation_than_the_first_attempt_says_so(pair, lost):
    """The first attempt arrived, and only its answer is missing; or it did not. The sender can't tell."""
    pair.b.answer_with(Stored(b"c"))
    pair.a.ask(pair.b, PUT)
    pair.run(0.1)
    missing = iter([True] * lost)
    pair.carries = lambda sender, datagram: not next(missing, False)
    replies = pair.a.ask(pair.b, PUT, deadline=3.0)
    pair.b.restart().answer_with(Stored(b"d"))
    pair.run(2.0)
    assert [incoming.retried for incoming in pair.b.taken] == [True]
    assert replies == [Stored(b"d")]


def test_a_request_that_is_being_done_is_not_done_again(pair):
    pair.b.answer_with(None)
    replies = pair.a.ask(pair.b, Get(b"k"), deadline=3.0)
    pair.run(2.0)
    assert len(pair.b.taken) == 1
    pair.b.rpc.answer(pair.b.taken[0], Pong())
    pair.flush(pair.b)
    pair.run(2.1)
    assert replies == [Pong()]


def test_answers_to_puts_are_kept_and_others_are_not(pair):
    pair.b.answer_with(Pong())
    for request in (Ping(), Get(b"k"), Local(b"k"), PUT):
        pair.a.ask(pair.b, request)
    pair.run(1.0)
    assert pair.b.rpc.queues["answers_kept"] == 1
    pair.run(ANSWER_KEPT_S + 2)
    pair.a.ask(pair.b, PUT, deadline=pair.now + 1)
    pair.run(pair.now + 1)
    assert pair.b.rpc.queues["answers_kept"] == 1


def test_a_flood_of_requests_that_are_never_answered_is_forgotten_in_part(pair, monkeypatch):
    monkeypatch.setattr(taken, "TAKEN_MAX", 10)
    pair.b.answer_with(None)
    for _ in range(50):
        pair.a.ask(pair.b, Ping())
    pair.run(0.05)
    assert pair.b.rpc.queues["answers_kept"] <= 10


def test_request_ids_are_64_random_bits_that_count():
    first, second = (Pair().a.rpc for _ in range(2))
    assert first.new_id() == second.new_id()  # Same bits, same ids.
    assert first.new_id() + 1 == first.new_id()
    assert 1 << 40 < first.new_id() < 1 << 64
    assert first.new_id() & 0xFFFFFFFF > 1000
    first._next_id = (1 << 64) - 1
    assert first.new_id() == 0


def test_a_forgotten_request_is_taken_again(pair):
    pair.b.answer_with(None)
    pair.a.ask(pair.b, PUT, deadline=3.0)
    pair.run(0.01)
    pair.b.rpc.forget(pair.b.taken[0])
    pair.run(2.0)
    assert len(pair.b.taken) == 2


def test_a_put_that_was_refused_as_busy_is_not_done_if_a_copy_of_it_comes_later(pair):
    """Its sender has been told that it certainly did not happen."""
    pair.b.answer_with(Failed("busy", "later", 100))
    replies = pair.a.ask(pair.b, PUT, request_id=77)
    pair.run(0.5)
    assert [reply.code for reply in replies] == ["busy"]
    pair.b.answer_with(Stored(b"c"))
    pair.b.taken.clear()
    late = pair.a.wire.datagram(RETRY, 77, pair.b.wire.incarnation, encode(PUT))
    pair.b.rpc.receive(late, pair.a.address)
    assert pair.b.taken == []


def test_requests_to_a_silent_peer_do_not_each_begin_with_short_timeouts(pair):
    """Each was sent five times within its second, however long the peer had been silent."""
    pair.b.answer_with(Pong())
    pair.a.ask(pair.b, Ping())
    pair.run(0.1)
    pair.carries = lambda sender, datagram: False
    pair.a.ask(pair.b, Ping(), deadline=1.1)
    pair.run(1.1)
    first = len(pair.sent)
    for _ in range(10):
        pair.a.ask(pair.b, Ping(), deadline=2.1)
    pair.run(2.1)
    assert len(pair.sent) - first <= 30
    pair.carries = lambda sender, datagram: True
    assert pair.a.ask(pair.b, Ping(), deadline=3.1) == []
    pair.run(2.2)
    lost = iter([True])
    pair.carries = lambda sender, datagram: not next(lost, False)
    again = pair.a.ask(pair.b, Ping(), deadline=4.0)
    pair.run(2.3)
    assert again == [Pong()]
