"""Where tokens lie, and how partitions are dealt out, taken and handed on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.config import Member
from splitbrain.store.ring.placement import deal, hand_on, take, tokens


def member(number, capacity=1, zone=""):
    return Member(f"n{number}", ("10.0.0.1", 7000 + number), zone, capacity)


def by_name(members):
    return {member.name: member for member in members}


def off(owners, members):
    """How many partitions the one furthest from its share is off."""
    counts = Counter(owners)
    total = sum(member.capacity for member in members.values())
    return max(abs(counts[m.name] - Fraction(len(owners) * m.capacity, total)) for m in members.values())


def crowded(owners, n):
    """How often one node owns two of n partitions in a row."""
    return sum(len({owners[(at + distance) % len(owners)] for distance in range(n)}) < n for at in range(len(owners)))


def history(capacities, joins, partitions, n=1):
    """Deal to members of those capacities; then each of `joins` joins (a capacity), or one leaves (0)."""
    members = by_name(member(i, capacity) for i, capacity in enumerate(capacities))
    owners = deal(members, partitions, n)
    yield owners, members
    for i, capacity in enumerate(joins, len(capacities)):
        if capacity:
            owners = take(owners, members, member(i, capacity), n)
            members = {**members, f"n{i}": member(i, capacity)}
        elif len(members) > n:
            leaver = sorted(members)[i * 7 % len(members)]
            members = {name: member for name, member in members.items() if name != leaver}
            owners = hand_on(owners, members, leaver, n)
        yield owners, members


capacities = st.lists(st.integers(1, 16), min_size=1, max_size=10)


@given(capacities, st.integers(1, 200))
def test_a_deal_gives_every_node_its_share_and_less_than_a_partition_more_or_less(capacities, partitions):
    ((owners, members),) = history(capacities, [], partitions)
    assert len(owners) == partitions
    assert off(owners, members) < 1


@given(st.integers(1, 10), st.lists(st.integers(0, 1), max_size=15), st.integers(1, 200))
def test_among_equals_joins_and_leaves_leave_everyone_less_than_a_partition_off(nodes, joins, partitions):
    for owners, members in history([1] * nodes, joins, partitions):
        assert off(owners, members) < 1


@given(capacities, st.lists(st.sampled_from((0, 1, 2, 16)), max_size=15), st.integers(1, 200))
def test_whatever_the_capacities_joins_and_leaves_leave_everyone_less_than_two_partitions_off(
    capacities, joins, partitions
):
    for owners, members in history(capacities, joins, partitions):
        assert off(owners, members) < 2


@given(st.integers(1, 30), st.integers(1, 300))
def test_a_join_moves_one_in_s_of_the_partitions(nodes, partitions):
    # Everybody is left with Q/S, rounded down or up, and what the newcomer has is what moved.
    (before, _), (after, _) = history([1] * nodes, [1], partitions)
    moved = sum(one != other for one, other in zip(before, after, strict=True))
    assert partitions // (nodes + 1) <= moved <= -(-partitions // (nodes + 1))


@given(st.integers(3, 30), st.sampled_from((64, 100, 256, 1024)))
def test_the_partitions_of_a_leaver_are_spread_over_all_others(nodes, partitions):
    members = by_name(map(member, range(nodes)))
    owners = deal(members, partitions, 3)
    del members["n1"]
    after = hand_on(owners, members, "n1", 3)
    heirs = Counter(now for before, now in zip(owners, after, strict=True) if before == "n1")
    assert max(heirs.values()) - min(heirs[name] for name in members) <= 2


@pytest.mark.parametrize("partitions", [64, 256, 1000])
@pytest.mark.parametrize("nodes", [4, 5, 6, 8, 12, 20])
def test_n_partitions_in_a_row_have_n_owners_in_a_deal(nodes, partitions):
    assert crowded(deal(by_name(map(member, range(nodes))), partitions, 3), 3) == 0


@pytest.mark.parametrize("partitions", [64, 256, 1000])
def test_n_partitions_in_a_row_have_n_owners_after_joins(partitions):
    # From 3 nodes on: with n=3 those leave no choice, and 4 hardly any.
    for owners, members in history([1, 1, 1], [1] * 17, partitions, n=3):
        if len(members) > 4:
            assert crowded(owners, 3) == 0


def test_a_leave_crowds_few_partitions():
    crowds = [crowded(owners, 3) / 256 for owners, members in history([1] * 20, [0] * 14, 256, n=3)]
    assert max(crowds) < 0.04


def test_zones_take_turns_on_the_ring():
    members = by_name(member(i, zone=f"z{i % 3}") for i in range(9))
    zones = [members[owner].zone for owner in deal(members, 63, 3)]
    assert crowded(zones, 3) == 0


def test_capacities_that_leave_no_choice_are_dealt_all_the_same():
    owners = deal(by_name([member(0, 16), member(1), member(2)]), 64, 3)
    assert Counter(owners) == {"n0": 57, "n1": 4, "n2": 3}


def test_tokens_are_as_many_as_the_capacity_says():
    placed = tokens([member(0, 3), member(1)], 8)
    assert Counter(name for _, name in placed) == {"n0": 24, "n1": 8}
    assert placed == sorted(placed)


def test_two_nodes_whose_tokens_hash_alike_do_not_share_a_position(monkeypatch):
    monkeypatch.setattr("splitbrain.store.ring.placement._draw", lambda text: int(text[-1]))
    assert tokens([member(0), member(1)], 2) == [(0, "n0"), (1, "n0")]


SCRIPT = """
from splitbrain.store.config import Config, Member
from splitbrain.store.ring.ring import Ring
new = [Member(f"n{i}", ("h", i + 1), f"z{i % 2}", 1 + i % 3) for i in range(12)]
for strategy in (1, 2, 3):
    ring = Ring(new[:7], Config(strategy=strategy))
    for member in new[7:]:
        ring = ring.joined(member)
    ring = ring.left("n3").left("n9")
    print([ring.preference_of(partition) for partition in range(ring.partitions)])
"""


def test_the_same_changes_make_the_same_ring_in_every_process():
    def run(seed):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True).stdout

    assert run("1") == run("2")


def test_a_place_on_the_ring_is_for_good():
    # Nodes of two releases that came to different rings from one history would look for keys in different places.
    members = by_name(map(member, range(4)))
    owners = deal(members, 8, 3)
    assert owners == ["n0", "n2", "n1", "n3", "n0", "n1", "n2", "n3"]
    owners = take(owners, members, member(4), 3)
    assert owners == ["n0", "n2", "n1", "n3", "n4", "n1", "n2", "n3"]
    remaining = by_name(map(member, (0, 1, 3, 4)))
    assert hand_on(owners, remaining, "n2", 3) == ["n0", "n4", "n1", "n3", "n4", "n1", "n0", "n3"]
    placed = [(at >> 96, name) for at, name in tokens([member(0), member(1)], 2)]
    assert placed == [(0x09C941BA, "n0"), (0x11351E32, "n0"), (0x27CF5DB2, "n1"), (0xB07BE74F, "n1")]
