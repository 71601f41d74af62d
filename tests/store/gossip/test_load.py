"""What a node bears, and whether all bear alike."""

from __future__ import annotations

import pytest

from splitbrain.store.config import Config, Member
from splitbrain.store.gossip.load import AVERAGED_OVER_S, KEYS_A_SLICE, OFF_MEAN_MAX, balance
from splitbrain.store.ring.ring import Ring
from splitbrain.store.wire.client_messages import Get
from tests.store.box import Box


def ring(capacities=(1, 1, 1, 1, 1), **settings):
    members = [Member(f"n{i}", ("10.0.0.1", 7000 + i), capacity=c) for i, c in enumerate(capacities)]
    return Ring(members, Config(**settings))


def requests(*rates):
    return {f"n{i}": {"keys": 0, "requests_per_s": rate} for i, rate in enumerate(rates)}


def unbalanced(found):
    return [name for name, node in found["nodes"].items() if not node["balanced"]]


def test_a_node_more_than_15_percent_off_the_mean_is_out_of_balance():
    found = balance(ring(), requests(100, 100, 100, 116, 84))
    assert found["by"] == "requests"
    assert unbalanced(found) == ["n3", "n4"]
    assert found["nodes"]["n3"] == {
        "keys": 0,
        "requests_per_s": 116,
        "share": 0.232,
        "off_mean": 0.16,
        "balanced": False,
    }
    assert unbalanced(balance(ring(), requests(100, 100, 100, 114, 86))) == []


def test_the_mean_is_in_proportion_to_capacity():
    assert unbalanced(balance(ring((1, 1, 2)), requests(100, 100, 200))) == []
    assert unbalanced(balance(ring((1, 1, 2)), requests(100, 100, 100))) == ["n0", "n1", "n2"]


@pytest.mark.parametrize("loads", [requests(9, 1, 0, 0, 30), requests(100, 100, 100, 100), {}])
def test_with_few_requests_or_a_silent_node_load_is_measured_by_the_ring(loads):
    found = balance(ring(), loads)
    assert found["by"] == "ring"
    assert unbalanced(found) == []
    assert sum(node["share"] for node in found["nodes"].values()) == pytest.approx(1, abs=0.001)


def test_random_tokens_leave_nodes_out_of_balance_and_equal_partitions_do_not():
    """Section 6.2: why strategy 3."""
    assert unbalanced(balance(ring(strategy=1, tokens=4), {}))
    assert not unbalanced(balance(ring(strategy=3), {}))


def test_a_node_that_knows_no_ring_knows_no_balance():
    assert balance(Ring((), Config()), {}) == {"by": "ring", "nodes": {}}


# In the box


@pytest.fixture
def box():
    return Box(3, config=Config(partitions=16, anti_entropy_s=0))


def shown(box, name):
    return box.hosts[name].node.status()["balance"]["nodes"]


def test_every_node_knows_of_every_other_how_many_keys_it_holds(box):
    client = box.client()
    for i in range(30):
        assert client.put(b"k%d" % i, b"v").ok
    context = client.get(b"k0").context
    assert client.put(b"k0", b"w", context).ok
    box.run_for(10.0)
    for name in box.names:
        assert {node["keys"] for node in shown(box, name).values()} == {30}


def test_keys_held_before_a_restart_are_counted_again_in_the_background(box):
    client = box.client("n2")
    keys = [b"k%d" % i for i in range(KEYS_A_SLICE + 40)]
    for key in keys:
        assert client.put(key, b"v").ok
    box.run_for(1.0)
    box.crash("n1")
    box.start("n1")
    load = box.parts("n1").load
    assert load.report(box.now)["keys"] == 0
    for key in keys[:20]:
        client.put(key + b"+", b"v")  # on both sides of what is counted by now
    box.run_for(10.0)
    assert load.report(box.now)["keys"] == len(keys) + 20


def test_requests_a_second_are_averaged_and_forgotten(box):
    client = box.client("n1")
    for i in range(2 * int(AVERAGED_OVER_S)):
        client.put(b"k%d" % (i % 5), b"v")
        client.get(b"k%d" % (i % 5))
        box.run_for(0.99)
    rates = [node["requests_per_s"] for node in shown(box, "n2").values()]
    assert all(1 <= rate <= 3 for rate in rates)
    box.run_for(10 * AVERAGED_OVER_S)
    assert {node["requests_per_s"] for node in shown(box, "n2").values()} == {0}


def test_a_hot_key_puts_its_primaries_out_of_balance():
    box = Box(5, config=Config(partitions=16, anti_entropy_s=0))
    key = next(box.keys())
    primaries = box.ring.primaries(key)
    clients = [box.client(primary) for primary in primaries]
    for _ in range(600):
        for client in clients:
            client.begin(Get(key))
        box.run_for(0.1)
    found = box.hosts[primaries[0]].node.status()["balance"]
    assert found["by"] == "requests"
    assert all(found["nodes"][name]["off_mean"] > OFF_MEAN_MAX for name in primaries)
    assert all(found["nodes"][name]["off_mean"] < -OFF_MEAN_MAX for name in box.names if name not in primaries)
