"""Which nodes hold a key."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.config import Config, ConfigError, Member
from store.ring import Ring, position


def members(number):
    return [Member(f"n{i}", ("10.0.0.1", 7000 + i)) for i in range(number)]


sizes = st.integers(1, 12).flatmap(lambda nodes: st.tuples(st.just(nodes), st.integers(1, nodes), st.integers(1, 80)))


@given(sizes, st.binary(min_size=1, max_size=20))
def test_a_preference_list_names_every_node_once_and_the_first_n_are_homes(size, key):
    nodes, n, partitions = size
    ring = Ring(members(nodes), Config(n=n, r=1, w=1, partitions=partitions))
    assert sorted(ring.preference(key)) == sorted(ring.members)
    assert ring.homes(key) == ring.preference(key)[:n]
    assert len(set(ring.homes(key))) == n


@given(sizes)
def test_every_node_owns_its_share_of_partitions_give_or_take_one(size):
    nodes, n, partitions = size
    ring = Ring(members(nodes), Config(n=n, r=1, w=1, partitions=partitions))
    shares = Counter(ring.owners)
    assert max(shares.values()) - min(shares.get(name, 0) for name in ring.members) <= 1


def test_nodes_told_of_the_members_in_another_order_agree():
    one, two = Ring(members(5), Config()), Ring(reversed(members(5)), Config())
    assert one.owners == two.owners


def test_a_preference_list_starts_with_the_owner_of_the_keys_partition():
    ring = Ring(members(5), Config())
    for i in range(200):
        key = b"%d" % i
        assert ring.preference(key)[0] == ring.owners[ring.partition(key)]


def test_a_position_is_the_keys_md5():
    assert position(b"") == 0xD41D8CD98F00B204E9800998ECF8427E


def test_a_failed_nodes_load_falls_on_several_others():
    ring = Ring(members(6), Config())
    heirs = {ring.preference(b"%d" % i)[1] for i in range(500) if ring.preference(b"%d" % i)[0] == "n2"}
    assert len(heirs) >= 3


def test_two_members_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="same name"):
        Ring([*members(3), Member("n1", ("10.0.0.9", 1))], Config())


def test_two_members_at_one_address_are_refused_since_they_would_count_twice():
    with pytest.raises(ConfigError, match="same address"):
        Ring([*members(3), Member("other", ("10.0.0.1", 7001))], Config())


def test_fewer_members_than_replicas_are_refused():
    with pytest.raises(ConfigError, match="n=3 with 2 members: add nodes, or lower n"):
        Ring(members(2), Config())


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 65, "é" * 33, "\ud800", "a\nb"])
def test_a_name_that_does_not_fit_into_datagrams_and_hints_is_refused(name):
    with pytest.raises(ConfigError, match="can't be a node's name"):
        Member(name, ("10.0.0.1", 1))


def test_a_walk_ends_once_it_has_met_everybody():
    class Counted(list):
        looks = 0

        def __getitem__(self, index):
            Counted.looks += 1
            return super().__getitem__(index)

    ring = Ring(members(20), Config(partitions=4096))
    ring.owners = Counted(ring.owners)
    ring._walk(0)
    assert Counted.looks < 200  # It went all the way round, from every partition.


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
