"""Admission: joins and leaves that are asked of a member, and who does not belong is told why."""

from __future__ import annotations

import pytest

from splitbrain.store.config import Config
from splitbrain.store.membership.history import Standing
from splitbrain.store.wire.client_messages import Join, Leave
from tests.store.box import Box
from tests.store.gossip.rounds import RAPID, ROUND_S, settle

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
