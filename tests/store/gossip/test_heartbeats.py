"""Heartbeats: everybody's reach everybody, and what is remembered of the dead is no sign of life."""

from __future__ import annotations

from collections import Counter

from splitbrain.store.config import Config
from splitbrain.store.gossip.gossip import HEARTBEATS_MAX
from splitbrain.store.wire.peer_messages import Tell
from tests.store.box import Box
from tests.store.gossip.rounds import RAPID, overhear


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
