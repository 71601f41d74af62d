"""Requests, retries and answers, between two sides and a network that does as it is told."""

from __future__ import annotations

import heapq
import random
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.actions import Instant
from splitbrain.store.scheduling.timers import Present, Timers
from splitbrain.store.wire import rpc as module
from splitbrain.store.wire.client_messages import Failed, Get, Local, Put, Report, Status, Stored
from splitbrain.store.wire.datagrams import REPLY, Wire
from splitbrain.store.wire.messages import encode
from splitbrain.store.wire.peer_messages import Ping, Pong
from splitbrain.store.wire.reassembly import MESSAGE_BYTES_MAX
from splitbrain.store.wire.rpc import ANSWER_KEPT_S, IN_FLIGHT_MAX, WAITING_MAX, Rpc

SECRET = b"k" * 32


class Side:
    def __init__(self, pair, name, address):
        bits = random.Random(name).getrandbits
        self.pair, self.address = pair, address
        self.out, self.timers, self.present = [], Timers(), Present(Instant(0.0, 0))
        self.wire = Wire(SECRET, "c", name, bits)
        self.rpc = Rpc(self.wire, self.timers, self.present, bits, self.out)
        self.replies = []
        self.taken = []

    def ask(self, other, request, deadline=1.0, **more):
        replies = []
        self.rpc.ask(other.address, request, deadline, replies.append, **more)
        self.pair.flush(self)
        return replies

    def restart(self):
        """The same side, and nothing of what it knew."""
        bits = random.Random(f"{self.address} {self.wire.incarnation}").getrandbits
        self.wire = Wire(SECRET, "c", self.address[0], bits)
        self.rpc = Rpc(self.wire, self.timers, self.present, bits, self.out)
        self.taken = []
        return self

    def answer_with(self, reply):
        def take(incoming):
            self.taken.append(incoming)
            if reply is not None:
                self.rpc.answer(incoming, reply)

        self.rpc.on_request = take
        return self


class Pair:
    """Two sides. `carries(sender, datagram)` says whether a datagram arrives; it takes a millisecond."""

    def __init__(self):
        self.now = 0.0
        self.a, self.b = Side(self, "a", ("a", 1)), Side(self, "b", ("b", 1))
        self.carries = lambda sender, datagram: True
        self.sent = []
        self._events, self._order = [], count()

    def flush(self, side):
        for send in side.out:
            self.sent.append((side, send.datagram))
            if self.carries(side, send.datagram):
                heapq.heappush(self._events, (self.now + 0.001, next(self._order), side.address, send))
        side.out.clear()

    def run(self, until):
        while True:
            dues = [(side.timers.next, 1, side) for side in (self.a, self.b) if side.timers.next is not None]
            if self._events:
                dues.append((self._events[0][0], 0, None))
            due, _, side = min(dues, key=lambda d: d[:2], default=(until + 1, 0, None))
            if due > until:
                break
            self.now = max(self.now, due)
            for each in (self.a, self.b):
                each.present.now = Instant(self.now, 0)
            if side is not None:
                side.timers.run(self.now)
                self.flush(side)
            else:
                _, _, source, send = heapq.heappop(self._events)
                target = self.a if send.to == self.a.address else self.b
                target.rpc.receive(send.datagram, source)
                self.flush(target)
        self.now = until
        for each in (self.a, self.b):
            each.present.now = Instant(self.now, 0)

    def greeted(self, request, **more):
        """b knows a, and takes that request and does not answer. What a has heard, and the request's fragment."""
        self.b.answer_with(Pong())
        self.a.ask(self.b, Ping(), **more)
        self.run(self.now + 0.1)
        self.b.answer_with(None)
        replies = self.a.ask(self.b, request, self.now + 1.0, **more)
        return replies, Wire(SECRET, "c", "spy", random.Random(0).getrandbits).open(self.sent[-1][1])

    def count(self, side):
        return sum(sender is side for sender, _ in self.sent)


@pytest.fixture
def pair():
    return Pair()


PUT = Put(b"k", b"v", None)


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


def test_a_retry_says_that_it_is_one(pair):
    pair.b.answer_with(Stored(b"c"))
    lost = iter([True])
    pair.carries = lambda sender, datagram: not next(lost, False)
    pair.a.ask(pair.b, PUT)
    pair.run(1.0)
    assert [incoming.retried for incoming in pair.b.taken] == [True]


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
    monkeypatch.setattr(module, "TAKEN_MAX", 10)
    pair.b.answer_with(None)
    for _ in range(50):
        pair.a.ask(pair.b, Ping())
    pair.run(0.05)
    assert pair.b.rpc.queues["answers_kept"] <= 10


def test_an_answer_from_another_address_does_not_count(pair):
    replies, asked = pair.greeted(Ping())
    (forged,) = pair.b.wire.datagrams(REPLY, asked.request_id, asked.incarnation, encode(Pong()))
    pair.a.rpc.receive(forged, ("elsewhere", 1))
    assert replies == []
    assert pair.a.rpc.counters["unasked_answers"] == 1
    pair.a.rpc.receive(forged, pair.b.address)
    assert replies == [Pong()], "the copy shut out the original"


def test_an_answer_to_a_previous_incarnation_does_not_count(pair):
    replies, asked = pair.greeted(Ping())
    (stale,) = pair.b.wire.datagrams(REPLY, asked.request_id, asked.incarnation ^ 1, encode(Pong()))
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
    for datagram in list(wire.datagrams(REPLY, request_id, incarnation, payload))[:-1] or [
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
        (bad,) = pair.b.wire.datagrams(REPLY, asked.request_id, asked.incarnation, payload)
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


def test_a_long_message_goes_out_in_bursts(pair):
    pair.b.answer_with(Pong())
    pair.a.ask(pair.b, Put(b"k", bytes(200_000), None))
    assert pair.count(pair.a) == module.BURST
    pair.run(0.5)
    assert len(pair.b.taken) == 1


def test_request_ids_are_64_random_bits_that_count():
    first, second = (Pair().a.rpc for _ in range(2))
    assert first.new_id() == second.new_id()  # Same bits, same ids.
    assert first.new_id() + 1 == first.new_id()
    assert 1 << 40 < first.new_id() < 1 << 64
    assert first.new_id() & 0xFFFFFFFF > 1000
    first._next_id = (1 << 64) - 1
    assert first.new_id() == 0


def test_any_answer_counts_as_a_sign_of_life(pair):
    heard = []
    pair.a.rpc.on_answer = lambda name, now: heard.append(name)
    pair.b.answer_with(Pong())
    pair.a.ask(pair.b, Ping())
    pair.run(1.0)
    assert heard == ["b"]


def test_a_forgotten_request_is_taken_again(pair):
    pair.b.answer_with(None)
    pair.a.ask(pair.b, PUT, deadline=3.0)
    pair.run(0.01)
    pair.b.rpc.forget(pair.b.taken[0])
    pair.run(2.0)
    assert len(pair.b.taken) == 2
