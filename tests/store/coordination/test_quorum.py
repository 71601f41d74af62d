"""How many must have answered, of whom, and what it means when they have not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.config import Config
from splitbrain.store.coordination.quorum import Quorum, quorum
from splitbrain.store.errors import REGISTRY, StoreError
from splitbrain.store.wire.client_messages import Get, Put
from tests.store.box import Box

OPTIONAL = st.none() | st.integers(-2, 6)


@given(OPTIONAL, OPTIONAL, OPTIONAL, st.none() | st.booleans())
def test_a_quorum_that_exists_can_be_met_and_one_that_cannot_is_refused(w, pw, dw, sloppy):
    config = Config()
    request = Put(b"k", b"v", None, w, pw, dw, sloppy)
    possible = all(value is None or least <= value <= config.n for value, least in ((w, 1), (pw, 0), (dw, 0)))
    if possible:
        asked = quorum(request, config)
        assert asked.met(config.n, config.n, config.n)
        assert asked.sloppy == (config.sloppy if sloppy is None else sloppy)
    else:
        with pytest.raises(StoreError) as refusal:
            quorum(request, config)
        assert refusal.value.code == "bad_request"


def test_what_a_request_leaves_open_the_cluster_says():
    config = Config(r=1, w=3, pr=2, pw=1, dw=2, sloppy=False)
    assert quorum(Get(b"k"), config) == Quorum("r", 3, 1, 2, 0, False)
    assert quorum(Put(b"k", b"v", None), config) == Quorum("w", 3, 3, 1, 2, False)
    assert quorum(Get(b"k", 3, 0, True), config) == Quorum("r", 3, 3, 0, 0, True)
    assert quorum(Put(b"k", b"v", None, 1, 0, 0, True), config) == Quorum("w", 3, 1, 0, 0, True)


@pytest.mark.parametrize(
    ("request_", "range_"),
    [
        (Get(b"k", r=0), "r=0 with n=3: give 1 to 3"),
        (Get(b"k", r=4), "r=4 with n=3: give 1 to 3"),
        (Get(b"k", pr=-1), "pr=-1 with n=3: give 0 to 3"),
        (Put(b"k", b"v", None, w=0), "w=0 with n=3: give 1 to 3"),
        (Put(b"k", b"v", None, pw=4), "pw=4 with n=3: give 0 to 3"),
        (Put(b"k", b"v", None, dw=1 << 60), f"dw={1 << 60} with n=3: give 0 to 3"),
    ],
)
def test_a_count_out_of_range_is_refused_and_the_range_named(request_, range_):
    box = Box(3, settled=False)
    call = box.client("n1").ask(request_)
    assert call.error == "bad_request"
    assert range_ in call.message
    assert REGISTRY[call.error].definite


def test_all_counts_asked_for_must_be_met():
    asked = Quorum("w", 3, 2, 2, 1)
    assert asked.met(2, 2, 1)
    assert not asked.met(1, 2, 1)
    assert not asked.met(3, 1, 3)
    assert not asked.met(3, 3, 0)


def test_what_is_missing_is_told_in_numbers():
    assert Quorum("r", 3, 2).missed(1, 0) == "1 of 2 replicas"
    assert Quorum("w", 3, 2, 2, 1).missed(2, 1, 2) == "2 of 2 replicas and 1 of 2 primaries"
    assert Quorum("w", 3, 2, 0, 2).missed(2, 2, 1) == "2 of 2 replicas and 1 of 2 durable replicas"


# In a partition


@pytest.fixture
def parted():
    """A client on the side with one primary of the key and all fallbacks."""
    box = Box(5, seed=1, config=Config(anti_entropy_s=0))
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    box.isolate(*primaries[1:])
    box.run_for(3.0)
    return box, key, primaries


def test_in_a_partition_a_sloppy_quorum_is_met_where_primaries_are_not(parted):
    """Riak's PR and PW: R and W count fallbacks, which know nothing of what the other side did."""
    box, key, primaries = parted
    client = box.client(primaries[0])
    assert client.ask(Put(key, b"v", None)).ok
    assert client.ask(Get(key)).values == [b"v"]
    write = client.ask(Put(key, b"w", None, pw=2))
    assert write.error == "quorum_failed"
    assert "1 of 2 primaries" in write.message
    read = client.ask(Get(key, pr=2))
    assert read.error == "quorum_failed"
    assert "1 of 2 primaries" in read.message
    assert client.ask(Put(key, b"x", None, pw=1)).ok
    assert client.ask(Get(key, pr=1)).ok


def test_on_the_side_with_the_primaries_they_are_met(parted):
    box, key, primaries = parted
    client = box.client(primaries[1])
    assert client.ask(Put(key, b"v", None, pw=2)).ok
    assert client.ask(Get(key, pr=2)).values == [b"v"]
    assert client.ask(Get(key, pr=3)).error == "quorum_failed"


def test_one_request_may_be_strict_in_a_sloppy_cluster(parted):
    box, key, primaries = parted
    client = box.client(primaries[0])
    assert client.ask(Put(key, b"v", None, sloppy=False)).error == "quorum_failed"
    assert client.ask(Get(key, sloppy=False)).error == "quorum_failed"
    assert client.ask(Get(key)).ok


def test_one_request_may_be_sloppy_in_a_strict_cluster():
    box = Box(5, seed=1, config=Config(sloppy=False, anti_entropy_s=0))
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    box.isolate(*primaries[1:])
    box.run_for(3.0)
    client = box.client(primaries[0])
    assert client.ask(Put(key, b"v", None)).error == "quorum_failed"
    assert client.ask(Put(key, b"w", None, sloppy=True)).ok
    assert b"w" in client.ask(Get(key, sloppy=True)).values


def test_a_node_that_is_no_primary_coordinates_a_sloppy_request_of_a_strict_cluster_when_all_primaries_are_gone():
    box = Box(5, seed=1, config=Config(sloppy=False, anti_entropy_s=0))
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    stranger = next(name for name in box.names if name not in primaries)
    for primary in primaries:
        box.crash(primary)
    box.run_for(3.0)
    client = box.client(stranger)
    assert client.ask(Put(key, b"v", None, w=1)).error in ("timeout", "quorum_failed")
    assert client.ask(Put(key, b"v", None, w=1, sloppy=True)).ok


def test_a_put_that_missed_its_quorum_is_indefinite_and_may_turn_up(parted):
    box, key, primaries = parted
    failed = box.client(primaries[0]).ask(Put(key, b"v", None, pw=3))
    assert failed.error == "quorum_failed"
    assert not REGISTRY[failed.error].definite
    assert "get the key before you retry" in failed.message
    box.heal()
    box.run_until(lambda: box.agree(key), 10.0)
    assert box.client(primaries[1]).get(key).values == [b"v"]


def test_the_answer_to_a_put_says_how_many_hold_it(parted):
    box, key, primaries = parted
    reply = box.client(primaries[0]).ask(Put(key, b"v", None, w=3)).reply
    assert (reply.replicas, reply.durable) == (3, 3)
    assert box.client(primaries[0]).ask(Put(key, b"v", None, w=1)).reply.replicas >= 1
