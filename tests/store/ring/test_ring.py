"""Which nodes hold a key, for every strategy and whatever joined and left."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.config import Config, ConfigError, Member
from splitbrain.store.ring import placement
from splitbrain.store.ring.ring import RING_SIZE, Ring, clockwise, position

STRATEGIES = (1, 2, 3)


def members(number):
    return [Member(f"n{i}", ("10.0.0.1", 7000 + i)) for i in range(number)]


def member(number, zone="", capacity=1):
    return Member(f"n{number}", ("10.0.0.1", 7000 + number), zone, capacity)


@st.composite
def rings(draw, strategies=STRATEGIES, zones=("", "east", "west"), capacities=(1, 2, 5), most_n=4):
    """A ring that members have joined and left."""
    n = draw(st.integers(1, most_n))
    partitions, tokens = draw(st.integers(1, 80)), draw(st.integers(1, 6))
    config = Config(n=n, r=1, w=1, partitions=partitions, tokens=tokens, strategy=draw(st.sampled_from(strategies)))
    new = st.tuples(st.sampled_from(zones), st.sampled_from(capacities))
    first = draw(st.lists(new, min_size=n, max_size=8))
    ring = Ring([member(i, *chosen) for i, chosen in enumerate(first)], config)
    for i, (joins, chosen) in enumerate(draw(st.lists(st.tuples(st.booleans(), new), max_size=8)), len(first)):
        if joins:
            ring = ring.joined(member(i, *chosen))
        elif len(ring.members) > n:
            ring = ring.left(sorted(ring.members)[i % len(ring.members)])
    return ring


def edges(ring):
    """Positions where something could go wrong by one."""
    ends = [ring.range(partition)[1] for partition in range(ring.partitions)]
    return [0, *(at + by for at in ends for by in (-1, 0, 1) if at + by < RING_SIZE)]


@given(rings())
def test_ranges_tile_the_ring_exactly_and_none_wraps_over_zero(ring):
    ranges = [ring.range(partition) for partition in range(ring.partitions)]
    assert ranges[0][0] == 0 and ranges[-1][1] == RING_SIZE
    assert all(start < end for start, end in ranges)
    assert all(one[1] == other[0] for one, other in pairwise(ranges))


@given(rings(), st.binary(min_size=1, max_size=20))
def test_a_position_lies_in_the_range_of_its_partition(ring, key):
    for at in (*edges(ring), position(key)):
        start, end = ring.range(ring.partition_at(at))
        assert start <= at < end
    assert ring.partition(key) == ring.partition_at(position(key))


@given(rings(), st.binary(min_size=1, max_size=20))
def test_every_partition_has_n_distinct_primaries_in_as_many_zones_as_there_can_be(ring, key):
    zones = len({member.zone for member in ring.members.values()})
    for partition in range(ring.partitions):
        primaries = ring.primaries_of(partition)
        assert len(primaries) == len(set(primaries)) == ring.n
        assert len({ring.members[primary].zone for primary in primaries}) == min(ring.n, zones)
    assert ring.primaries(key) == ring.primaries_of(ring.partition(key))


@given(rings(), st.binary(min_size=1, max_size=20))
def test_a_preference_list_names_every_node_once_primaries_first_and_the_owner_before_all(ring, key):
    for partition in range(ring.partitions):
        preference = ring.preference_of(partition)
        assert sorted(preference) == sorted(ring.members)
        assert preference[: ring.n] == ring.primaries_of(partition)
        if len(set(ring.owners)) == len(ring.members):
            assert preference[0] == ring.owners[partition]
    assert ring.preference(key) == ring.preference_of(ring.partition(key))


@given(rings(strategies=(1, 2)))
def test_strategies_1_and_2_depend_on_who_is_a_member_and_not_on_how_it_became_one(ring):
    afresh = Ring(ring.members.values(), ring._config)
    assert afresh.partitions == ring.partitions
    for partition in range(ring.partitions):
        assert afresh.range(partition) == ring.range(partition)
        assert afresh.preference_of(partition) == ring.preference_of(partition)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nodes_given_the_members_in_another_order_agree(strategy):
    one = Ring(members(5), Config(strategy=strategy))
    two = Ring(reversed(members(5)), Config(strategy=strategy))
    assert one.owners == two.owners


@given(rings(strategies=(1, 2), zones=("",)), st.integers(0, RING_SIZE - 1))
def test_with_random_tokens_a_newcomer_is_the_only_one_to_get_keys(ring, anywhere):
    after = ring.joined(member(99))
    for at in (anywhere, *edges(after)):
        got = set(after.primaries_of(after.partition_at(at))) - set(ring.primaries_of(ring.partition_at(at)))
        assert got <= {"n99"}


@given(rings(strategies=(1, 2), zones=("",)), st.integers(0, RING_SIZE - 1))
def test_with_random_tokens_only_the_leavers_keys_move(ring, anywhere):
    ring = ring.joined(member(99))
    after = ring.left("n99")
    for at in (anywhere, *edges(ring)):
        lost = set(ring.primaries_of(ring.partition_at(at))) - set(after.primaries_of(after.partition_at(at)))
        assert lost <= {"n99"}


@pytest.mark.parametrize("nodes", [5, 6, 9, 20])
@pytest.mark.parametrize("partitions", [64, 1000])
def test_in_strategy_3_no_key_moves_between_nodes_that_were_there_before_a_join(nodes, partitions):
    ring = Ring(members(nodes), Config(partitions=partitions))
    after = ring.joined(member(99))
    for partition in range(partitions):
        assert set(after.primaries_of(partition)) - set(ring.primaries_of(partition)) <= {"n99"}


@given(rings(strategies=(3,)))
def test_a_newcomer_takes_partitions_and_all_others_stay(ring):
    after = ring.joined(member(99))
    moved = {now for before, now in zip(ring.owners, after.owners, strict=True) if before != now}
    assert moved <= {"n99"}


@given(rings(strategies=(3,)), st.integers(0, 99))
def test_a_leavers_partitions_move_and_all_others_stay(ring, number):
    ring = ring.joined(member(99))
    leaver = sorted(ring.members)[number % len(ring.members)]
    after = ring.left(leaver)
    assert leaver not in after.owners
    moved = {before for before, now in zip(ring.owners, after.owners, strict=True) if before != now}
    assert moved <= {leaver}


@given(rings(strategies=(1,)))
def test_in_strategy_1_a_range_belongs_to_the_token_at_its_end(ring):
    tokens = dict(placement.tokens(ring.members.values(), ring._config.tokens))
    for partition in range(ring.partitions - 1):
        assert ring.owners[partition] == tokens[ring.range(partition)[1]]
    assert ring.partitions == len(tokens) + 1


@given(rings(strategies=(1,)))
def test_the_range_over_zero_is_cut_there_and_both_parts_have_the_same_primaries(ring):
    assert ring.preference_of(ring.partitions - 1) == ring.preference_of(0)


def test_a_token_at_zero_ends_the_last_range_and_begins_no_empty_one(monkeypatch):
    monkeypatch.setattr(placement, "tokens", lambda members, each: [(0, "n0"), (10, "n1"), (20, "n2")])
    ring = Ring(members(3), Config(strategy=1))
    assert [ring.range(partition) for partition in range(3)] == [(0, 10), (10, 20), (20, RING_SIZE)]
    assert ring.owners == ["n1", "n2", "n0"]


@given(rings(strategies=(2,)))
def test_in_strategy_2_a_partition_goes_to_the_nodes_met_from_its_end(ring):
    tokens = placement.tokens(ring.members.values(), ring._config.tokens)
    for partition in range(ring.partitions):
        first = bisect_left(tokens, (ring.range(partition)[1], ""))
        assert ring.owners[partition] == tokens[first % len(tokens)][1]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_keys_fall_to_nodes_by_their_capacity(strategy):
    ring = Ring([member(0, capacity=4), *(member(i) for i in range(1, 5))], Config(strategy=strategy, tokens=64))
    owned = Counter()
    for partition, owner in enumerate(ring.owners):
        start, end = ring.range(partition)
        owned[owner] += (end - start) / RING_SIZE
    assert 0.4 < owned["n0"] < 0.6


def test_a_machine_whose_tokens_follow_each_other_counts_once():
    # Riak's preference lists named one machine twice where two of its virtual nodes lay side by side.
    dealt = ["n1", "n1", "n1", "n2", "n1", "n1", "n3", "n0"]
    ring = Ring(members(4), Config(partitions=8), dealt=dealt)
    assert ring.primaries_of(0) == ("n1", "n2", "n3")
    assert ring.preference_of(4) == ("n1", "n3", "n0", "n2")
    assert ring.primaries_of(7) == ("n0", "n1", "n2")


def test_a_primary_in_a_zone_not_met_yet_goes_before_nearer_nodes_and_those_fill_up():
    zoned = [member(0, "east"), member(1, "east"), member(2, "east"), member(3, "west")]
    ring = Ring(zoned, Config(partitions=4), dealt=["n0", "n1", "n2", "n3"])
    assert ring.primaries_of(0) == ("n0", "n3", "n1")
    assert ring.preference_of(0) == ("n0", "n3", "n1", "n2")
    assert ring.primaries_of(2) == ("n2", "n3", "n0")


def test_members_that_own_nothing_fallback_last():
    ring = Ring(members(5), Config(partitions=2), dealt=["n3", "n1"])
    assert ring.preference_of(0) == ("n3", "n1", "n0", "n2", "n4")
    assert ring.primaries_of(1) == ("n1", "n3", "n0")


def test_a_position_is_the_keys_md5():
    assert position(b"") == 0xD41D8CD98F00B204E9800998ECF8427E


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_ring_that_has_no_members_has_no_primaries(strategy):
    ring = Ring((), Config(strategy=strategy))
    assert ring.primaries(b"k") == ring.preference(b"k") == ()
    assert ring.range(0)[0] == 0 and ring.range(ring.partitions - 1)[1] == RING_SIZE
    assert list(ring.owners) == []


def test_the_first_member_of_a_ring_owns_all_of_it():
    assert set(Ring((), Config(n=1, r=1, w=1)).joined(member(0)).owners) == {"n0"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_failed_nodes_load_falls_on_several_others(strategy):
    ring = Ring(members(6), Config(strategy=strategy))
    heirs = {ring.preference_of(p)[1] for p in range(ring.partitions) if ring.preference_of(p)[0] == "n2"}
    assert len(heirs) >= 3


def test_a_walk_ends_once_it_has_met_everybody():
    class Counted(list):
        looks = 0

        def __getitem__(self, index):
            Counted.looks += 1
            return super().__getitem__(index)

    ring = Ring(members(20), Config(partitions=4096))
    ring._clockwise = Counted(ring._clockwise)
    ring.preference_of(0)
    assert Counted.looks < 200  # It went all the way round, from every partition.


def test_walks_are_made_when_they_are_asked_for_and_kept():
    ring = Ring(members(5), Config())
    ring = ring.joined(member(9))
    assert not ring._primaries and not ring._preferences
    assert ring.preference_of(3) is ring.preference_of(3)
    assert list(ring._primaries) == [3]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.integers(0, 11))
def test_a_walk_meets_every_node_once_in_the_order_of_the_tokens(tokens, start):
    start %= len(tokens)
    assert list(clockwise(tokens, start)) == list(dict.fromkeys(tokens[start:] + tokens[:start]))


def test_two_members_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="same name"):
        Ring([*members(3), Member("n1", ("10.0.0.9", 1))], Config())


def test_two_members_at_one_address_are_refused_since_they_would_count_twice():
    with pytest.raises(ConfigError, match="same address"):
        Ring([*members(3), Member("other", ("10.0.0.1", 7001))], Config())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_newcomer_with_the_name_or_address_of_a_member_is_refused(strategy):
    ring = Ring(members(3), Config(strategy=strategy))
    with pytest.raises(ConfigError, match="same name"):
        ring.joined(Member("n1", ("10.0.0.9", 1)))
    with pytest.raises(ConfigError, match="same address"):
        ring.joined(Member("other", ("10.0.0.1", 7001)))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_fewer_members_than_replicas_are_refused(strategy):
    with pytest.raises(ConfigError, match="n=3 with 2 members: add nodes, or lower n"):
        Ring(members(2), Config(strategy=strategy))
    with pytest.raises(ConfigError, match="n=3 with 2 members: add nodes, or lower n"):
        Ring(members(3), Config(strategy=strategy)).left("n1")


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 65, "é" * 33, "\ud800", "a\nb"])
def test_a_name_that_does_not_fit_into_datagrams_and_hints_is_refused(name):
    with pytest.raises(ConfigError, match="can't be a node's name"):
        Member(name, ("10.0.0.1", 1))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"n": "0"}, "at least one replica"),
        ({"r": "4"}, "give r between 1 and 3"),
        ({"w": "0"}, "give w between 1 and 3"),
        ({"pw": "-1"}, "give pw between 0 and 3"),
        ({"partitions": "1000000"}, "give 1 to 4096"),
        ({"partitions": "0"}, "give 1 to 4096"),
        ({"conflicts": "maybe"}, "siblings, lww"),
        ({"read_repair": "x"}, "off, async, blocking"),
        ({"sloppy": "yes"}, "give true or false"),
        ({"request_timeout_s": "nan"}, "give 0.05 to 60"),
        ({"request_timeout_s": "soon"}, "not a number"),
        ({"n": "9" * 5000}, "not a number"),
        ({"q": "1"}, "unknown configuration key 'q'"),
    ],
)
def test_an_impossible_configuration_says_what_to_give(settings, says):
    with pytest.raises(ConfigError, match=says):
        Config().changed(settings)


@given(st.integers(1, 5), st.booleans(), st.sampled_from(["siblings", "lww"]))
def test_a_configuration_survives_being_written_down(n, sloppy, conflicts):
    config = Config(n=n, r=1, w=n, sloppy=sloppy, conflicts=conflicts, request_timeout_s=2.5)
    assert Config().changed(config.settings()) == config
