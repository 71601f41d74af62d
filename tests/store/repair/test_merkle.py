"""Merkle trees: at any moment what they would be if they were made anew, whatever happened in between."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.config import Config, Member
from splitbrain.store.repair import merkle
from splitbrain.store.repair.merkle import FANOUT, Tree, Trees, digest
from splitbrain.store.ring.ring import RING_SIZE, Ring, position
from splitbrain.store.storage.engine import MemoryEngine
from splitbrain.store.storage.replica import DATA, Entry, Replica, place
from splitbrain.store.versions.dotted import EMPTY, NOTHING, VersionSet, add, write

WHOLE = (0, RING_SIZE)


def state(counter, value=b"v", of=EMPTY):
    changed, _ = write(of, of.seen, dot=(7, counter), value=value, request_id=counter, coordinator="n", wall_ns=counter)
    return changed


class Slices:
    """Background work, a slice at a time when the test says so."""

    def __init__(self):
        self.waiting = []

    def soon(self, slice_of_work):
        self.waiting.append(slice_of_work)

    def run_one(self):
        if self.waiting:
            self.waiting.pop(0)()

    def run_all(self):
        while self.waiting:
            self.run_one()


class Stand:
    """A replica whose disk carries out what it is given, and says so, each when the test says so."""

    def __init__(self, ranges=(WHOLE,)):
        self.engine = MemoryEngine()
        self.out = []
        self.replica = Replica(self.engine, "n1", Config(), random.Random(1).getrandbits, self.out)
        self.slices = Slices()
        self.trees = Trees(self.replica, self.slices)
        self.written = []
        self.trees.host(ranges)

    def put(self, key, new_state):
        self.replica.put(DATA, key, Entry(0, new_state), lambda: None)

    def write_one(self):
        if self.out:
            persist = self.out.pop(0)
            self.engine.commit(persist.records)
            self.written.append(persist.ticket)

    def tell_one(self):
        if self.written:
            self.replica.persisted(self.written.pop(0))

    def settle(self):
        while self.out:
            self.write_one()
        while self.written:
            self.tell_one()


def anew(engine, token_range):
    """The tree of what is on the disk, from scratch."""
    out = []
    replica = Replica(engine, "n1", Config(), random.Random(1).getrandbits, out)
    tree = Tree(token_range)
    for key, entry in replica.scan(token_range):
        tree.change(tree.leaf(position(key)), digest(key, entry.state))
    return tree


def hashes(tree):
    found, level = [tree.root], [0]
    while tree.is_inner(level[0]):
        level = [FANOUT * node + 1 + child for node in level for child in range(FANOUT)]
        found += map(tree.hash, level)
    return found


SMALL = (0, 1 << 117)
"""A tree of two levels below its root."""
KEYS = [key for key in (b"%d" % i for i in range(40_000)) if position(key) < SMALL[1]][:4]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS), st.integers(1, 5)),
        st.tuples(st.just("delete"), st.sampled_from(KEYS)),
        st.tuples(st.just("put, written and told"), st.sampled_from(KEYS), st.integers(1, 5)),
        st.sampled_from([("write",), ("tell",), ("fill",), ("fill",)]),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(before=st.sets(st.sampled_from(KEYS)), steps=STEPS, slice_keys=st.integers(1, 3))
def test_a_tree_filled_while_the_data_changes_is_what_it_would_be_from_scratch(before, steps, slice_keys):
    stand = Stand(())
    for key in before:
        stand.put(key, state(9))
    stand.settle()
    patched, merkle.SLICE_KEYS = merkle.SLICE_KEYS, slice_keys
    try:
        stand.trees.host([SMALL])
        for step in steps:
            match step:
                case ("put", key, counter):
                    stand.put(key, state(counter))
                case ("put, written and told", key, counter):
                    stand.put(key, state(counter))
                    stand.settle()
                case ("delete", key):
                    stand.replica.delete(DATA, key, lambda: None)
                case ("write",):
                    stand.write_one()
                case ("tell",):
                    stand.tell_one()
                case ("fill",):
                    stand.slices.run_one()
        stand.slices.run_all()
        stand.settle()
    finally:
        merkle.SLICE_KEYS = patched
    assert hashes(stand.trees.tree(SMALL)) == hashes(anew(stand.engine, SMALL))


@given(st.integers(0, RING_SIZE - 1), st.integers(1, 128), st.data())
def test_a_position_lies_in_the_bucket_of_its_leaf_and_of_no_other(start, bits, data):
    end = min(RING_SIZE, start + data.draw(st.integers(1, 1 << bits)))
    tree = Tree((start, end))
    at = data.draw(st.integers(start, end - 1))
    leaf = tree.leaf(at)
    assert tree.is_leaf(leaf) and not tree.is_inner(leaf) and tree.is_inner(0) == (leaf > 0)
    first, behind = tree.bucket(leaf)
    assert first <= at < behind
    assert first == start or tree.leaf(first - 1) == leaf - 1
    assert behind == end or tree.leaf(behind) == leaf + 1


def test_the_hash_covers_the_clock_tombstones_and_versions():
    once = state(1)
    replaced = state(2, of=once)
    cases = [
        EMPTY,
        once,
        replaced,
        state(1, None),
        state(1, b"w"),
        VersionSet(add(once.seen, (8, 1)), once.versions),
        VersionSet(NOTHING, once.versions),
    ]
    assert len({digest(b"k", case) for case in cases}) == len(cases)
    assert digest(b"k", once) != digest(b"l", once)
    assert digest(b"k", EMPTY) == 0


def test_one_change_touches_one_node_a_level():
    tree = Tree((0, RING_SIZE // 64))
    tree.change(tree.leaf(5), 1)
    before = hashes(tree)
    tree.change(tree.leaf(RING_SIZE // 64 - 1), 6)
    changed = [node for node, (old, new) in enumerate(zip(before, hashes(tree), strict=True)) if old != new]
    assert len(changed) == 4
    assert tree.root == 7


def test_every_node_is_the_sum_of_its_children():
    stand = Stand([SMALL])
    for key in KEYS:
        stand.put(key, state(1))
    stand.settle()
    stand.slices.run_all()
    tree = stand.trees.tree(SMALL)
    total = 0
    for child in tree.children(0):
        total ^= child
    assert total == tree.root != 0


def test_an_unfinished_tree_is_not_given_out():
    stand = Stand(())
    for key in KEYS:
        stand.put(key, state(1))
    stand.settle()
    stand.trees.host([SMALL])
    assert stand.trees.tree(SMALL) is None
    assert stand.trees.unfinished == 1
    stand.slices.run_all()
    assert stand.trees.tree(SMALL).root != 0


def test_a_join_leaves_the_trees_of_ranges_that_stay_as_they_are():
    members = [Member(f"n{i}", ("h", i)) for i in range(1, 6)]
    before = Ring(members, Config())
    after = before.joined(Member("n6", ("h", 6)))

    def hosted(ring):
        return [ring.range(p) for p in range(ring.partitions) if "n1" in ring.primaries_of(p)]

    stand = Stand(hosted(before))
    for number in range(300):
        stand.put(b"%d" % number, state(1))
    stand.settle()
    stand.slices.run_all()
    stay = set(hosted(before)) & set(hosted(after))
    trees = {token_range: stand.trees.tree(token_range) for token_range in stay}
    looked_at = []
    stand.replica.reported = lambda within, *rest: looked_at.append(within)
    stand.trees.host(hosted(after))
    assert len(stay) > 20
    assert all(stand.trees.tree(token_range) is tree for token_range, tree in trees.items())
    assert set(hosted(after)) - stay or not stand.slices.waiting
    assert not looked_at


def test_the_tree_of_a_range_that_went_and_came_back_is_filled_anew():
    stand = Stand([SMALL])
    stand.slices.run_all()
    stand.trees.host([])
    for key in KEYS:
        stand.put(key, state(1))
    stand.settle()
    assert stand.trees.tree(SMALL) is None
    stand.trees.host([SMALL])
    stand.slices.run_all()
    assert hashes(stand.trees.tree(SMALL)) == hashes(anew(stand.engine, SMALL))


def test_a_leaf_whose_record_was_damaged_on_the_disk_is_put_right_when_it_is_listed():
    stand = Stand([SMALL])
    for key in KEYS:
        stand.put(key, state(1))
    stand.settle()
    stand.slices.run_all()
    tree = stand.trees.tree(SMALL)
    stand.engine._spaces[DATA].pop(place(KEYS[0]))
    leaf = tree.leaf(position(KEYS[0]))
    assert KEYS[0] not in stand.trees.listing(SMALL, leaf)
    assert hashes(tree) == hashes(anew(stand.engine, SMALL))


def test_keys_that_are_not_hosted_count_nowhere():
    stand = Stand([SMALL])
    stand.slices.run_all()
    outside = next(key for key in (b"%d" % i for i in range(100)) if position(key) >= SMALL[1])
    stand.put(outside, state(1))
    stand.settle()
    assert stand.trees.tree(SMALL).root == 0


@pytest.mark.parametrize("partitions", [1, 17, 64, 256, 4096])
def test_the_trees_of_a_whole_ring_take_a_few_megabytes(partitions):
    ring = Ring([Member("n1", ("h", 1))], Config(n=1, r=1, w=1, partitions=partitions))
    taken = 0
    for partition in range(partitions):
        tree = Tree(ring.range(partition))
        tree.change(tree.leaf(tree.start), 1)
        taken += len(tree._hashes) * tree._hashes.itemsize
    assert taken < 10 << 20
    if partitions == 64:
        assert taken < 3 << 20
