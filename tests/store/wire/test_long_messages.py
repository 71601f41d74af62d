"""Long messages: what is lost is sent again and nothing else, within a window, whatever the other side says."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.wire import flow, long_messages, outgoing, reassembly
from splitbrain.store.wire.client_messages import Failed, Get, Put, Status, Stored, Values
from splitbrain.store.wire.datagrams import PROGRESS, REPLY, REQUEST, Wire
from splitbrain.store.wire.peer_messages import Ping, Pong
from splitbrain.store.wire.progress import SPAN, Progress
from tests.store.wire.sides import SECRET, Pair, fragmented

VALUE = random.Random(1).randbytes(300_000)
LONG = Put(b"k", VALUE, None)


@pytest.fixture
def pair():
    made = Pair()
    greet(made)
    return made


def greet(pair):
    """Each side knows the other's incarnation."""
    pair.b.answer_with(Pong())
    pair.a.ask(pair.b, Ping())
    pair.run(pair.now + 0.01)
    pair.b.taken.clear()


def fragments(pair, side, kind=REQUEST):
    """How often each fragment of long messages of that kind was sent by a side."""
    spy = Wire(SECRET, "c", "spy", random.Random(0).getrandbits)
    opened = [spy.open(datagram) for sender, datagram in pair.sent if sender is side]
    return Counter((each.request_id, each.part) for each in opened if each.kind == kind and each.parts > 1)


def test_without_loss_each_fragment_is_sent_once(pair):
    pair.b.answer_with(Stored(b"c"))
    replies = pair.a.ask(pair.b, LONG)
    pair.run(1.0)
    assert replies == [Stored(b"c")]
    assert set(fragments(pair, pair.a).values()) == {1}
    assert pair.b.taken[0].request == LONG


def test_fragments_that_come_in_another_order_are_not_sent_twice(pair):
    rng = random.Random(2)
    pair.delays = lambda: [rng.uniform(0.0005, 0.002)]
    pair.b.answer_with(Stored(b"c"))
    replies = pair.a.ask(pair.b, LONG)
    pair.run(1.0)
    assert replies == [Stored(b"c")]
    assert sum(fragments(pair, pair.a).values()) <= 1.05 * len(fragments(pair, pair.a))


def test_only_what_was_lost_is_sent_again(pair):
    rng, lost = random.Random(3), set()

    def carries(sender, datagram):
        if rng.random() < 0.2:
            lost.add(datagram)
            return False
        return True

    pair.carries = carries
    pair.b.answer_with(Stored(b"c"))
    replies = pair.a.ask(pair.b, LONG)
    pair.run(1.0)
    assert replies == [Stored(b"c")]
    sent = fragments(pair, pair.a)
    assert sum(sent.values()) - len(sent) <= len(lost) + 10
    assert len(pair.b.taken) == 1


def test_what_is_on_its_way_stays_within_the_window(pair):
    pair.carries = lambda sender, datagram: sender is pair.a
    before = pair.count(pair.a)
    for _ in range(40):
        pair.a.ask(pair.b, LONG)
    sent_bytes = sum(len(datagram) for sender, datagram in pair.sent[before:] if sender is pair.a)
    assert sent_bytes <= 1.2 * flow.WINDOW_BYTES


def test_a_message_of_which_nothing_was_heard_is_begun_and_no_more(pair):
    pair.carries = lambda sender, datagram: False
    before = pair.count(pair.a)
    pair.a.ask(pair.b, LONG, deadline=2.0)
    assert pair.count(pair.a) - before == outgoing.FIRST
    pair.run(2.0)
    assert pair.count(pair.a) - before <= outgoing.FIRST + 10


def test_a_small_message_overtakes_a_large_one(pair):
    order = []
    pair.b.rpc.on_request = lambda incoming: order.append(len(incoming.request.value))
    pair.a.ask(pair.b, Put(b"k", bytes(1 << 20), None), deadline=5.0)
    pair.a.ask(pair.b, Put(b"k", bytes(20_000), None), deadline=5.0)
    pair.run(2.0)
    assert order == [20_000, 1 << 20]


def test_a_large_message_gets_through_beside_endless_small_ones(pair):
    done = []

    def take(incoming):
        done.append(len(incoming.request.value))
        pair.b.rpc.answer(incoming, Stored(b"c"))
        if len(done) < 3000:
            pair.a.ask(pair.b, Put(b"k", bytes(20_000), None), deadline=9.0)

    pair.b.rpc.on_request = take
    pair.a.ask(pair.b, Put(b"k", bytes(1 << 20), None), deadline=9.0)
    for _ in range(60):
        pair.a.ask(pair.b, Put(b"k", bytes(20_000), None), deadline=9.0)
    pair.run(5.0)
    assert 1 << 20 in done
    assert done.index(1 << 20) < 2500


def test_a_long_reply_arrives_through_loss_and_nothing_of_it_is_kept_afterwards(pair):
    rng = random.Random(4)
    pair.carries = lambda sender, datagram: rng.random() >= 0.2
    pair.b.answer_with(Values([VALUE], b"c"))
    replies = pair.a.ask(pair.b, Get(b"k"), deadline=4.0)
    pair.run(4.0)
    assert replies == [Values([VALUE], b"c")]
    sent = fragments(pair, pair.b, REPLY)
    assert sum(sent.values()) <= 1.6 * len(sent)
    pair.carries = lambda sender, datagram: True
    pair.run(8.0)
    assert pair.b.rpc.queues["sending"] == pair.b.rpc.queues["sending_bytes"] == 0
    assert pair.a.rpc.queues["partial_messages"] == 0


def test_a_reply_to_someone_who_is_gone_is_given_up(pair):
    pair.b.answer_with(Values([VALUE], b"c"))
    pair.carries = lambda sender, datagram: sender is pair.a
    pair.a.ask(pair.b, Status(), deadline=0.05)
    pair.run(10.0)
    assert pair.b.rpc.queues["sending"] == 0
    assert pair.b.timers.next is None


def test_a_long_request_whose_answer_was_lost_is_not_sent_again_nor_done_again(pair):
    pair.b.answer_with(Stored(b"c"))
    lost = iter([True])
    spy = Wire(SECRET, "c", "spy", random.Random(0).getrandbits)
    pair.carries = lambda sender, datagram: not (spy.open(datagram).kind == REPLY and next(lost, False))
    replies = pair.a.ask(pair.b, LONG, deadline=3.0)
    pair.run(3.0)
    assert replies == [Stored(b"c")]
    assert len(pair.b.taken) == 1
    sent = fragments(pair, pair.a)
    assert sum(sent.values()) <= len(sent) + 2


def test_a_peer_that_was_started_again_halfway_gets_all_of_it_and_it_counts_as_no_retry(pair):
    pair.b.answer_with(Stored(b"c"))
    replies = pair.a.ask(pair.b, Put(b"k", bytes(1 << 20), None), deadline=3.0)
    pair.run(pair.now + 0.0035)
    assert pair.b.taken == []
    pair.b.restart().answer_with(Stored(b"d"))
    pair.run(3.0)
    assert replies == [Stored(b"d")]
    assert [incoming.retried for incoming in pair.b.taken] == [False]


def test_after_a_restart_what_the_peer_may_have_had_whole_is_sent_as_a_retry(pair):
    """The previous incarnation did it, and its answer was lost with it."""
    pair.b.answer_with(None)
    pair.carries = lambda sender, datagram: sender is pair.a
    replies = pair.a.ask(pair.b, Put(b"k", bytes(10_000), None), deadline=5.0)
    pair.run(pair.now + 0.5)
    assert len(pair.b.taken) == 1
    pair.carries = lambda sender, datagram: True
    pair.b.restart().answer_with(Stored(b"d"))
    pair.run(5.0)
    assert replies == [Stored(b"d")]
    assert [incoming.retried for incoming in pair.b.taken] == [True]


def test_a_peer_that_dropped_an_incomplete_message_is_sent_that_again(pair):
    pair.b.answer_with(Stored(b"c"))
    replies = pair.a.ask(pair.b, LONG, deadline=3.0)
    pair.run(pair.now + 0.0025)
    for key in list(pair.b.rpc.long._reassembly._partials):
        pair.b.rpc.long._reassembly._drop(key)
    pair.run(3.0)
    assert replies == [Stored(b"c")]
    assert pair.b.taken[0].request == LONG


def test_a_request_whose_sender_takes_busy_is_refused_at_its_first_fragment_and_never_done(pair):
    pair.b.answer_with(Stored(b"c"))
    pair.b.rpc.admit = lambda size: Failed("busy", "later", 70)
    before = pair.count(pair.a)
    replies = pair.a.ask(pair.b, LONG, defers=True)
    pair.run(0.5)
    assert replies == [Failed("busy", "later", 70)]
    assert pair.count(pair.a) - before <= outgoing.FIRST
    assert pair.b.rpc.queues["partial_messages"] == 0
    pair.b.rpc.admit = lambda size: None
    late = [datagram for sender, datagram in pair.sent if sender is pair.a]
    for datagram in late:
        pair.b.rpc.receive(datagram, pair.a.address)
    pair.run(1.0)
    assert pair.b.taken == []


def test_a_request_whose_sender_takes_no_busy_is_not_refused(pair):
    pair.b.answer_with(Stored(b"c"))
    pair.b.rpc.admit = lambda size: Failed("busy", "later")
    replies = pair.a.ask(pair.b, LONG)
    pair.run(0.5)
    assert replies == [Stored(b"c")]


def test_senders_share_the_room_in_the_buffer(pair):
    pair.b.rpc.long.buffer_datagrams = 100
    others = [Wire(SECRET, "c", f"other{i}", random.Random(i).getrandbits) for i in range(4)]
    for number, other in enumerate(others):
        first = next(fragmented(other, REQUEST, number, pair.b.wire.incarnation, VALUE))
        pair.b.rpc.receive(first, (f"other{number}", 1))
    pair.a.ask(pair.b, LONG)
    pair.run(pair.now + 0.01)
    (flow_to_b,) = pair.a.rpc.long._flows.values()
    assert flow_to_b.window == 100 // 2 // 5 * 1200


class Liar:
    """In the place of b: a holder of the key that says anything of what has come."""

    def __init__(self, pair, rng):
        self.pair, self.rng, self.wire = pair, rng, pair.b.wire
        self.asked = 0
        pair.b.rpc.receive = self.receive

    def receive(self, datagram, source):
        fragment = self.wire.open(datagram)
        if fragment.kind != REQUEST or fragment.parts == 1:
            return
        self.asked += 1
        rng = self.rng
        told = Progress(
            rng.choice((REQUEST, REQUEST, REQUEST, REPLY, 200)),
            rng.choice((0, 1, 50, 65_535)),
            rng.choice((0, 1, rng.randrange(fragment.parts), fragment.parts, 65_535)),
            rng.choice((0, 1, rng.getrandbits(40), rng.getrandbits(SPAN))),
        )
        for _ in range(rng.choice((1, 1, 3))):
            chunk = told.encode() if rng.random() < 0.9 else rng.randbytes(rng.randrange(300))
            checksum = fragment.checksum ^ (rng.random() < 0.1)
            answer = self.wire.fragment(PROGRESS, fragment.request_id, fragment.incarnation, checksum, 0, 1, chunk)
            self.pair.a.rpc.receive(answer, self.pair.b.address)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32))
def test_whoever_lies_about_what_has_come_harms_nobody(seed):
    """What is sent stays within a bound, the request ends at its deadline, and others are served."""
    pair = Pair()
    greet(pair)
    before = pair.count(pair.a)
    liar = Liar(pair, random.Random(seed))
    replies = pair.a.ask(pair.b, LONG, deadline=3.0)
    pair.run(4.0)
    assert replies == [None]
    assert liar.asked > 0
    count = -(-len(VALUE) // pair.a.wire.chunk_bytes) + 1
    attempts = pair.a.rpc.counters["retries"] + 1
    assert pair.count(pair.a) - before <= attempts * (outgoing.SENT_MAX * count + outgoing.SENT_EXTRA)
    assert pair.a.rpc.queues["sending"] == pair.a.rpc.queues["asked"] == 0
    assert pair.a.timers.next is None
    del pair.b.rpc.receive
    pair.b.answer_with(Stored(b"c"))
    again = pair.a.ask(pair.b, LONG, deadline=8.0)
    pair.run(8.0)
    assert again == [Stored(b"c")]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32),
    st.floats(0, 0.5),
    st.floats(0, 0.3),
    st.sampled_from([0.0, 0.003]),
    st.integers(1200, 200_000),
)
def test_any_loss_order_and_repetition_only_delay_a_message(seed, loss, repeated, spread_s, size):
    pair, rng = Pair(), random.Random(seed)
    pair.carries = lambda sender, datagram: rng.random() >= loss
    pair.delays = lambda: [0.001 + rng.uniform(0, spread_s) for _ in range(1 + (rng.random() < repeated))]
    request, reply = Put(b"k", rng.randbytes(size), None), Values([rng.randbytes(size)], b"c")
    pair.b.answer_with(reply)
    replies = pair.a.ask(pair.b, request, deadline=60.0)
    pair.run(60.0)
    assert replies == [reply]
    assert [incoming.request for incoming in pair.b.taken] == [request]
    for side in (pair.a, pair.b):
        queues = side.rpc.queues
        assert queues["partial_bytes"] <= reassembly.BYTES_PER_SENDER
        assert queues["sending"] == 0


@given(st.integers(0, 255), st.integers(0, 65_535), st.integers(0, 65_535), st.integers(0, (1 << SPAN) - 1))
def test_a_progress_is_read_as_it_was_written(kind, room, base, seen):
    told = Progress(kind, room, base, seen)
    assert Progress.decode(told.encode()) == told


@given(st.binary(max_size=400))
def test_any_bytes_are_a_progress_or_none(chunk):
    told = Progress.decode(chunk)
    assert told is None or told.seen < 1 << SPAN


def test_replies_on_their_way_are_bounded(pair, monkeypatch):
    monkeypatch.setattr(long_messages, "REPLY_BYTES_MAX", 1_000_000)
    pair.b.answer_with(Values([VALUE], b"c"))
    pair.carries = lambda sender, datagram: sender is pair.a
    for _ in range(20):
        pair.a.ask(pair.b, Get(b"k"), deadline=0.1)
    pair.run(pair.now + 0.002)
    assert 0 < pair.b.rpc.queues["sending_bytes"] <= 1_000_000


def test_what_is_said_counts_from_nowhere_else_and_of_no_other_message(pair):
    pair.b.answer_with(None)
    pair.carries = lambda sender, datagram: sender is pair.a
    pair.a.ask(pair.b, LONG)
    (asked,) = pair.a.rpc._asked.values()
    out = asked.outgoing
    chunk = Progress(REQUEST, 100, out.count, 0).encode()
    say = pair.b.wire.fragment
    mine = pair.a.wire.incarnation
    stranger = Wire(SECRET, "c", "b", random.Random(9).getrandbits)
    wrong = [
        (say(PROGRESS, asked.request_id, mine, out.checksum, 0, 1, chunk), ("elsewhere", 1)),
        (say(PROGRESS, asked.request_id, mine, out.checksum ^ 1, 0, 1, chunk), pair.b.address),
        (say(PROGRESS, asked.request_id ^ 1, mine, out.checksum, 0, 1, chunk), pair.b.address),
        (say(PROGRESS, asked.request_id, mine ^ 1, out.checksum, 0, 1, chunk), pair.b.address),
        (stranger.fragment(PROGRESS, asked.request_id, mine, out.checksum, 0, 1, chunk), pair.b.address),
        (say(PROGRESS, asked.request_id, mine, out.checksum, 0, 1, b"x"), pair.b.address),
    ]
    heard = []
    pair.a.rpc.on_answer = lambda name, now: heard.append(name)
    for datagram, source in wrong:
        pair.a.rpc.receive(datagram, source)
    assert pair.a.rpc.counters["unasked_answers"] == len(wrong)
    assert (out.held, heard, asked.outgoing) == (0, [], out)
    pair.a.rpc.receive(say(PROGRESS, asked.request_id, mine, out.checksum, 0, 1, chunk), pair.b.address)
    assert (asked.outgoing, heard) == (None, ["b"])
