"""Datagrams: what is sealed opens once, and nothing else does."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.wire import datagrams
from splitbrain.store.wire.datagrams import DATAGRAM_BYTES_MAX, REPLY, REQUEST, Refused, Wire
from tests.store.wire.hostile import sealed
from tests.store.wire.sides import fragmented

SECRET = b"k" * 32


def make(name="n1", secret=SECRET, cluster="c", seed=0):
    return Wire(secret, cluster, name, random.Random(f"{name}{seed}").getrandbits)


def taken(receiver, datagram):
    """The fragment, once it was found to be meant for this receiver."""
    fragment = receiver.open(datagram)
    receiver.accept(fragment)
    return fragment


def refused(receiver, datagram):
    with pytest.raises(Refused) as refusal:
        receiver.open(datagram)
    return refusal.value.reason


@settings(deadline=None)
@given(
    st.sampled_from([REQUEST, REPLY]), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=5000)
)
def test_a_message_arrives_as_it_was_sent(kind, request_id, answered, payload):
    sender, receiver = make(), make("n2")
    fragments = [receiver.open(datagram) for datagram in fragmented(sender, kind, request_id, answered, payload)]
    assert b"".join(fragment.chunk for fragment in fragments) == payload
    assert [fragment.part for fragment in fragments] == list(range(fragments[0].parts))
    assert {(f.kind, f.request_id, f.meant_for, f.name, f.incarnation) for f in fragments} == {
        (kind, request_id, answered, "n1", sender.incarnation)
    }


@pytest.mark.parametrize("name", ["n", "x" * 64])
def test_no_datagram_is_longer_than_the_limit(name):
    assert {len(d) for d in fragmented(make(name), REQUEST, 1, 0, bytes(100_000))} <= set(range(DATAGRAM_BYTES_MAX + 1))


@given(st.integers(0, 10_000))
def test_a_flipped_bit_is_never_taken(bit):
    (datagram,) = fragmented(make(), REQUEST, 1, 0, b"payload")
    damaged = bytearray(datagram)
    damaged[bit // 8 % len(damaged)] ^= 1 << bit % 8
    assert refused(make("n2"), bytes(damaged)) in ("forged", "malformed", "other_protocol", "other_cluster")


@given(st.integers(0, 2000))
def test_a_truncated_datagram_is_never_taken(length):
    (datagram,) = fragmented(make(), REQUEST, 1, 0, b"p" * 900)
    assert refused(make("n2"), datagram[: length % len(datagram)]) in ("forged", "malformed")


@given(st.binary(max_size=1500))
def test_noise_is_never_taken(noise):
    assert refused(make("n2"), noise) in ("malformed", "forged", "other_protocol", "other_cluster")


def test_an_oversized_datagram_is_refused_before_it_is_opened():
    (datagram,) = fragmented(make(), REQUEST, 1, 0, b"p")
    assert refused(make("n2"), datagram + bytes(DATAGRAM_BYTES_MAX)) == "malformed"


def test_a_sender_without_the_key_is_refused():
    (datagram,) = fragmented(make(secret=b"x" * 32), REQUEST, 1, 0, b"p")
    assert refused(make("n2"), datagram) == "forged"


def test_another_cluster_with_the_same_key_is_refused():
    (datagram,) = fragmented(make(cluster="other"), REQUEST, 1, 0, b"p")
    assert refused(make("n2"), datagram) == "other_cluster"


def test_a_replayed_datagram_is_refused():
    receiver = make("n2")
    (datagram,) = fragmented(make(), REQUEST, 1, 0, b"p")
    taken(receiver, datagram)
    assert refused(receiver, datagram) == "replayed"


def test_a_stray_copy_that_was_opened_and_not_accepted_does_not_shut_out_the_original():
    receiver = make("n2")
    (datagram,) = fragmented(make(), REPLY, 1, 0, b"p")
    assert receiver.open(datagram) == receiver.open(datagram) == taken(receiver, datagram)
    assert refused(receiver, datagram) == "replayed"


def test_datagrams_that_are_opened_and_not_accepted_never_make_a_node_forget_its_senders(monkeypatch):
    """Those of many former clients, recorded and replayed, made it take a new incarnation at will."""
    monkeypatch.setattr(datagrams, "_INCARNATIONS_REMEMBERED", 5)
    receiver = make("n2")
    incarnation = receiver.incarnation
    for seed in range(20):
        receiver.open(next(iter(fragmented(make(seed=seed), REQUEST, 1, incarnation ^ 1, b"p"))))
    assert receiver.incarnation == incarnation
    assert not receiver._windows


@settings(deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=120))
def test_reordered_datagrams_open_once_each(order):
    sender, receiver = make(), make("n2")
    sent = [next(iter(fragmented(sender, REQUEST, i, 0, b"p"))) for i in range(61)]
    opened = set()
    for index in order:
        if index in opened:
            assert refused(receiver, sent[index]) == "replayed"
        else:
            assert taken(receiver, sent[index]).request_id == index
            opened.add(index)


def test_a_datagram_older_than_the_window_counts_as_replayed(monkeypatch):
    monkeypatch.setattr(datagrams, "_WINDOW", 8)
    sender, receiver = make(), make("n2")
    sent = [next(iter(fragmented(sender, REQUEST, i, 0, b"p"))) for i in range(20)]
    taken(receiver, sent[19])
    assert taken(receiver, sent[12]).request_id == 12
    assert refused(receiver, sent[11]) == "replayed"


def test_forgeries_do_not_move_the_window():
    sender, receiver = make(), make("n2")
    first, second = (next(iter(fragmented(sender, REQUEST, i, 0, b"p"))) for i in range(2))
    forged = bytearray(first)
    forged[19:23] = b"\xff\xff\xff\xf0"  # A sequence number far ahead.
    assert refused(receiver, bytes(forged)) == "forged"
    assert receiver.open(second).request_id == 1


def test_a_senders_own_datagrams_thrown_back_at_it_are_refused():
    sender = make()
    (datagram,) = fragmented(sender, REQUEST, 1, 0, b"p")
    assert refused(sender, datagram) == "reflected"


def test_a_sender_out_of_sequence_numbers_continues_as_a_new_incarnation(monkeypatch):
    monkeypatch.setattr(datagrams, "_SEQUENCE_MAX", 3)
    sender, receiver = make(), make("n2")
    nonces, boots = set(), set()
    for i in range(10):
        (datagram,) = fragmented(sender, REQUEST, i, 0, b"p")
        nonces.add(datagram[11:23])
        boots.add(receiver.open(datagram).incarnation)
    assert len(nonces) == 10
    assert len(boots) == 4


def test_the_memory_of_senders_is_bounded(monkeypatch):
    monkeypatch.setattr(datagrams, "_INCARNATIONS_REMEMBERED", 5)
    receiver = make("n2")
    for seed in range(20):
        taken(receiver, next(iter(fragmented(make(seed=seed), REQUEST, 1, 0, b"p"))))
        assert len(receiver._windows) <= 5


def test_a_node_that_forgets_senders_becomes_a_new_incarnation_for_which_none_of_their_datagrams_is(monkeypatch):
    monkeypatch.setattr(datagrams, "_INCARNATIONS_REMEMBERED", 5)
    receiver = make("n2")
    incarnation = receiver.incarnation
    recorded = [next(iter(fragmented(make(seed=seed), REQUEST, 1, incarnation, b"p"))) for seed in range(6)]
    for datagram in recorded[:5]:
        taken(receiver, datagram)
    assert receiver.incarnation == incarnation
    taken(receiver, recorded[5])
    assert receiver.open(recorded[0]).meant_for == incarnation != receiver.incarnation


def test_a_key_of_the_wrong_length_and_a_name_too_long_are_refused():
    with pytest.raises(ValueError, match="it must have 32"):
        make(secret=b"short")
    with pytest.raises(ValueError, match="give at most 255"):
        make(name="x" * 256)


@given(st.binary(max_size=200), st.integers(0, 255), st.integers(0, 3), st.integers(0, 3))
def test_a_key_holders_malformed_fragment_is_refused(body, name_length, part, parts):
    sender, receiver = make(), make("n2")
    inner = datagrams._INNER.pack(body[0] if body else 0, 1, 0, 0, part, parts, name_length) + body
    try:
        fragment = receiver.open(sealed(sender, inner))
    except Refused as refusal:
        assert refusal.reason == "malformed"
    else:
        assert fragment.part < fragment.parts
