"""Heartbeats: everybody's reach everybody, and what is remembered of the dead is no sign of life."""

from __future__ import annotations

from collections import Counter

import pytest

from splitbrain.store.config import Config, Member
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


@pytest.mark.parametrize("as_", ["outsider", "member of a list", "member of a list with its own address"])
def test_a_second_node_of_a_name_stops_and_the_first_goes_on(as_):
    """Somebody has copied n3's unit file to another machine."""
    box = Box(3, config=RAPID)
    box.add("another machine", called="n3")
    if as_ != "outsider":
        box.wipe("another machine")
        box.crash("another machine")
        moved = as_ == "member of a list with its own address"
        address = box.hosts["another machine"].address
        members = [Member(m.name, address) if moved and m.name == "n3" else m for m in box.members]
        box.setups["another machine"] = box.setups["another machine"]._replace(members=tuple(members), seeds=())
        box.start("another machine")
    box.run_until(lambda: "another machine" not in box.running, 30.0)
    assert "another process answers as 'n3' at 10.0.0.1:7003" in box.hosts["another machine"].log[-1]
    assert "a name of its own" in box.hosts["another machine"].log[-1]
    box.run_for(10.0)
    assert set(box.running) == {"n1", "n2", "n3"}
    assert box.client("n3").put(b"k", b"v").ok


def test_a_node_whose_clock_was_set_back_finds_no_other_of_its_name_and_goes_on():
    box = Box(3, config=RAPID)
    for _ in range(5):
        box.crash("n3")
        box.hosts["n3"].clock_ahead_s -= 1000.0
        box.start("n3")
        box.run_for(5.0)
    assert "n3" in box.running


def test_a_node_that_comes_back_while_its_last_datagrams_are_on_their_way_goes_on():
    box = Box(3, config=RAPID, delay_s=(0.05, 0.3))
    for _ in range(5):
        box.crash("n3")
        box.start("n3")
        box.run_for(3.0)
    assert "n3" in box.running


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
