"""Gossip: changes of the membership reach everybody, heartbeats too, and who does not belong is told why."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from splitbrain.store.config import Config, Member
from splitbrain.store.gossip.gossip import HEARTBEATS_MAX, HOT_MAX
from splitbrain.store.membership.history import Standing
from splitbrain.store.wire.changes import Change, Kind, identity
from splitbrain.store.wire.client_messages import Failed, Get, Join, Leave, Members, Put, View
from splitbrain.store.wire.datagrams import HELLO, REQUEST, Wire
from splitbrain.store.wire.messages import decode_reply, decode_request
from splitbrain.store.wire.peer_messages import Tell, Told
from tests.store.box import CLUSTER, SECRET, Box

QUIET = Config(partitions=4, anti_entropy_s=0)
ROUND_S = 0.2
SEEDS = 100
"""Of the runs that prove convergence; a tenth of a second each."""
RAPID = Config(partitions=4, anti_entropy_s=0, gossip_s=ROUND_S)


def member(number):
    return Member(f"x{number}", ("10.0.1.1", 7000 + number))


def joins(count, first=1):
    """Changes of a long history: nodes that joined and are gone again."""
    changes = []
    for number in range(first, first + count):
        for kind in (Kind.JOIN, Kind.GONE):
            changes.append(Change(len(changes) + 1, "n1", kind, f"x{number}", member(number).address))
    return changes


def overhear(box, *kinds):
    """Messages between nodes from now on: (time, source, target, message). Those of several fragments are left out."""
    heard, sent, opener = [], set(), Wire(SECRET, CLUSTER, "spy", lambda k: 1)

    def tap(source, target, datagram):
        fragment = opener.open(datagram)
        asked = (fragment.incarnation, fragment.request_id)
        # To a peer whose incarnation is unknown a request goes out twice.
        again = fragment.kind == REQUEST and not fragment.retried and asked in sent
        sent.add(asked)
        if fragment.parts == 1 and fragment.kind != HELLO and not again:
            decode = decode_request if fragment.kind == REQUEST else decode_reply
            message = decode(fragment.chunk)
            if not kinds or isinstance(message, kinds):
                heard.append((box.now, source, target, message))
        return True

    box.wiretap = tap
    return heard


def settle(box, *names, rounds=10):
    """Run until nobody has learnt anything new for that many rounds. Returns the views then."""
    known, since = set(), box.now
    until = box.now + 60.0
    while box.now - since < rounds * box.config.gossip_s:
        box.run_for(box.config.gossip_s / 2)
        now_known = {name for node in box.running for name in box.membership(node).identities}
        if now_known - known:
            known, since = known | now_known, box.now
        assert box.now < until, "the history never comes to rest"
    return box.views(*names)


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


# Seeds


@pytest.mark.parametrize("seed", range(10))
def test_two_clusters_that_never_met_become_one_through_a_seed(seed):
    box = Box(3, seed=seed, config=RAPID)
    box.found("m1", "m2", "m3", seeds=["n1"])
    box.isolate("m1", "m2", "m3")
    assert box.client("n1").put(b"k", b"v").ok
    box.run_for(3.0)
    assert len(box.views()) == 2
    box.heal()
    box.run_until(lambda: len(box.views()) == 1)
    assert len(settle(box)) == 1
    for name in box.names:
        assert sorted(box.membership(name).ring.members) == ["m1", "m2", "m3", "n1", "n2", "n3"]


def test_a_node_that_is_among_its_own_seeds_does_not_ask_itself():
    box = Box(3, config=RAPID)
    box.crash("n1")
    box.hosts["n1"].seeds = (box.hosts["n1"].address,)
    heard = overhear(box, Tell)
    box.start("n1")
    box.run_for(10.0)
    assert {target for _, source, target, _ in heard if source == "n1"} == {"n2", "n3"}


def test_without_a_seed_they_never_meet():
    box = Box(3, config=RAPID)
    box.found("m1", "m2", "m3")
    box.run_for(10.0)
    assert len(box.views()) == 2


def test_a_name_in_both_clusters_belongs_to_one_node_everywhere_and_the_other_serves_no_client():
    box = Box(3, config=RAPID)
    box.found("m1", "m2", "m3", seeds=["n1"], called="n1")
    box.run_until(lambda: len(box.views()) == 1)
    settle(box)
    for name in ("n1", "n2", "n3", "m2", "m3"):
        assert sorted(box.membership(name).ring.members) == ["m2", "m3", "n1", "n2", "n3"]
        assert box.membership(name).ring.members["n1"].address == box.hosts["n1"].address
        assert any("'n1' at 10.0.0.1:7004" in line and "has no effect" in line for line in box.hosts[name].log)
    assert box.client("n1").put(b"k", b"v").ok
    refused = box.client("m1").get(b"k")
    assert refused.error == "not_member"
    assert "another node is 'n1' in this ring; start this one as a new node, of a name of its own" in refused.message
    assert refused.message in box.hosts["m1"].log


def test_a_node_outside_asks_seeds_only_and_is_not_asked():
    box = Box(4, config=RAPID)
    box.add("a", seeds=["n3"])
    heard = overhear(box, Tell)
    box.run_for(0.25)
    assert {target for _, source, target, _ in heard if source == "a"} == {"n3"}
    box.run_for(5.0)
    assert not any(target == "a" for _, _, target, _ in heard)
    assert box.views("a") == box.views("n1"), "it knows the cluster before it joins"


def test_a_member_asks_a_seed_that_is_none_of_its_own_now_and_then():
    box = Box(3, config=RAPID)
    box.found("m1", "m2", "m3", seeds=["n1"])
    box.cut("m1", "n1")
    box.cut("m2", "n1")
    box.cut("m3", "n1")
    heard = overhear(box, Tell)
    box.run_for(60.0)
    rounds = [target for _, source, target, _ in heard if source == "m1"]
    share = len({round(at, 1) for at, source, target, _ in heard if (source, target) == ("m1", "n1")}) / len(rounds)
    assert 0.03 < share < 0.3


def test_a_node_that_joined_is_a_member_after_a_restart_while_all_others_are_down():
    box = Box(3, config=RAPID)
    box.add("a")
    assert box.join("a").ok
    settle(box)
    for name in box.names:
        box.crash(name)
    box.hosts["a"].seeds = ()
    box.start("a")
    assert box.membership("a").standing is Standing.MEMBER
    assert sorted(box.membership("a").ring.members) == ["a", "n1", "n2", "n3"]


# Joining and leaving


def test_a_node_that_joined_serves_and_one_that_left_does_not():
    box = Box(4, config=RAPID)
    box.add("a")
    assert box.client("a").get(b"k").error == "not_member"
    assert box.join("a", zone="east", capacity=2).ok
    settle(box)
    assert box.ring.members["a"] == box.member("a", "east", 2)
    assert box.client("a").put(b"k", b"v").ok
    assert box.leave("a", gone=True).ok
    settle(box)
    refused = box.client("a").get(b"k")
    assert (refused.error, refused.message) == (
        "not_member",
        "a is no longer in the ring; join it again, or ask a member",
    )
    assert refused.message in box.hosts["a"].log


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda box: Join("z", ("10.0.0.9", 1)),
            "z at 10.0.0.9:1 can't join: it does not answer; start it first, with",
        ),
        (
            lambda box: Join("z", box.hosts["a"].address),
            "can't join: the node there is 'a'; give that name, or another",
        ),
        (
            lambda box: Join("b", box.hosts["b"].address),
            "b is configured otherwise: partitions=32 there, partitions=4 here",
        ),
        (lambda box: Join("n2", box.hosts["a"].address), "the name 'n2' is taken by the node at 10.0.0.1:7002"),
        (lambda box: Join("a", box.hosts["n2"].address), "10.0.0.1:7002 is the address of 'n2'"),
        (lambda box: Join("a", box.hosts["a"].address, "", 99), "capacity 99 of 'a': give 1 to 16"),
        (lambda box: Join("a", ("10.0.0.1", 70_000)), "port 70000, can't be the address of 'a'"),
        (lambda box: Leave("z"), "no node 'z' in this cluster; its nodes: n1, n2, n3"),
        (lambda box: Leave("n2"), "3 members with n=3: without 'n2' too few would be left to hold every key"),
    ],
)
def test_what_cannot_be_is_refused_with_cause_and_remedy_and_changes_nothing(make, reason):
    box = Box(3, config=RAPID)
    box.add("a")
    box.add("b", config=Config(partitions=32, anti_entropy_s=0))
    box.run_for(1.0)
    before = box.views("n1", "n2", "n3")
    began = box.now
    call = box.client("n1").ask(make(box))
    assert call.error == "bad_request"
    assert reason in call.message
    assert box.now - began < 2.0
    settle(box)
    assert box.views("n1", "n2", "n3") == before


def test_a_node_outside_refuses_joins():
    box = Box(3, config=RAPID)
    box.add("a")
    box.add("b")
    call = box.join("b", via="a")
    assert (call.error, call.message) == ("not_member", "a is outside the ring; join it, or ask a member")


def test_joining_twice_and_through_two_members_is_joining_once():
    box = Box(3, config=RAPID)
    box.add("a")
    calls = [box.client(via).begin(Join("a", box.hosts["a"].address)) for via in ("n1", "n2")]
    box.run_until(lambda: all(call.done for call in calls))
    assert all(call.ok for call in calls)
    settle(box)
    box.crash("a")
    assert box.join("a").ok, "it is a member, whether it answers or not"
    assert len(settle(box)) == 1
    assert not any("no effect" in line for host in box.hosts.values() for line in host.log)


# Who does not belong


def test_a_removed_node_that_comes_back_with_its_old_state_stays_out_until_it_joins_again():
    box = Box(5, config=RAPID)
    box.crash("n5")
    assert box.leave("n5", gone=True).ok
    settle(box)
    box.start("n5")
    assert box.membership("n5").standing is Standing.MEMBER, "so it thinks"
    assert len(settle(box)) == 1
    assert "n5" not in box.ring.members
    assert "n5 is no longer in the ring; join it again, or ask a member" in box.hosts["n5"].log
    assert box.client("n5").put(b"k", b"v").error == "not_member"
    box.crash("n5")
    box.start("n5")
    assert box.client("n5").put(b"k", b"v").error == "not_member"
    assert box.join("n5").ok
    assert len(settle(box)) == 1
    assert "n5" in box.ring.members


def test_a_removed_node_that_comes_back_with_an_empty_disk_stays_out_too():
    box = Box(5, config=RAPID)
    assert box.leave("n5", gone=True).ok
    settle(box)
    box.wipe("n5")
    assert len(settle(box)) == 1
    assert "n5" not in box.ring.members
    assert box.client("n5").get(b"k").error == "not_member"


@pytest.mark.parametrize(
    "key", ["n", "strategy", "partitions", "tokens", "clocks", "clock_limit", "conflicts", "lww_clock"]
)
def test_a_node_of_another_configuration_is_refused_and_both_logs_name_the_key(key):
    other = {"n": "2", "strategy": "1", "clocks": "server-id", "conflicts": "lww", "lww_clock": "wall"}.get(key, "9")
    box = Box(3, config=RAPID)
    here = RAPID.settings()[key]
    config = Config(r=1, w=1, gossip_s=ROUND_S, partitions=4, anti_entropy_s=0).changed({key: other})
    box.add("a", seeds=["n1"], config=config)
    box.run_for(5.0)
    assert box.views("a") == {0}
    refused = f"a is not heard out, it is configured otherwise: {key}={other} there, {key}={here} here"
    told = f"n1 is configured otherwise: {key}={here} there, {key}={other} here"
    assert sum(refused in line for line in box.hosts["n1"].log) == 1, "once a minute"
    assert sum(told in line for line in box.hosts["a"].log) == 1
    assert box.counter("n1", "gossip_of_other_config") > 5
    assert box.counter("a", "gossip_refused") > 5
    box.run_for(60.0)
    assert sum(refused in line for line in box.hosts["n1"].log) == 2


def test_settings_that_are_no_matter_of_where_data_lies_may_differ():
    box = Box(3, config=RAPID)
    box.add("a", config=Config(partitions=4, anti_entropy_s=0, r=1, read_repair="off", gossip_s=1))
    assert box.join("a").ok


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


# Heartbeats


def beats(box, name):
    """Heartbeats that the node's detector is told of from now on."""
    told = []
    detector = box.parts(name).core.detector
    hear = detector.heartbeat
    detector.heartbeat = lambda node, now: (told.append((node, now)), hear(node, now))
    return told


def test_everybodys_heartbeat_reaches_everybody_also_through_others():
    box = Box(6, config=RAPID)
    box.cut("n1", "n6")
    told = beats(box, "n1")
    box.run_for(10.0)
    counted = Counter(node for node, _ in told)
    assert set(counted) == {"n2", "n3", "n4", "n5", "n6"}
    assert min(counted.values()) > 10


def test_what_is_remembered_of_a_dead_node_is_no_sign_of_life():
    box = Box(4, config=RAPID)
    box.crash("n4")
    box.crash("n3")
    box.run_for(2.0)
    box.start("n3")
    told = beats(box, "n3")
    box.run_for(10.0)
    assert "n4" in box.parts("n3").gossip.loads, "it was heard of"
    assert {node for node, _ in told} == {"n1", "n2"}


def test_a_restarted_nodes_heartbeat_counts_from_its_start():
    box = Box(3, config=RAPID)
    box.crash("n3")
    box.run_for(5.0)
    told = beats(box, "n1")
    box.start("n3")
    box.run_for(1.0)
    assert "n3" in {node for node, _ in told}


def test_a_node_whose_clock_was_set_back_is_heard_again_after_one_exchange():
    box = Box(3, config=RAPID)
    box.crash("n3")
    box.hosts["n3"].clock_ahead_s = -100_000.0
    box.start("n3")
    box.run_for(2.0)
    told = beats(box, "n1")
    box.run_for(2.0)
    assert Counter(node for node, _ in told)["n3"] >= 3


def test_a_second_node_of_a_name_is_noticed():
    box = Box(3, config=RAPID)
    # Somebody has copied n3's unit file to another machine.
    box.add("another machine", called="n3")
    box.run_for(20.0)
    log = box.hosts["n3"].log + box.hosts["another machine"].log
    assert any("another node seems to run under the name 'n3', too; stop one of them" in line for line in log)


def test_loads_are_known_of_everybody():
    box = Box(4, config=RAPID)
    for number, name in enumerate(box.names):
        box.parts(name).gossip.load = lambda number=number: {"keys": number, "requests_per_s": 10 * number}
    box.run_for(5.0)
    expected = {f"n{number + 1}": {"keys": number, "requests_per_s": 10 * number} for number in range(4)}
    for name in box.names:
        assert box.parts(name).gossip.loads == expected


def test_a_node_that_is_gone_is_forgotten():
    box = Box(4, config=RAPID)
    assert box.leave("n4", gone=True).ok
    box.run_for(5.0)
    assert set(box.parts("n1").gossip.loads) == {"n1", "n2", "n3"}


def test_a_message_carries_no_more_than_the_freshest_heartbeats():
    box = Box(40, config=Config(partitions=4, anti_entropy_s=0), settled=False)
    heard = overhear(box, Tell)
    box.run_for(12.0)
    sizes = [len(message.heartbeats) for _, _, _, message in heard]
    assert max(sizes) == HEARTBEATS_MAX
    late = [message for at, _, _, message in heard if at > box.now - 3]
    assert len({beat.node for message in late for beat in message.heartbeats}) == 40


# The client's view


def direct(box, *via):
    client = box.client(*via)
    view = client.ask(Members()).reply
    assert isinstance(view, View)
    client.core.learn(view)
    return client


def test_a_client_whose_view_is_stale_learns_the_new_one_from_the_answer_that_says_so():
    box = Box(4, config=RAPID)
    client = direct(box, "n1")
    box.add("a")
    assert box.join("a").ok
    settle(box)
    assert client.core.view not in box.views()
    assert client.put(b"k", b"v").ok
    box.run_for(0.1)
    assert {client.core.view} == box.views()


def test_a_client_asks_for_a_view_once_and_not_at_each_answer():
    box = Box(4, config=Config(partitions=4, gossip_s=60, anti_entropy_s=0))
    client = direct(box, "n1")
    box.membership("n2").merge(joins(1))
    box.run_for(0.1)
    asked = overhear(box, Members)
    for number in range(40):
        client.put(b"k%d" % number, b"v")
    assert len(asked) == 1
    assert {client.core.view} == box.views("n2")


def test_a_client_that_knows_more_than_the_nodes_it_talks_to_does_not_ask_them_at_each_answer():
    box = Box(4, config=Config(partitions=4, gossip_s=60, anti_entropy_s=0))
    box.membership("n1").merge(joins(1))
    box.run_for(0.1)
    client = direct(box, "n1")
    box.crash("n1")
    asked = overhear(box, Members)
    for number in range(40):
        client.put(b"k%d" % number, b"v")
    assert len(asked) == 1


def test_a_view_of_a_node_that_lags_behind_takes_nothing_back():
    box = Box(4, config=Config(partitions=4, gossip_s=60, anti_entropy_s=0))
    old = box.client("n1").ask(Members()).reply
    box.membership("n1").merge([Change(1, "n1", Kind.GONE, "n4", box.hosts["n4"].address)])
    box.run_for(0.1)
    client = direct(box, "n1")
    view = client.core.view
    client.core.learn(old)
    assert client.core.view == view
    assert "n4" not in client.core._ring.members


def test_a_client_that_knows_the_history_is_not_sent_it_again():
    box = Box(3)
    view = box.client("n1").ask(Members(box.membership("n1").view)).reply
    assert isinstance(view, View)
    assert view.changes == []


@pytest.mark.parametrize("request_", [Get(b"k"), Put(b"k", b"v", None)])
def test_a_client_that_meets_a_node_outside_asks_the_next(request_):
    box = Box(3, config=RAPID)
    box.add("a")
    began = box.now
    assert box.client("a", "n1").ask(request_).ok
    assert box.now - began < 0.5
