"""Seeds: clusters that never met become one, and nodes outside the ring find it."""

from __future__ import annotations

import pytest

from splitbrain.store.membership.history import Standing
from splitbrain.store.wire.peer_messages import Tell
from tests.store.box import Box
from tests.store.gossip.rounds import RAPID, overhear, settle


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


def test_a_name_in_both_clusters_belongs_to_one_node_everywhere_and_the_other_stops():
    box = Box(3, config=RAPID)
    box.found("m1", "m2", "m3", seeds=["n1"], called="n1")
    box.run_until(lambda: len(box.views()) == 1)
    settle(box)
    for name in ("n1", "n2", "n3", "m2", "m3"):
        assert sorted(box.membership(name).ring.members) == ["m2", "m3", "n1", "n2", "n3"]
        assert box.membership(name).ring.members["n1"].address == box.hosts["n1"].address
        assert any("'n1' at 10.0.0.1:7004" in line and "has no effect" in line for line in box.hosts[name].log)
    assert box.client("n1").put(b"k", b"v").ok
    assert "m1" not in box.running
    assert "start this one as a new node, of a name of its own" in box.hosts["m1"].log[-1]


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
