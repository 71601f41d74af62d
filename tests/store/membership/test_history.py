"""The history of a membership: what its changes fold to, in whatever order they came."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.membership.history import Standing, fold
from splitbrain.store.wire.changes import Kind, identity
from tests.store.membership.copies import CHANGES, CONFIG, at, change, start


def folded(changes):
    ring, nodes = fold(changes, CONFIG)
    return (
        ring.members,
        [ring.primaries_of(partition) for partition in range(ring.partitions)] if ring.members else [],
        nodes,
    )


@settings(max_examples=150, deadline=None)
@given(CHANGES, st.randoms(use_true_random=False))
def test_the_fold_depends_on_the_set_of_changes_alone(changes, rng):
    shuffled = changes + rng.choices(changes, k=3)
    rng.shuffle(shuffled)
    assert folded(dict.fromkeys(shuffled)) == folded(dict.fromkeys(changes))


@settings(max_examples=150, deadline=None)
@given(CHANGES)
def test_a_ring_never_has_fewer_than_n_members_or_two_of_one_address(changes):
    ring, nodes = fold(changes, CONFIG)
    assert len(ring.members) >= CONFIG.n or not ring.members
    assert len({m.address for m in ring.members.values()}) == len(ring.members)
    listening = [m.address for m, standing in nodes.values() if standing is not Standing.GONE]
    assert len(set(listening)) == len(listening)
    if ring.members:
        assert {name for name, (_, standing) in nodes.items() if standing is Standing.MEMBER} == set(ring.members)


def test_two_changes_of_one_stamp_are_folded_alike_whichever_came_first():
    # A node that lost its disk counts from where it believes the history to be, and stamps anew.
    twins = [change(1, Kind.JOIN, 4, address=at(8)), change(1, Kind.JOIN, 4, address=at(9))]
    one, other = fold([*start(1, 2, 3), *twins], CONFIG), fold([*start(1, 2, 3), *reversed(twins)], CONFIG)
    assert one[0].members == other[0].members
    assert one[0].members["n4"].address == at(8)


def test_of_two_leaves_at_once_that_would_leave_too_few_one_is_passed_over_and_everywhere_the_same():
    leaves = [change(1, Kind.LEAVE, 2, issuer="n2"), change(1, Kind.LEAVE, 3, issuer="n1")]
    passed = []
    for order in (leaves, leaves[::-1]):
        ring, _ = fold([*start(1, 2, 3, 4), *order], CONFIG, lambda change, reason: passed.append((change, reason)))
        assert list(ring.members) == ["n1", "n2", "n4"]
    assert passed == [(leaves[0], "fewer than n=3 members would be left to hold every key")] * 2


def test_beginnings_of_two_clusters_are_joined_to_one():
    ring, _ = fold(start(1, 2, 3) + start(4, 5, 6), CONFIG)
    assert sorted(ring.members) == ["n1", "n2", "n3", "n4", "n5", "n6"]


def test_a_beginning_of_too_few_is_no_ring():
    assert not fold(start(1, 2), CONFIG)[0].members


def test_every_change_has_an_identity_of_its_own():
    one = change(1, Kind.JOIN, 5)
    others = [
        msgspec.structs.replace(one, **{name: value})
        for name, value in [("issued_ns", 1), ("zone", "z"), ("capacity", 2)]
    ]
    assert len({identity(each) for each in [one, *others]}) == 4
