"""Answers: those that count, and those that have no effect at all."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.wire.client_messages import Failed, Report, Status, Stored
from splitbrain.store.wire.datagrams import REPLY, Wire
from splitbrain.store.wire.messages import encode
from splitbrain.store.wire.peer_messages import Ping, Pong
from tests.store.wire.sides import PUT, SECRET, Pair, Side, fragmented


@pytest.fixture
def pair():
    return Pair()


def test_an_answer_from_another_address_does_not_count(pair):
    replies, asked = pair.greeted(Ping())
    (forged,) = fragmented(pair.b.wire, REPLY, asked.request_id, asked.incarnation, encode(Pong()))
    pair.a.rpc.receive(forged, ("elsewhere", 1))
    assert replies == []
    assert pair.a.rpc.counters["unasked_answers"] == 1
    pair.a.rpc.receive(forged, pair.b.address)
    assert replies == [Pong()], "the copy shut out the original"


def test_an_answer_to_a_previous_incarnation_does_not_count(pair):
    replies, asked = pair.greeted(Ping())
    (stale,) = fragmented(pair.b.wire, REPLY, asked.request_id, asked.incarnation ^ 1, encode(Pong()))
    pair.a.rpc.receive(stale, pair.b.address)
    assert replies == []


def test_an_answer_of_a_boot_that_was_not_asked_does_not_count(pair):
    """A late one of the peer's previous incarnation, which is dead."""
    replies, asked = pair.greeted(Ping())
    other = Wire(SECRET, "c", "b", random.Random(1).getrandbits)
    pair.a.rpc.receive(other.datagram(REPLY, asked.request_id, asked.incarnation, encode(Pong())), pair.b.address)
    assert replies == []


@pytest.mark.parametrize("fault", ["elsewhere", "to another boot", "of another boot", "no longer asked", "long"])
def test_an_answer_that_does_not_count_is_no_sign_of_life_and_takes_no_memory(pair, fault):
    """Recorded answers of a dead peer, replayed from a stray socket, kept it trusted."""
    replies, asked = pair.greeted(Ping())
    heard = []
    pair.a.rpc.on_answer = lambda name, now: heard.append(name)
    queues, windows = pair.a.rpc.queues, repr(pair.a.wire._windows[pair.b.wire.incarnation]._seen)
    wire = Wire(SECRET, "c", "b", random.Random(1).getrandbits) if fault == "of another boot" else pair.b.wire
    request_id = asked.request_id ^ (fault == "no longer asked")
    incarnation = asked.incarnation ^ (fault == "to another boot")
    payload = encode(Report(bytes(9000))) if fault == "long" else encode(Pong())
    source = ("elsewhere", 1) if fault in ("elsewhere", "long") else pair.b.address
    for datagram in list(fragmented(wire, REPLY, request_id, incarnation, payload))[:-1] or [
        wire.datagram(REPLY, request_id, incarnation, payload)
    ]:
        pair.a.rpc.receive(datagram, source)
    assert (replies, heard) == ([], [])
    assert pair.a.rpc.queues == queues
    assert repr(pair.a.wire._windows[pair.b.wire.incarnation]._seen) == windows
    assert pair.a.rpc.counters["unasked_answers"] >= 1


def test_one_node_can_not_be_made_to_answer_for_another(pair):
    """Who relays datagrams had a write for b done, and acknowledged, by a node that counts toward the quorum itself."""
    pair.carries = lambda sender, datagram: False
    replies = pair.a.ask(pair.b, PUT, name="b")
    other = Side(pair, "other", ("other", 1)).answer_with(Stored(b"c"))
    for _ in range(3):
        other.rpc.receive(pair.sent[-1][1], ("relay", 1))
        for send in other.out:
            pair.a.rpc.receive(send.datagram, pair.b.address)
        other.out.clear()
        pair.run(pair.now + 0.3)
    assert other.rpc.counters["hellos"] == 3
    assert other.taken == []
    assert replies == []
    assert pair.a.rpc.counters["unasked_answers"] == 3


def test_who_answers_at_an_address_is_not_taken_for_the_node_that_is_asked_there_by_name(pair):
    pair.b.answer_with(Pong())
    pair.a.ask(pair.b, Ping())  # As a seed is asked: whoever is there.
    pair.run(0.1)
    assert len(pair.b.taken) == 1
    replies = pair.a.ask(pair.b, PUT, name="c")
    pair.run(2.0)
    assert len(pair.b.taken) == 1
    assert replies == [None]
    assert pair.a.ask(pair.b, PUT, deadline=3.0, name="b") == []
    pair.run(3.0)
    assert len(pair.b.taken) == 2


def test_an_answer_that_is_no_message_is_dropped_and_the_request_goes_on(pair):
    replies, asked = pair.greeted(Ping())
    for payload in (b"", b"\xc1", encode(Ping()), b"\x91\xa4pong" * 2, b"\x92\xa6report\xa1\xff"):
        (bad,) = fragmented(pair.b.wire, REPLY, asked.request_id, asked.incarnation, payload)
        pair.a.rpc.receive(bad, pair.b.address)
    assert replies == []
    assert pair.a.rpc.counters["malformed"] == 5
    pair.b.answer_with(Pong())
    pair.run(1.0)
    assert replies == [Pong()]


@settings(deadline=None)
@given(st.binary(max_size=1300))
def test_noise_is_counted_and_never_answered(noise):
    pair = Pair()
    pair.b.answer_with(Pong())
    pair.b.rpc.receive(noise, pair.a.address)
    assert pair.b.out == []
    assert sum(pair.b.rpc.counters[r] for r in ("malformed", "forged", "other_protocol", "other_cluster")) == 1


@pytest.mark.parametrize("megabytes", [33, 80])  # 80: more than 65,535 fragments
def test_an_answer_that_is_too_long_becomes_an_error(pair, megabytes):
    pair.b.answer_with(Report(bytes(megabytes << 20)))
    replies = pair.a.ask(pair.b, Status())
    pair.run(0.5)
    assert isinstance(replies[0], Failed)
    assert replies[0].code == "too_large"


def test_a_long_answer_is_not_asked_for_again_while_it_arrives(pair):
    pair.b.answer_with(Pong())
    for _ in range(20):  # They teach the asker that answers take two milliseconds.
        pair.a.ask(pair.b, Ping(), deadline=9.0)
        pair.run(pair.now + 0.01)
    pair.b.answer_with(Report(bytes(8 << 20)))  # A quarter of a second, at 32 datagrams a millisecond.
    replies = pair.a.ask(pair.b, Status(), deadline=9.0)
    pair.run(9.0)
    assert replies == [Report(bytes(8 << 20))]
    assert pair.a.rpc.counters["retries"] == 0


def test_any_answer_counts_as_a_sign_of_life(pair):
    heard = []
    pair.a.rpc.on_answer = lambda name, now: heard.append(name)
    pair.b.answer_with(Pong())
    pair.a.ask(pair.b, Ping())
    pair.run(1.0)
    assert heard == ["b"]
