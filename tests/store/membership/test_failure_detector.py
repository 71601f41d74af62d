"""Who answers and who does not, in one node's opinion."""

from __future__ import annotations

import math
import random

import pytest

from splitbrain.store.config import Config
from splitbrain.store.membership.failure_detector import PHI_MAX, PING_EVERY_S, PINGS_MAX, SUSPECT_AFTER_S, Detector
from splitbrain.store.storage.replica import DATA
from splitbrain.store.wire.client_messages import Put
from splitbrain.store.wire.peer_messages import Ping
from tests.store.box import Box


@pytest.fixture
def returned():
    return []


@pytest.fixture
def detector(returned):
    return Detector(["n2", "n3"], returned.append)


def test_a_peer_that_was_never_asked_anything_is_trusted(detector):
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


def test_answers_from_names_that_are_no_peers_are_ignored(detector):
    detector.heard("client", 0.0)
    assert set(detector.opinions(1.0)) == {"n2", "n3"}


def test_peers_not_heard_of_lately_are_pinged(detector):
    assert sorted(detector.to_ping(0.0)) == ["n2", "n3"]
    detector.heard("n2", 0.5)
    assert detector.to_ping(0.6) == ["n3"]
    assert sorted(detector.to_ping(0.5 + PING_EVERY_S)) == ["n2", "n3"]


def test_of_a_thousand_silent_peers_a_few_are_pinged_at_a_time_and_all_in_turn():
    peers = [f"n{i}" for i in range(1000)]
    detector = Detector(peers, lambda peer: None)
    rounds = [detector.to_ping(float(second)) for second in range(63)]
    assert {len(pinged) for pinged in rounds} == {PINGS_MAX}
    assert {peer for pinged in rounds for peer in pinged} == set(peers)


def test_peers_that_stop_being_ones_are_forgotten_and_new_ones_trusted(detector):
    detector.sent("n2", 0.0)
    assert detector.suspects("n2", 1.0)
    detector.watch(["n3", "n4"])
    assert set(detector.opinions(1.0)) == {"n3", "n4"}
    assert not detector.suspects("n4", 1.0)
    detector.watch(["n2", "n3", "n4"])
    assert not detector.suspects("n2", 1.0)


# Heartbeats


def beat(detector, peer, times):
    for time in times:
        detector.heartbeat(peer, time)


def test_a_peer_is_suspected_once_its_heartbeat_is_overdue_beyond_phi_and_trusted_at_the_next(detector, returned):
    beat(detector, "n2", range(100))
    beat(detector, "n3", range(120))
    assert not detector.suspects("n2", 99 + 0.99 * PHI_MAX * math.log(10))
    assert detector.suspects("n2", 99 + 1.3 * PHI_MAX * math.log(10))
    assert not detector.suspects("n3", 120.0)
    assert returned == []
    detector.heartbeat("n2", 130.0)
    assert not detector.suspects("n2", 131.0)
    assert returned == ["n2"]


def test_phi_is_the_improbability_of_the_silence_as_a_power_of_ten(detector):
    beat(detector, "n2", [2.0 * i for i in range(200)])
    assert detector.opinions(398 + 2 * math.log(100))["n2"]["phi"] == pytest.approx(2.0, abs=0.01)


def test_a_peer_without_heartbeats_is_not_held_to_them(detector):
    assert detector.opinions(1e9)["n2"]["phi"] == 0.0


def test_rapid_first_heartbeats_are_not_taken_for_a_habit(detector):
    beat(detector, "n2", [0.0, 0.01, 0.02])
    assert not detector.suspects("n2", 10.0)


def test_an_answer_is_as_good_a_sign_of_life_as_a_heartbeat(detector):
    beat(detector, "n2", range(100))
    detector.heard("n2", 115.0)
    assert not detector.suspects("n2", 125.0)
    assert detector.suspects("n2", 140.0)
    detector.heard("n2", 141.0)
    assert not detector.suspects("n2", 142.0)


def test_a_heartbeat_that_others_tell_of_does_not_make_up_for_requests_unanswered(detector):
    """A one-way cut: everybody else hears the peer."""
    detector.sent("n2", 10.0)
    beat(detector, "n2", range(10, 20))
    assert detector.suspects("n2", 20.0)


def test_the_time_for_which_a_peer_was_dead_is_no_interval_between_heartbeats(detector):
    beat(detector, "n2", range(100))
    beat(detector, "n2", range(4000, 4003))
    assert detector.suspects("n2", 4030.0)


def test_while_the_node_itself_did_not_run_silence_proves_nothing(detector):
    beat(detector, "n2", range(100))
    detector.sent("n3", 99.0)
    detector.stalled(600.0)
    assert not detector.suspects("n2", 700.0)
    assert not detector.suspects("n3", 699.5)
    assert detector.suspects("n3", 700.0)


@pytest.mark.parametrize("loss", [0.0, 0.3])
@pytest.mark.parametrize("nodes", [3, 10, 50])
def test_the_irregular_heartbeats_of_gossip_with_one_random_peer_raise_no_suspicion(nodes, loss):
    """Every second every node tells a random peer the newest heartbeats it knows of."""
    rng = random.Random(nodes)
    known = [[0] * nodes for _ in range(nodes)]
    names = [f"n{i}" for i in range(nodes)]
    detector = Detector(names[1:], lambda peer: None)
    suspicions, highest = 0, 0.0
    for second in range(2000):
        for one in range(nodes):
            known[one][one] = second
            other = rng.choice([i for i in range(nodes) if i != one])
            if rng.random() < loss:
                continue
            for about in range(nodes):
                if known[one][about] > known[other][about]:
                    known[other][about] = known[one][about]
                    if other == 0:
                        detector.heartbeat(names[about], second + one / nodes)
        suspicions += sum(detector.suspects(name, second + 1.0) for name in names[1:])
        highest = max(highest, *(float(str(o["phi"])) for o in detector.opinions(second + 1.0).values()))
    assert suspicions == 0
    assert highest > 1.0  # They are irregular.


def test_no_opinion_ever_changes_the_ring_or_moves_data():
    """Suspicions for minutes: of a node cut off, and then of everybody by everybody."""
    box = Box(4, config=Config(partitions=8, anti_entropy_s=0))
    client = box.client()
    for key in [b"k%d" % i for i in range(10)]:
        assert client.put(key, b"v").ok
    box.run_for(1.0)
    views, owners = box.views(), {name: box.membership(name).ring.owners for name in box.names}
    held = {name: dict(box.hosts[name].engine.scan(DATA)) for name in box.names}
    box.isolate("n1")
    box.run_for(240.0)
    assert all(opinion(box, name, "n1") == "suspected" for name in box.names[1:])
    box.heal()
    for name in box.names:
        core = box.parts(name).core
        for peer in core.membership.others():
            core.detector.sent(peer, box.now - 3600.0)
            assert core.suspects(peer)
    box.run_for(30.0)
    for name in box.names:
        core = box.parts(name).core
        assert not any(core.suspects(peer) for peer in core.membership.others())
    assert len(views) == 1
    assert box.views() == views
    assert owners == {name: box.membership(name).ring.owners for name in box.names}
    assert held == {name: dict(box.hosts[name].engine.scan(DATA)) for name in box.names}


# In the box


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
    coordinator, other = box.ring.primaries(key)
    box.crash(other)
    client = box.client("n3")
    # It goes to the coordinator, which waits in vain for the other primary replica until its deadline.
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
    assert len(node.inspect().core.timers._heap) < 30


def test_a_ping_is_answered():
    box = Box(2, config=Config(n=1, r=1, w=1))
    client = box.client("n1")
    call = client.ask(Ping())
    assert type(call.reply).__name__ == "Pong"


def test_gossip_feeds_the_detector_and_a_death_shows_in_phi():
    box = Box(5, config=Config(partitions=8, anti_entropy_s=0), loss=0.1)
    core = box.parts("n1").core
    box.run_for(60.0)
    assert all(float(str(o["phi"])) < 3 for o in core.detector.opinions(box.now).values())
    box.crash("n2")
    box.run_for(40.0)
    shown = box.hosts["n1"].node.status()["peers"]
    assert shown["n2"]["phi"] > PHI_MAX
    assert shown["n3"]["phi"] < 3
