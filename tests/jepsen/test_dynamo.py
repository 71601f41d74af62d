"""The reference store under faults, as its users would test it: `pytest -m jepsen [--env docker]`.

The first four are Jepsen's Riak experiment ("Call me maybe: Riak", 2013): the shape is the result, not the percentage.
"""

import pytest


def part(result, name):
    return result.verdict.parts[name]


@pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
def test_with_siblings_kept_a_partition_loses_nothing(cluster):
    result = cluster.run("sets")
    result.require_valid()
    evidence = part(result, "evidence").evidence
    assert evidence["faults"]["partition"]["effective"] >= 1
    assert evidence["faults"]["partition"]["struck"] > 0
    assert part(result, "lost-writes").evidence["lost"] == 0


@pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
def test_last_write_wins_loses_acknowledged_writes_in_the_same_partition(cluster):
    result = cluster.run("sets", config={"conflicts": "lww"})
    assert result.status == "invalid"
    lost = part(result, "lost-writes")
    assert lost.outcome == "invalid"
    assert lost.evidence["lost"] > 0
    assert lost.witness.events


@pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
def test_a_lock_does_not_save_last_write_wins_from_a_partition(cluster):
    result = cluster.run("sets", config={"conflicts": "lww", "lock": "true"})
    assert result.status == "invalid"
    assert part(result, "lost-writes").evidence["lost"] > 0


@pytest.mark.jepsen(nodes=5, seed=7)
def test_a_lock_saves_last_write_wins_without_faults(cluster):
    result = cluster.run("sets", config={"conflicts": "lww", "lock": "true"}, faults="")
    result.require_valid()
    assert part(result, "lost-writes").evidence["acknowledged"] > 100


@pytest.mark.jepsen(nodes=5, seed=7)
def test_concurrent_adds_lose_with_last_write_wins_even_without_faults(cluster):
    result = cluster.run("sets", config={"conflicts": "lww", "keys": "1"}, faults="")
    assert part(result, "lost-writes").evidence["lost"] > 0


@pytest.mark.jepsen(nodes=5, seed=1)
@pytest.mark.parametrize(
    "faults", ["partition", "kill", "pause", "partition,kill,pause", "bridge,kill", "one-way,pause"]
)
def test_registers_lose_nothing_and_show_no_false_sibling_under(cluster, faults):
    result = cluster.run("registers", faults=faults)
    result.require_valid()
    for fault in faults.split(","):
        assert part(result, "evidence").evidence["faults"][fault]["effective"] >= 1


@pytest.mark.jepsen(nodes=5, faults="partition", seed=7)
def test_a_strict_quorum_refuses_where_a_sloppy_one_takes_over(cluster):
    sloppy = cluster.run("registers")
    strict = cluster.run("registers", config={"sloppy": "false"})
    assert part(sloppy, "lost-writes").evidence["lost"] == part(strict, "lost-writes").evidence["lost"] == 0
    assert part(strict, "availability").evidence["ok_rate"] < part(sloppy, "availability").evidence["ok_rate"]
