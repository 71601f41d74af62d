"""Fragments become messages, within bounds."""

from __future__ import annotations

import random
import zlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.wire import reassembly
from splitbrain.store.wire.datagrams import REQUEST, Fragment
from splitbrain.store.wire.reassembly import Reassembly


def fragments(message, size, *, incarnation=1, request_id=1, checksum=None):
    parts = max(1, -(-len(message) // size))
    check = zlib.crc32(message) if checksum is None else checksum
    return [
        Fragment(incarnation, "n1", REQUEST, request_id, 0, check, i, parts, message[i * size : (i + 1) * size])
        for i in range(parts)
    ]


@given(st.binary(max_size=300), st.integers(1, 50), st.randoms(use_true_random=False))
def test_a_message_comes_out_once_whatever_order_and_repetition_its_parts_come_in(message, size, rng):
    parts = fragments(message, size)
    rng.shuffle(parts)
    made = Reassembly()
    whole = [made.add(part, 0.0) for part in parts for _ in range(1 if part is parts[-1] else 2)]
    if len(parts) > 1:
        assert [w for w in whole if w is not None] == [message]
        assert made.held == (0, 0)
    else:
        assert whole[-1] == message


def test_a_retry_fills_in_what_the_first_try_lost():
    made = Reassembly()
    parts = fragments(b"0123456789", 3)
    assert [made.add(part, 0.0) for part in (parts[0], parts[2])] == [None, None]
    assert made.add(parts[0], 0.1) is None
    assert made.add(parts[3], 0.1) is None
    assert made.add(parts[1], 0.1) == b"0123456789"


def test_a_message_whose_checksum_does_not_agree_is_dropped():
    made = Reassembly()
    assert [made.add(part, 0.0) for part in fragments(b"0123456789", 3, checksum=1)] == [None] * 4
    assert made.add(fragments(b"01", 3, checksum=1)[0], 0.0) is None
    assert made.held == (0, 0)


def test_parts_of_two_senders_do_not_mix():
    made = Reassembly()
    one, two = fragments(b"aaaa", 2, incarnation=1), fragments(b"aaaa", 2, incarnation=2)
    assert made.add(one[0], 0.0) is None
    assert made.add(two[1], 0.0) is None
    assert made.add(one[1], 0.0) == b"aaaa"


def test_a_part_that_disagrees_about_the_number_of_parts_is_ignored():
    made = Reassembly()
    first, second = fragments(b"abcd", 2)
    made.add(first, 0.0)
    assert made.add(msgspec.structs.replace(second, part=4, parts=9), 0.0) is None
    assert made.add(second, 0.0) == b"abcd"


def test_partial_messages_of_a_sender_are_bounded_in_number_and_the_oldest_go():
    made = Reassembly()
    for i in range(200):
        made.add(fragments(b"abcd", 2, request_id=i)[0], 0.0)
    assert made.held[0] == reassembly.PARTIALS_PER_SENDER
    assert made.dropped == 200 - reassembly.PARTIALS_PER_SENDER
    assert made.add(fragments(b"abcd", 2, request_id=199)[1], 0.0) == b"abcd"
    assert made.add(fragments(b"abcd", 2, request_id=0)[1], 0.0) is None


def test_partial_messages_grow_too_old():
    made = Reassembly()
    first, second = fragments(b"abcd", 2)
    made.add(first, 0.0)
    assert made.add(fragments(b"abcd", 2, request_id=2)[0], reassembly.IDLE_MAX_S + 0.1) is None
    assert made.add(second, reassembly.IDLE_MAX_S + 0.1) is None
    assert made.held[0] == 2


def test_bytes_of_a_sender_are_bounded(monkeypatch):
    monkeypatch.setattr(reassembly, "BYTES_PER_SENDER", 10_000)
    made = Reassembly()
    for i in range(60):
        made.add(fragments(bytes(2000), 1000, request_id=i)[0], 0.0)
    assert made.held[1] <= 10_000


def test_empty_parts_count_for_their_bookkeeping(monkeypatch):
    monkeypatch.setattr(reassembly, "BYTES_PER_SENDER", 100_000)
    made = Reassembly()
    for part in range(65_000):
        made.add(Fragment(1, "n1", REQUEST, 1, 0, 0, part, 65_535, b""), 0.0)
    held = sum(len(partial.chunks) for partial in made._partials.values())
    assert held <= 100_000 // reassembly.FRAGMENT_OVERHEAD_BYTES


def test_bytes_in_all_are_bounded_over_many_senders(monkeypatch):
    monkeypatch.setattr(reassembly, "BYTES_IN_ALL", 50_000)
    made = Reassembly()
    for incarnation in range(1000):
        made.add(fragments(bytes(2000), 1000, incarnation=incarnation)[0], 0.0)
    assert made.held[1] <= 50_000
    assert len(made._by_sender) == made.held[0]


def test_a_message_that_announces_itself_too_long_is_given_up_at_once():
    made = Reassembly()
    assert made.add(Fragment(1, "n1", REQUEST, 1, 0, 0, 0, 65_535, bytes(1100)), 0.0) is None
    assert made.held == (0, 0)
    assert made.dropped == 1


def test_the_longest_message_fits():
    message = random.Random(1).randbytes(reassembly.MESSAGE_BYTES_MAX)
    made = Reassembly()
    whole = [made.add(part, 0.0) for part in fragments(message, 1100)]
    assert whole[-1] == message
    assert made.dropped == 0
