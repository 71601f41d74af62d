"""Requests that wait: bounds on what is under way to a peer, on what waits for it, and on one message."""

from __future__ import annotations

import pytest

from splitbrain.store.actions import Instant
from splitbrain.store.wire import rpc as module
from splitbrain.store.wire.client_messages import Put
from splitbrain.store.wire.peer_messages import Ping, Pong
from splitbrain.store.wire.reassembly import MESSAGE_BYTES_MAX
from splitbrain.store.wire.rpc import IN_FLIGHT_MAX, WAITING_MAX
from tests.store.wire.sides import Pair


@pytest.fixture
def pair():
    return Pair()


def test_only_so_many_requests_are_under_way_to_a_peer(pair):
    pair.b.answer_with(None)
    for _ in range(IN_FLIGHT_MAX + 10):
        pair.a.ask(pair.b, Ping())
    assert pair.a.rpc.queues["asked"] == IN_FLIGHT_MAX
    assert pair.a.rpc.queues["waiting"] == 10
    pair.run(0.05)
    for incoming in pair.b.taken[:4]:
        pair.b.rpc.answer(incoming, Pong())
    pair.flush(pair.b)
    pair.run(0.06)
    assert pair.a.rpc.queues["waiting"] == 6


def test_thousands_waiting_for_a_dead_peer_all_time_out_without_piling_up_on_the_stack(pair):
    pair.carries = lambda sender, datagram: False
    replies = [pair.a.ask(pair.b, Ping(), deadline=1.0) for _ in range(3000)]
    pair.run(2.0)
    assert replies == [[None]] * 3000
    assert pair.a.rpc.queues["asked"] == pair.a.rpc.queues["waiting"] == 0


def test_a_side_that_slept_past_all_deadlines_does_not_pile_up_on_the_stack_either(pair):
    pair.carries = lambda sender, datagram: False
    replies = [pair.a.ask(pair.b, Ping(), deadline=1.0) for _ in range(3000)]
    pair.a.present.now = Instant(5.0, 0)
    pair.a.timers.run(5.0)
    assert replies == [[None]] * 3000


def test_a_waiting_request_times_out_at_its_own_deadline(pair):
    pair.carries = lambda sender, datagram: False
    for _ in range(IN_FLIGHT_MAX):
        pair.a.ask(pair.b, Ping(), deadline=10.0)
    waiting = pair.a.ask(pair.b, Ping(), deadline=1.0)
    pair.run(1.001)
    assert waiting == [None]


def test_past_the_bound_of_waiting_requests_one_is_refused_as_busy_and_not_at_once(pair):
    pair.carries = lambda sender, datagram: False
    for _ in range(IN_FLIGHT_MAX + WAITING_MAX):
        pair.a.ask(pair.b, Ping())
    refused = pair.a.ask(pair.b, Ping())
    assert refused == []
    pair.run(0.0)
    assert [reply.code for reply in refused] == ["busy"]


def test_a_message_that_is_too_long_is_refused_before_anything_is_sent(pair):
    replies = pair.a.ask(pair.b, Put(b"k", bytes(MESSAGE_BYTES_MAX), None))
    pair.run(0.1)
    assert [reply.code for reply in replies] == ["too_large"]
    assert pair.sent == []


def test_short_requests_do_not_wait_behind_long_ones(pair):
    pair.b.answer_with(None)
    pair.a.ask(pair.b, Ping())
    pair.run(0.01)
    for _ in range(IN_FLIGHT_MAX + 10):
        pair.a.ask(pair.b, Put(b"k", bytes(100_000), None), deadline=9.0)
    pair.b.answer_with(Pong())
    asked = pair.now
    replies = pair.a.ask(pair.b, Ping(), deadline=9.0)
    pair.run(asked + 0.0021)
    assert replies == [Pong()]


def test_past_the_bound_of_long_requests_one_is_refused_as_busy_and_says_when_to_come_back(pair, monkeypatch):
    monkeypatch.setattr(module, "LONG_MAX", 3)
    pair.carries = lambda sender, datagram: False
    replies = [pair.a.ask(pair.b, Put(b"k", bytes(100_000), None)) for _ in range(4)]
    pair.run(0.0)
    assert replies[:3] == [[], [], []]
    assert [(reply.code, reply.retry_after_ms) for reply in replies[3]] == [("busy", module.BUSY_HERE_MS)]
