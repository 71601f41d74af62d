"""Who answers and who does not, in one node's opinion."""

from __future__ import annotations

import pytest

from store.config import Config
from store.detector import PING_EVERY_S, SUSPECT_AFTER_S, Detector
from store.messages import Ping, Put
from tests.store.box import Box


@pytest.fixture
def returned():
    return []


@pytest.fixture
def detector(returned):
    return Detector(["n2", "n3"], returned.append)


def test_a_peer_nobody_asked_anything_is_trusted(detector):
    assert not detector.suspects("n2", 1e9)


def test_a_peer_is_suspected_once_something_went_unanswered_for_long(detector):
    detector.sent("n2", 0.0)
    assert not detector.suspects("n2", SUSPECT_AFTER_S)
    assert detector.suspects("n2", SUSPECT_AFTER_S + 0.001)
    assert not detector.suspects("n3", SUSPECT_AFTER_S + 0.001)


def test_the_first_unanswered_message_counts_and_not_the_last(detector):
    for tenth in range(10):
        detector.sent("n2", tenth / 10)
    assert detector.suspects("n2", 0.9)


def test_an_answer_restores_trust_and_is_reported_once(detector, returned):
    detector.sent("n2", 0.0)
    assert detector.suspects("n2", 1.0)
    detector.heard("n2", 1.1)
    detector.heard("n2", 1.2)
    assert not detector.suspects("n2", 5.0)
    assert returned == ["n2"]


def test_names_of_strangers_are_ignored(detector):
    detector.heard("client", 0.0)
    assert set(detector.opinions(1.0)) == {"n2", "n3"}


def test_peers_not_heard_of_lately_are_silent(detector):
    assert detector.silent(0.0) == ["n2", "n3"]
    detector.heard("n2", 0.5)
    assert detector.silent(0.6) == ["n3"]
    assert detector.silent(0.5 + PING_EVERY_S) == ["n2", "n3"]


def opinion(box, name, peer):
    return box.hosts[name].node.status()["peers"][peer]["state"]


def test_under_a_one_way_cut_each_side_suspects_the_other_since_no_answer_can_pass():
    box = Box(3)
    box.cut("n1", "n2", both=False)
    box.run_for(5.0)
    assert opinion(box, "n1", "n2") == "suspected"
    assert opinion(box, "n2", "n1") == "suspected"
    assert opinion(box, "n3", "n1") == opinion(box, "n3", "n2") == "trusted"
    box.heal()
    box.run_for(2.5)
    assert opinion(box, "n1", "n2") == opinion(box, "n2", "n1") == "trusted"


def test_an_idle_cluster_notices_a_death_and_a_return():
    box = Box(3)
    box.crash("n2")
    box.run_for(4.0)
    assert opinion(box, "n1", "n2") == "suspected"
    box.start("n2")
    box.run_for(2.5)
    assert opinion(box, "n1", "n2") == "trusted"


def test_a_node_that_waits_long_for_a_quorum_is_not_suspected_by_the_one_that_forwarded_to_it():
    box = Box(3, config=Config(n=2, sloppy=False))
    key = box.key(others="n3")
    coordinator, other = box.ring.homes(key)
    box.crash(other)
    client = box.client("n3")
    # It goes to the coordinator, which waits in vain for the other home until its deadline.
    call = client.begin(Put(key, b"v", None))
    box.run_for(0.95)
    assert not call.done
    assert opinion(box, "n3", coordinator) == "trusted"
    box.run_until(lambda: call.done)
    assert call.error == "quorum_failed"


def test_pings_do_not_pile_up_for_a_dead_peer():
    box = Box(2, config=Config(n=1, r=1, w=1))
    box.crash("n2")
    box.run_for(60.0)
    node = box.hosts["n1"].node
    assert node.status()["queues"]["asked"] <= 2
    assert len(node._timers._heap) < 30


def test_a_ping_is_answered():
    box = Box(2, config=Config(n=1, r=1, w=1))
    client = box.client("n1")
    call = client.ask(Ping())
    assert type(call.reply).__name__ == "Pong"
