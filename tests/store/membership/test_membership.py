"""The membership: how copies of its history merge, and what a node makes of its own place in it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.config import Member
from splitbrain.store.errors import StoreError
from splitbrain.store.membership.history import Standing, fold
from splitbrain.store.storage.replica import RING
from splitbrain.store.wire.changes import Change, Kind, identity
from tests.store.membership.copies import CHANGES, CONFIG, Copy, at, change, member, start


@pytest.fixture
def copy():
    copy = Copy()
    copy.sync()
    return copy


# How copies merge


@settings(max_examples=150, deadline=None)
@given(CHANGES, st.randoms(use_true_random=False))
def test_learning_changes_in_any_order_and_any_portions_comes_to_the_fold_of_them_all(changes, rng):
    copy = Copy(members=())
    left = changes + rng.choices(changes, k=3)
    rng.shuffle(left)
    while left:
        portion = [left.pop() for _ in range(min(len(left), rng.randint(1, 4)))]
        copy.learn(*portion)
    membership = copy.membership
    ring, nodes = fold(dict.fromkeys(changes), CONFIG)
    assert membership.ring.members == ring.members
    assert membership.ring.owners == ring.owners
    assert membership.nodes == nodes
    assert membership.view == Copy(members=(), engine=copy.engine).membership.view


def test_removed_stays_removed_whatever_older_change_turns_up(copy):
    copy.learn(change(5, Kind.GONE, 4))
    copy.learn(change(3, Kind.JOIN, 4), *start(4), change(4, Kind.JOIN, 4, address=at(9)))
    assert copy.membership.nodes["n4"][1] is Standing.GONE
    assert "n4" not in copy.membership.ring.members
    copy.learn(change(6, Kind.JOIN, 4))
    assert "n4" in copy.membership.ring.members


def test_a_leaving_node_may_come_back_to_where_it_is_and_nowhere_else(copy):
    copy.learn(change(1, Kind.LEAVE, 4))
    copy.learn(change(2, Kind.JOIN, 4, address=at(9)))
    assert copy.membership.nodes["n4"] == (member(4), Standing.LEAVING)
    copy.learn(change(3, Kind.JOIN, 4))
    assert copy.membership.nodes["n4"] == (member(4), Standing.MEMBER)


@pytest.mark.parametrize("portions", [1, 2])
def test_the_address_of_a_node_that_is_gone_is_free(copy, portions):
    gone, joined = change(1, Kind.GONE, 4), change(2, Kind.JOIN, 5, address=at(4))
    for portion in [[gone, joined]] if portions == 1 else [[gone], [joined]]:
        copy.learn(*portion)
    assert copy.membership.ring.members["n5"].address == at(4)
    copy.learn(change(3, Kind.JOIN, 4))
    assert "n4" not in copy.membership.ring.members, "it can't have it back"
    copy.learn(change(4, Kind.LEAVE, 5, address=at(4)), change(5, Kind.GONE, 5), change(6, Kind.JOIN, 4))
    assert copy.membership.ring.members["n4"].address == at(4)


# What an operator may ask for


@pytest.mark.parametrize(
    ("joining", "reason"),
    [
        (Member("n2", at(9)), "the name 'n2' is taken by the node at 10.0.0.1:7002; choose another"),
        (Member("n2", at(2), capacity=2), "the name 'n2' is taken"),
        (Member("n9", at(2)), "10.0.0.1:7002 is the address of 'n2'; give each node its own"),
        (Member("n9", at(4)), "10.0.0.1:7004 is the address of 'n4'"),
        (Member("n4", at(9)), "'n4' is still leaving from 10.0.0.1:7004; wait until it is gone"),
    ],
)
def test_a_join_that_cannot_be_is_refused_with_the_reason(copy, joining, reason):
    copy.learn(change(1, Kind.LEAVE, 4))
    with pytest.raises(StoreError, match=reason) as refusal:
        copy.membership.join(joining, 0, lambda: None)
    assert refusal.value.code == "bad_request"
    assert not copy.out


def test_a_leave_that_cannot_be_is_refused_with_the_reason(copy):
    with pytest.raises(StoreError, match="no node 'n9' in this cluster; its nodes: n1, n2, n3, n4"):
        copy.membership.leave("n9", 0, lambda: None)
    copy.membership.leave("n4", 0, lambda: None)
    copy.sync()
    for gone in (False, True):
        with pytest.raises(StoreError, match="3 members with n=3: without 'n3' too few would be left"):
            copy.membership.leave("n3", 0, lambda: None, gone=gone)


def test_what_is_so_already_is_done_at_once_and_makes_no_change(copy):
    done = []
    copy.membership.leave("n4", 0, lambda: None)
    copy.sync()
    known = copy.membership.identities
    copy.membership.leave("n4", 0, lambda: done.append("left"))
    copy.membership.join(member(2), 0, lambda: done.append("joined"))
    assert done == ["left", "joined"]
    assert copy.membership.identities == known


def test_a_leaving_node_that_dies_can_be_given_up(copy):
    copy.membership.leave("n4", 0, lambda: None)
    copy.sync()
    assert copy.membership.others() == ["n2", "n3", "n4"]
    copy.membership.leave("n4", 0, lambda: None, gone=True)
    copy.sync()
    assert copy.membership.others() == ["n2", "n3"]
    assert copy.membership.address("n4") is None


# Durable before told


def test_a_change_is_known_and_acknowledged_only_once_it_is_durable(copy):
    before, done = copy.membership.view, []
    copy.membership.join(member(5), 0, lambda: done.append(True))
    assert (copy.membership.view, done) == (before, [])
    assert "n5" not in copy.membership.ring.members
    copy.sync()
    assert done == [True]
    assert "n5" in copy.membership.ring.members
    assert copy.membership.view != before
    assert copy.restarted().membership.view == copy.membership.view


def test_a_change_that_was_not_durable_is_not_there_after_a_crash(copy):
    view = copy.membership.view
    copy.membership.join(member(5), 0, lambda: None)
    assert copy.restarted().membership.view == view


def test_listeners_get_the_ring_as_it_was_before(copy):
    heard = []
    copy.membership.on_change.append(
        lambda before: heard.append((sorted(before.members), len(copy.membership.ring.members)))
    )
    copy.learn(change(1, Kind.JOIN, 5))
    copy.learn(change(1, Kind.JOIN, 5))
    assert heard == [(["n1", "n2", "n3", "n4"], 5)]


def test_what_can_be_no_member_is_not_learnt(copy):
    view = copy.membership.view
    copy.learn(
        change(1, Kind.JOIN, 5, capacity=99),
        change(1, Kind.JOIN, 5, address=("h", 0)),
        Change(1, "n1", Kind.JOIN, "", at(5)),
    )
    assert copy.membership.view == view


def test_missing_known_and_unknown_changes_are_distinguished(copy):
    other = Copy("n2")
    other.sync()
    ours, theirs = change(1, Kind.JOIN, 5), change(1, Kind.JOIN, 6, issuer="n2")
    copy.learn(ours)
    other.learn(theirs)
    assert copy.membership.missing(other.membership.identities) == [ours]
    assert copy.membership.unknown(other.membership.identities) == [identity(theirs)]
    assert other.membership.known(copy.membership.missing([]) and copy.membership.identities) == start(1, 2, 3, 4)


# After a restart


def test_the_stored_history_counts_and_not_the_members_given_at_the_start(copy):
    copy.learn(change(1, Kind.GONE, 4), change(2, Kind.JOIN, 5))
    again = copy.restarted(members=(1, 2, 3, 7))
    assert list(again.membership.ring.members) == ["n1", "n2", "n3", "n5"]
    (note,) = again.notes
    assert note.startswith("the members given at the start are ignored")
    assert "n1, n2, n3, n5" in note


@pytest.mark.parametrize("given_", [(1, 2, 3, 4), (1, 2, 3, 5), ()])
def test_a_node_that_is_given_the_beginning_or_todays_members_or_none_notes_nothing(copy, given_):
    copy.learn(change(1, Kind.GONE, 4), change(2, Kind.JOIN, 5))
    assert copy.restarted(members=given_).notes == []


def test_damaged_changes_are_noted_and_the_others_kept(copy):
    copy.learn(change(1, Kind.JOIN, 5))
    spoilt = next(key for key, value in copy.engine.scan(RING) if b"n5" in value)
    copy.engine.commit([(RING, spoilt, b"\xff\x00")])
    again = copy.restarted()
    assert list(again.membership.ring.members) == ["n1", "n2", "n3", "n4"]
    assert again.notes == ["1 changes of the stored history are damaged; the other nodes are asked for them"]
    again.learn(change(1, Kind.JOIN, 5))
    assert again.restarted().membership.view == copy.membership.view


def test_a_history_of_a_thousand_changes_is_folded_incrementally(copy, monkeypatch):
    folds = []
    monkeypatch.setattr(
        "splitbrain.store.membership.membership.fold", lambda *given: folds.append(given) or fold(*given)
    )
    for counter in range(1, 1001, 2):
        copy.learn(change(counter, Kind.JOIN, 5))
        copy.learn(change(counter + 1, Kind.GONE, 5))
    assert folds == []
    assert copy.membership.removals("n5") == 500
    assert copy.membership.ring.owners == fold(copy.membership.changes, CONFIG)[0].owners


# A node's own place


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ([], None),
        ([change(1, Kind.LEAVE, 1)], None),
        ([change(1, Kind.GONE, 1)], "n1 is no longer in the ring; join it again, or ask a member"),
    ],
)
def test_a_node_serves_clients_while_it_is_a_member_or_leaves(copy, changes, refusal):
    copy.learn(*changes)
    assert copy.membership.refusal == refusal


def test_a_node_outside_serves_no_clients_until_it_is_in_a_ring():
    outside = Copy("n9", members=())
    assert outside.membership.standing is None
    assert outside.membership.refusal == "n9 is outside the ring; join it, or ask a member"
    outside.learn(*start(1, 2, 3))
    assert outside.membership.refusal == "n9 is outside the ring; join it, or ask a member"
    outside.learn(change(1, Kind.JOIN, 9))
    assert outside.membership.refusal is None
    assert outside.notes == ["n9 is a member of the ring"]


def test_of_two_nodes_with_one_name_one_keeps_it_and_the_other_serves_no_client_any_more():
    elsewhere = [change(0, Kind.START, number, issuer="", address=at(number + 10)) for number in (1, 2, 3)]
    ours, theirs = Copy(members=(1, 2, 3)), Copy(members=())
    theirs.learn(*elsewhere)
    theirs = theirs.restarted(members=())
    for copy in (ours, theirs):
        copy.sync()
        copy.learn(*start(1, 2, 3), *elsewhere)
        assert copy.membership.ring.members["n1"].address == at(1)
    assert ours.membership.refusal is None
    assert "another node is 'n1' in this ring" in theirs.membership.refusal
    assert theirs.membership.refusal in theirs.notes
    assert any(
        "the start of 'n1' at 10.0.0.1:7011" in note and "is taken by the node at 10.0.0.1:7001" in note
        for note in ours.notes
    )
    assert theirs.restarted().membership.refusal == theirs.membership.refusal


def test_a_node_that_was_removed_may_join_again_from_another_address(copy):
    copy.learn(change(1, Kind.GONE, 1))
    copy.learn(change(2, Kind.JOIN, 1, address=at(9)))
    assert copy.membership.refusal is None


def test_a_change_with_no_effect_is_noted_once(copy):
    copy.learn(change(4, Kind.JOIN, 2, address=at(9)))
    copy.learn(change(1, Kind.JOIN, 5))
    (note,) = [note for note in copy.notes if "has no effect" in note]
    assert note == (
        "the join of 'n2' at 10.0.0.1:7009, told to n1, has no effect: the name 'n2' is taken by the node at"
        " 10.0.0.1:7002; choose another"
    )
