"""What `ring` says of a cluster."""

from __future__ import annotations

import pytest

from splitbrain.store.cli.cluster_commands import ring_report
from splitbrain.store.cli.queries import Cluster
from splitbrain.store.config import Config, Member
from splitbrain.store.membership.history import fold
from splitbrain.store.wire.changes import Change, Kind


def cluster(*changes, **settings):
    config = Config(**settings)
    members = [Member(f"n{i}", ("10.0.0.1", 7000 + i), f"z{i}", 1) for i in range(1, 5)]
    start = [Change(0, "", Kind.START, m.name, m.address, m.zone, m.capacity) for m in members]
    ring, nodes = fold([*start, *changes], config)
    return Cluster(config, ring, nodes, 0xABC)


@pytest.mark.parametrize("strategy", [1, 2, 3])
def test_the_shares_of_all_nodes_make_the_whole_ring(strategy):
    report = ring_report(cluster(strategy=strategy), None)
    assert sum(node["share"] for node in report["nodes"].values()) == pytest.approx(1.0, abs=0.001)
    assert sum(node["partitions"] for node in report["nodes"].values()) == cluster(strategy=strategy).ring.partitions


def test_a_node_that_is_leaving_or_gone_is_shown_with_its_standing_and_owns_nothing():
    left = Change(1, "n1", Kind.LEAVE, "n2", ("10.0.0.1", 7002), "z2", 1, 5)
    nodes = ring_report(cluster(left), None)["nodes"]
    assert nodes["n2"]["standing"] == "leaving"
    assert nodes["n2"]["partitions"] == 0 and nodes["n2"]["share"] == 0
    assert nodes["n1"] == {
        "standing": "member",
        "address": "10.0.0.1:7001",
        "zone": "z1",
        "capacity": 1,
        "partitions": nodes["n1"]["partitions"],
        "share": nodes["n1"]["share"],
    }
    removed = Change(1, "n1", Kind.GONE, "n2", ("10.0.0.1", 7002), "z2", 1, 5)
    assert ring_report(cluster(removed), None)["nodes"]["n2"]["standing"] == "gone"
    assert "n2" not in cluster(removed).addresses
    assert "n2" in cluster(left).addresses


def test_of_a_key_it_names_the_primaries_and_then_who_stands_in():
    known = cluster()
    told = ring_report(known, b"k")["key"]
    assert tuple(told["homes"]) == known.ring.primaries(b"k")
    assert sorted(told["homes"] + told["then"]) == ["n1", "n2", "n3", "n4"]
    assert ring_report(known, None)["key"] is None


def test_the_view_is_the_digest_that_nodes_compare():
    assert ring_report(cluster(), None)["view"] == "0000000000000abc"


def test_ring_printed_an_ipv6_address_so_that_nobody_could_tell_its_port():
    start = Change(0, "", Kind.START, "n1", ("fd00::1", 7001), "", 1)
    ring, nodes = fold([start], Config(n=1, r=1, w=1))
    report = ring_report(Cluster(Config(n=1, r=1, w=1), ring, nodes, 1), None)
    assert report["nodes"]["n1"]["address"] == "[fd00::1]:7001"
