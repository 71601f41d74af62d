"""Gossip: changes of the membership reach everybody, and what that costs."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from splitbrain.store.config import Config
from splitbrain.store.gossip.gossip import HOT_MAX
from splitbrain.store.wire.changes import Change, Kind, identity
from splitbrain.store.wire.client_messages import Failed, Join, Leave, Members
from splitbrain.store.wire.datagrams import Wire
from splitbrain.store.wire.peer_messages import Tell, Told
from tests.store.box import CLUSTER, SECRET, Box
from tests.store.gossip.rounds import QUIET, RAPID, ROUND_S, joins, overhear, settle

SEEDS = 100
"""Of the runs that prove convergence; a tenth of a second each."""


# Everybody hears of it


@pytest.mark.parametrize("seed", range(SEEDS))
def test_ring_views_are_equal_ten_rounds_after_the_last_change(seed):
    rng = random.Random(seed)
    number = 5 + seed % 8
    box = Box(
        number,
        seed=seed,
        config=RAPID,
        settled=False,
        loss=rng.choice([0.0, 0.1, 0.2]),
        duplicate=rng.choice([0.0, 0.2]),
    )
    box.run_for(1.0)
    box.add("a", seeds=rng.sample(box.names, 2))
    box.add("b", seeds=rng.sample(box.names, 2))
    leaving = rng.choice(box.names[:number])
    wanted = [("a", "join"), ("b", "join"), (leaving, rng.choice(["leave", "gone"]))]
    rng.shuffle(wanted)
    calls = []
    for name, what in wanted:
        via = box.client(rng.choice([n for n in box.names[:number] if n != leaving]))
        calls.append(via.begin(Join(name, box.hosts[name].address) if what == "join" else Leave(name, what == "gone")))
        box.run_for(rng.choice([0.0, 0.1, 1.0]))
    assert len(settle(box)) == 1
    for (name, what), call in zip(wanted, calls, strict=True):
        if isinstance(call.reply, Failed):
            assert "does not answer" in call.message, "with a fifth of all datagrams lost it may seem so"
        else:
            assert (name in box.ring.members) == (what == "join")


def test_two_operators_on_two_sides_of_a_partition_come_to_one_ring():
    box = Box(6, config=RAPID)
    box.add("a")
    box.add("b", seeds=["n4"])
    box.isolate("n1", "n2", "n3", "a")
    assert box.join("a", via="n1").ok
    assert box.join("b", via="n4").ok
    assert box.leave("n5", via="n6", gone=True).ok
    assert box.leave("n2", via="n1", gone=True).ok
    settle(box)
    assert len(box.views()) > 1
    box.heal()
    assert len(settle(box)) == 1
    assert sorted(box.ring.members) == ["a", "b", "n1", "n3", "n4", "n6"]


@pytest.mark.parametrize("what", ["join", "gone"])
def test_an_operator_may_switch_the_node_off_that_said_done(what):
    box = Box(5, config=QUIET)
    box.add("a", seeds=["n2"])
    assert (box.join("a") if what == "join" else box.leave("n5", gone=True)).ok
    box.run_for(0.01)
    box.crash("n1")
    settle(box)
    for name in ("n2", "n3", "n4"):
        assert (("a" if what == "join" else "n5") in box.membership(name).ring.members) == (what == "join")


def test_a_change_is_told_only_once_it_is_durable():
    box = Box(4, config=RAPID)
    before = box.views()
    box.hold("n1")
    call = box.client("n1").begin(Leave("n4", gone=True))
    box.run_for(3.0)
    assert not call.done or call.error == "timeout"
    assert box.views() == before
    box.release("n1")
    assert len(settle(box)) == 1
    assert box.views() != before


def test_a_node_that_stalls_on_its_disk_says_only_then_that_it_has_heard():
    box = Box(4, config=RAPID)
    box.hold("n2")
    assert box.leave("n4", via="n1", gone=True).ok
    box.run_for(5.0)
    assert "n4" in box.membership("n2").ring.members
    box.crash("n2")
    box.hosts["n2"].held = False
    box.start("n2")
    assert "n4" in box.membership("n2").ring.members, "it was not durable"
    assert len(settle(box)) == 1


def test_histories_of_any_length_are_made_one_in_six_messages():
    box = Box(2, config=Config(n=1, r=1, w=1, gossip_s=60, partitions=4, anti_entropy_s=0))
    ours, theirs = joins(600), joins(500, first=1000)
    for name, changes in (("n1", ours), ("n2", theirs)):
        box.membership(name).merge(changes)
    box.run_for(1.0)
    exchanged, opener = set(), Wire(SECRET, CLUSTER, "spy", lambda k: 1)

    def tap(source, target, datagram):
        fragment = opener.open(datagram)
        exchanged.add((source, fragment.kind, fragment.request_id))
        return True

    box.wiretap = tap
    gossip = box.parts("n1").gossip
    gossip.sync("n2")
    box.client("n1").begin(Members())  # Something has to take what the node wants to send.
    box.run_for(0.5)
    between = [message for message in exchanged if message[0] != "client"]
    assert len(box.views()) == 1
    assert len(box.membership("n1").changes) == 2 + len(ours) + len(theirs)
    # Two for the histories, two for what the other lacked; pings and the client's answer are not gossip.
    assert len(between) <= 12


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_a_node_that_was_away_for_long_gets_what_it_missed(loss):
    box = Box(4, config=RAPID, loss=loss)
    box.crash("n4")
    box.membership("n1").merge(joins(200))
    settle(box)
    box.start("n4")
    assert len(settle(box)) == 1


def test_what_cannot_be_a_change_makes_no_endless_talk():
    # A peer of another make insists on a change that we find impossible: the digests never agree.
    box = Box(2, config=Config(n=1, r=1, w=1, gossip_s=1, partitions=4, anti_entropy_s=0))
    change = Change(1, "n2", Kind.JOIN, "bad", ("", 0))
    other = box.membership("n2")
    other._changes[identity(change)] = change
    other.view ^= identity(change)
    heard = overhear(box)
    box.run_for(20.0)
    assert len(heard) < 20 * 20


# What it costs


def test_where_all_know_the_same_a_round_is_one_datagram_and_its_answer():
    box = Box(12, config=QUIET)
    heard = overhear(box)
    box.run_for(5.0)
    gossip = Counter(type(message).__name__ for _, _, _, message in heard if type(message).__name__ != "Ping")
    assert set(gossip) <= {"Tell", "Told", "Pong", "Tokens", "Holding"}
    assert 12 * 4 <= gossip["Tell"] <= 12 * 6
    assert gossip["Told"] == gossip["Tell"]


def test_a_change_is_told_for_some_rounds_and_not_for_ever():
    box = Box(4, config=RAPID)
    assert box.leave("n4", gone=True).ok
    heard = overhear(box, Tell, Told)
    box.run_for(1.0)
    assert any(message.changes for _, _, _, message in heard)
    knowing = set()
    for _, source, target, message in heard:
        if isinstance(message, Told) and message.changes:
            assert target not in knowing, "it said so itself"
        knowing |= {source} if message.changes else set()
    box.run_for(10 * ROUND_S)
    heard.clear()
    box.run_for(3.0)
    assert heard
    assert not any(message.changes for _, _, _, message in heard)


def test_many_changes_at_once_are_reconciled_and_not_told_one_by_one():
    box = Box(4, config=RAPID)
    heard = overhear(box, Tell)
    box.membership("n1").merge(joins(HOT_MAX))
    box.run_for(2 * ROUND_S)
    assert next(message for _, source, _, message in heard if source == "n1").changes == []
    assert len(settle(box)) == 1


def test_nodes_gossip_once_a_round_on_average_and_never_in_step():
    box = Box(5, config=QUIET)
    heard = overhear(box, Tell)
    box.run_for(60.0)
    rounds = defaultdict(list)
    for at, source, _, _ in heard:
        rounds[source].append(at)
    for times in rounds.values():
        gaps = [b - a for a, b in pairwise(times)]
        assert all(0.89 < gap < 1.11 for gap in gaps)
        assert len({round(gap, 3) for gap in gaps}) > 10
        assert abs(sum(gaps) / len(gaps) - 1) < 0.05
    assert len({round(times[0], 3) for times in rounds.values()}) == 5


def test_peers_are_chosen_evenly():
    box = Box(5, config=RAPID)
    heard = overhear(box, Tell)
    box.run_for(60.0)
    told = Counter(target for _, source, target, _ in heard if source == "n1")
    assert set(told) == {"n2", "n3", "n4", "n5"}
    assert max(told.values()) < 2 * min(told.values())


# Making histories one at once


def test_sync_makes_two_histories_one_now_and_not_more_than_once_a_round():
    box = Box(3, config=Config(partitions=4, gossip_s=60, anti_entropy_s=0))
    box.membership("n2").merge(joins(1))
    box.run_for(0.1)
    gossip = box.parts("n1").gossip
    for _ in range(5):
        gossip.sync("n2")
    box.run_for(1.0)
    assert len(box.views("n1", "n2")) == 1
    assert box.counter("n1", "gossip_reconciled") == 1
