"""A library that was written for real networks, unchanged: what it does under faults, the same for each seed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from tests.house import ROOT

pytest.importorskip("kademlia")
from tests.harness.simulation.programs import kademlia_nodes
from tests.harness.simulation.programs.kademlia_nodes import EPISODES, NODES, drive

DIGEST = """
import hashlib
from tests.harness.simulation.programs.kademlia_nodes import drive
print(hashlib.sha256("\\n".join(drive(3).record).encode()).hexdigest())
"""


def test_without_faults_every_node_finds_every_key():
    found = drive(1, ())
    assert len(found.acknowledged) == (EPISODES + 1) * len(NODES)
    assert (found.refused, found.unanswered, found.lost, found.wrong, found.tracebacks) == (0, 0, {}, [], [])


def test_the_same_seed_gives_the_same_record_whatever_the_hash_seed():
    expected = hashlib.sha256("\n".join(drive(3).record).encode()).hexdigest()
    for hash_seed in ("0", "12345"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", DIGEST]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected


def test_another_seed_gives_another_record():
    assert drive(3).record != drive(4).record


def test_a_node_that_reaches_nobody_raises_instead_of_refusing():
    # kademlia 2.2.3, Server.set_digest: `max([n.distance_to(node) for n in nodes])`, where no node has answered.
    raised = {problem for seed in (1, 2, 3) for problem in drive(seed, ("partition",)).tracebacks}
    assert raised == {"ValueError: max() arg is an empty sequence"}


def test_a_table_that_was_cut_in_two_stays_so_after_the_heal():
    # Nodes that did not answer are forgotten, and nothing asks for them again; so each half finds its own keys alone.
    for seed in (1, 2, 3):
        found = drive(seed, ("partition",))
        assert found.lost
        assert all(0 < len(nodes) < len(NODES) for nodes in found.lost.values())


def test_three_hours_after_the_heal_it_still_is(monkeypatch):
    monkeypatch.setattr(kademlia_nodes, "SETTLE_S", 3 * 3600.0)
    found = drive(1, ("partition",))
    assert found.lost
    assert all(0 < len(nodes) < len(NODES) for nodes in found.lost.values())


def test_a_pause_loses_nothing():
    for seed in (1, 2, 3):
        found = drive(seed, ("pause",))
        assert (found.lost, found.wrong) == ({}, [])
        assert found.unanswered > 0, "no set met a paused node: the test shows nothing"


def test_a_node_that_comes_is_not_given_the_keys_near_it(monkeypatch):
    # KademliaProtocol.welcome_if_new hashes keys that are hashes already, and so compares distances of something else.
    seeds = range(1, 13)
    lost = sum(len(drive(seed, ("kill",)).lost) for seed in seeds)
    monkeypatch.setattr("kademlia.protocol.digest", lambda key: key)
    assert 0 <= sum(len(drive(seed, ("kill",)).lost) for seed in seeds) < lost / 2
