"""Writes that two coordinators took: one write, whatever became of either."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.versions import dots, dotted
from splitbrain.store.versions.dotted import (
    EMPTY,
    NOTHING,
    Seen,
    VersionSet,
    merge,
    merge_latest,
    next_dot,
    remembered,
    siblings,
    write,
)
from splitbrain.store.versions.identities import Identities

MINUTE_NS = 60 * 1_000_000_000


def make(seed=0):
    return Identities(random.Random(seed).getrandbits)


# The names that a client gives


def test_identities_of_a_key_count_under_one_writer():
    identities = make()
    given_ones = [identities.give(b"k", 0) for _ in range(3)]
    assert len({writer for writer, _ in given_ones}) == 1
    assert [number for _, number in given_ones] == [1, 2, 3]
    assert identities.give(b"l", 0)[0] != given_ones[0][0]


def test_a_failed_put_takes_its_writer_with_it():
    identities = make()
    first = identities.give(b"k", 0)
    identities.failed(b"k", first)
    assert identities.give(b"k", 0)[0] != first[0]


def test_a_late_failure_of_an_abandoned_writer_does_not_touch_the_new_one():
    identities = make()
    first = identities.give(b"k", 0)
    identities.failed(b"k", first)
    second = identities.give(b"k", 0)
    identities.failed(b"k", first)
    assert identities.give(b"k", 0) == (second[0], 2)


def test_another_client_makes_other_writers():
    assert make(0).give(b"k", 0)[0] != make(1).give(b"k", 0)[0]


def test_the_memory_of_keys_is_bounded_and_a_forgotten_key_gets_a_new_writer(monkeypatch):
    monkeypatch.setattr(dots, "KEYS_MAX", 10)
    identities = make()
    first = identities.give(b"0", 0)
    for i in range(1, 50):
        identities.give(b"%d" % i, 0)
    assert len(identities._dots._last) == 10
    assert identities.give(b"0", 0)[0] != first[0]


def test_a_later_writer_is_newer_whatever_the_random_numbers():
    writers = [make(seed).give(b"k", minute * MINUTE_NS)[0] for seed, minute in enumerate(range(0, 400, 2))]
    assert writers == sorted(writers)
    assert max(writers) < 1 << 64


def test_a_writer_is_replaced_after_some_ten_minutes_and_not_before():
    identities = make()
    begin = 1_700_000_000 * 1_000_000_000
    first = identities.give(b"k", begin)
    assert identities.give(b"k", begin + 9 * MINUTE_NS) == (first[0], 2)
    late = identities.give(b"k", begin + 13 * MINUTE_NS)
    assert late[0] > first[0]
    assert late[1] == 1


# What replicas make of them


def put(state, context, identity, actor, *, value=b"v", wall_ns=0):
    """Add the write at a replica; context: a state that its client has read."""
    return write(
        state,
        context.seen,
        dot=next_dot(state, context.seen, actor),
        value=value,
        request_id=0,
        coordinator=f"n{actor}",
        wall_ns=wall_ns,
        identity=identity,
        writes=context.writes,
    )[0]


def named(state):
    return sorted(version.identity for version in state.versions)


def test_a_put_done_twice_is_replaced_with_the_one_of_the_two_that_was_read():
    """Two dots for one write. What replaces the first arrives where only the second is known, and the other way."""
    first, second = put(EMPTY, EMPTY, (7, 1), 1), put(EMPTY, EMPTY, (7, 1), 2)
    replaced = put(first, first, (8, 1), 1)
    assert named(merge(replaced, second)) == named(merge(second, replaced)) == [(8, 1)]
    through_the_other = put(second, first, (8, 1), 2)
    assert named(through_the_other) == [(8, 1)]


def test_a_delete_of_a_put_done_twice_deletes_both():
    first, second = put(EMPTY, EMPTY, (7, 1), 1), put(EMPTY, EMPTY, (7, 1), 2)
    deleted = put(first, first, (8, 1), 1, value=None)
    assert siblings(merge(deleted, second)) == []
    assert [version.value for version in merge(deleted, second).versions] == [None]


def test_a_delete_done_twice_is_one_tombstone():
    base = put(EMPTY, EMPTY, (7, 1), 3)
    twice = merge(put(base, base, (8, 1), 1, value=None), put(base, base, (8, 1), 2, value=None))
    assert [version.value for version in twice.versions] == [None]
    again = put(twice, twice, (9, 1), 1)
    assert siblings(merge(again, put(base, base, (8, 1), 2, value=None))) == [b"v"]


def test_a_put_that_comes_again_after_it_was_replaced_changes_nothing():
    state = put(EMPTY, EMPTY, (7, 1), 1)
    state = put(state, state, (8, 1), 1)
    assert put(state, EMPTY, (7, 1), 2) == state


def test_two_replicas_that_chose_between_three_dots_of_one_write_never_drop_both():
    """Each had seen the dot that the other kept. Had they chosen by stamp, which may differ for one dot, neither would stay."""
    for stamps in ((5, 7, 9), (9, 5, 7), (7, 9, 5)):
        a, b, c = (put(EMPTY, EMPTY, (7, 1), actor, wall_ns=stamp) for actor, stamp in enumerate(stamps, 1))
        for left, right in ((merge(a, b), merge(b, c)), (merge(a, c), merge(b, c)), (merge(a, b), merge(a, c))):
            assert len(merge(left, right).versions) == 1


@dataclass
class World:
    """Three replicas of one key, and beside each what its state ought to mean, in sets of writes.

    known: the writes that it has heard of; replaced: those among them that another write replaced.
    contexts: by write the state, and the meaning, that its client had read: the same at every try.
    """

    replicas: list[VersionSet] = field(default_factory=lambda: [EMPTY] * 3)
    meanings: list[tuple[frozenset, frozenset]] = field(default_factory=lambda: [(frozenset(), frozenset())] * 3)
    contexts: dict = field(default_factory=dict)
    snapshots: list = field(default_factory=lambda: [(EMPTY, (frozenset(), frozenset()))])

    def put(self, at, identity, read):
        state, (known_then, _) = self.contexts.setdefault(identity, read)
        self.replicas[at] = put(self.replicas[at], state, identity, at + 1)
        known, replaced = self.meanings[at]
        if identity not in known:
            self.meanings[at] = known | known_then | {identity}, replaced | known_then

    def merge(self, at, heard):
        self.replicas[at] = merge(self.replicas[at], heard[0])
        known, replaced = self.meanings[at]
        self.meanings[at] = known | heard[1][0], replaced | heard[1][1]


@st.composite
def worlds(draw):
    """Puts, each tried at one to three replicas with merges in between, with any context that its client may have."""
    world = World()
    numbers = {}
    for _ in range(draw(st.integers(1, 25))):
        at, snapshot = draw(st.integers(0, 2)), draw(st.sampled_from(world.snapshots))
        step = draw(st.sampled_from(("new", "again", "merge", "merge")))
        if step == "merge":
            world.merge(at, snapshot)
        elif step == "again" and world.contexts:
            world.put(at, draw(st.sampled_from(sorted(world.contexts))), snapshot)
        else:
            writer = draw(st.integers(1, 3))
            numbers[writer] = numbers.get(writer, 0) + 1
            world.put(at, (writer, numbers[writer]), snapshot)
        world.snapshots.append((world.replicas[at], world.meanings[at]))
    return world


@given(worlds())
def test_a_write_stands_once_until_it_is_replaced_however_often_and_wherever_it_was_done(world):
    for state, (known, replaced) in world.snapshots:
        assert named(state) == sorted(known - replaced)


@given(worlds(), st.data())
def test_merging_them_is_commutative_associative_and_idempotent(world, data):
    a, b, c = (data.draw(st.sampled_from(world.snapshots))[0] for _ in range(3))
    encode = msgspec.msgpack.encode
    assert encode(merge(a, b)) == encode(merge(b, a))
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, merge(a, b)) == merge(a, b)


@given(worlds(), st.data())
def test_by_stamp_replicas_that_exchange_all_they_have_end_equal(world, data):
    states = [state for state, _ in world.snapshots]
    orders = [data.draw(st.permutations(states)) for _ in range(2)]
    ends = []
    for order in orders:
        state = EMPTY
        for other in (*order, *order):
            state = merge_latest(state, other)
        ends.append(state)
    assert merge_latest(*ends) == merge_latest(*reversed(ends))
    assert len(merge_latest(*ends).versions) == min(1, len(world.contexts))


def test_by_stamp_a_put_done_again_does_not_come_back_over_its_successor():
    """The second time was stamped later than what replaced the first."""
    first, again = put(EMPTY, EMPTY, (7, 1), 1, wall_ns=5), put(EMPTY, EMPTY, (7, 1), 2, wall_ns=9)
    successor = put(first, first, (8, 1), 1, wall_ns=7)
    assert named(merge_latest(successor, again)) == named(merge_latest(again, successor)) == [(8, 1)]


# How much is remembered


def test_the_newest_writers_are_remembered_and_no_write_is_lost_with_the_others(monkeypatch):
    state, begin = EMPTY, EMPTY
    for writer in range(1, 3 * dotted.WRITERS_MAX):
        begin = begin if writer > 1 else put(EMPTY, EMPTY, (1, 1), 1)
        state = put(state, state, (writer, 1), 1)
    assert len(state.writes.clock) == dotted.WRITERS_MAX
    assert max(state.writes.clock) == 3 * dotted.WRITERS_MAX - 1
    # The first write was forgotten: done again elsewhere it is a write of its own, and stands beside the last.
    late = put(EMPTY, EMPTY, (1, 1), 2)
    assert len(merge(state, late).versions) == 2
    recent = put(EMPTY, EMPTY, (3 * dotted.WRITERS_MAX - 2, 1), 2)
    assert merge(state, recent).versions == state.versions


def test_what_is_remembered_of_many_writers_takes_some_2800_bytes():
    full = Seen({(1 << 63) + writer: 200 for writer in range(dotted.WRITERS_MAX)})
    assert 2800 < len(msgspec.msgpack.encode(remembered(NOTHING, full))) < 2850


@given(st.lists(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), max_size=9), min_size=3, max_size=3))
def test_trimming_commutes_with_merging(lists):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dotted, "WRITERS_MAX", 4)
        a, b, c = (remembered(NOTHING, _seen(each)) for each in lists)
        assert remembered(a, b) == remembered(b, a)
        assert remembered(remembered(a, b), c) == remembered(a, remembered(b, c))
        assert remembered(a, a) == a


def _seen(identities):
    seen = NOTHING
    for identity in identities:
        seen = dotted.add(seen, identity)
    return seen
