"""Gets through a whole cluster: their quorums, and what the replicas that answer make together."""

from __future__ import annotations

import pytest

from splitbrain.store.config import Config
from splitbrain.store.versions.context import Context, accept
from splitbrain.store.versions.dotted import siblings
from tests.store.box import SECRET, Box
from tests.store.coordination.replicas import key_and_primaries


@pytest.fixture
def box():
    return Box(5, seed=1)


# Reading and writing


def test_what_was_put_is_read_through_every_node(box):
    context = box.client("n3").put(b"k", b"v").context
    assert context
    for name in box.names:
        assert box.client(name).get(b"k").values == [b"v"]


def test_a_key_never_written_has_no_values_and_a_context(box):
    found = box.client().get(b"nothing")
    assert found.values == []
    assert accept(SECRET, b"nothing", found.context).seen == Context().seen


# Quorums


@pytest.mark.parametrize(("r", "down", "ok"), [(1, 2, True), (2, 1, True), (2, 2, False), (3, 0, True), (3, 1, False)])
def test_a_strict_get_needs_r_of_its_primaries(r, down, ok):
    box = Box(5, seed=1, config=Config(sloppy=False))
    key, primaries = key_and_primaries(box)
    assert box.client(primaries[0]).put(key, b"v", w=3).ok
    for primary in primaries[3 - down :]:
        box.crash(primary)
    call = box.client(primaries[0]).get(key, r=r)
    assert call.ok == ok
    assert call.values == [b"v"] if ok else call.error == "quorum_failed"


def test_an_empty_fallbacks_quick_nothing_does_not_win_over_a_primary_that_has_the_key(box):
    """The coordinator lost its disk, a dead primary's fallback has nothing, and the last primary takes a retry to hear of it."""
    key, primaries = key_and_primaries(box)
    assert box.client(primaries[0]).put(key, b"v", w=3).ok
    box.crash(primaries[1])
    box.wipe(primaries[0])
    box.run_for(4.0)
    lost = iter([True])
    box.wiretap = lambda source, target, datagram: (
        (source, target) != (primaries[0], primaries[2]) or not next(lost, False)
    )
    assert box.client(primaries[0]).get(key).values == [b"v"]
    assert next(lost, None) is None, "nothing was lost, so nothing was tested"


# Siblings


def test_state_that_differs_only_in_siblings_reads_alike_through_all_nodes(box):
    client = box.client()
    for i in range(8):
        client.put(b"k", b"%d" % i)
    assert {tuple(box.client(name).get(b"k").values) for name in box.names} == {tuple(b"%d" % i for i in range(8))}
    assert len(siblings(box.state(box.ring.primaries(b"k")[0], b"k"))) == 8
