"""Runs that once found a bug in the reference store, kept as they were: each replays its bug's conditions."""

import pytest


@pytest.mark.jepsen(nodes=5, seed=7)
def test_a_coordinator_killed_before_its_cut_off_homes_were_hinted_left_replicas_apart_for_ever(cluster):
    cluster.run("registers", faults="partition,kill,pause", time_limit_s=60.0).require_valid()


@pytest.mark.jepsen(nodes=5, seed=1, faults="pause")
def test_a_put_that_waited_out_a_pause_came_back_as_a_sibling_of_its_successors(cluster):
    cluster.run("registers", time_limit_s=30.0).require_valid()


@pytest.mark.jepsen(nodes=5, faults="one-way,pause", rate=40)
@pytest.mark.parametrize("seed", [100, 104, 106])
def test_a_put_stored_by_two_coordinators_under_a_one_way_cut_was_two_versions(cluster, seed):
    cluster.run("registers", seed=seed).require_valid()


@pytest.mark.jepsen(nodes=5, rate=40)
@pytest.mark.parametrize(("faults", "seed"), [("bridge,kill", 129), ("partition,kill,pause", 103)])
def test_a_put_retried_across_a_restart_was_done_twice(cluster, faults, seed):
    cluster.run("registers", faults=faults, seed=seed).require_valid()


@pytest.mark.jepsen(nodes=5, faults="kill,pause")
@pytest.mark.parametrize("time_limit_s", [7.0, 8.0, 9.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_last_restart_that_waited_for_paused_nodes_made_the_run_unknown(cluster, seed, time_limit_s):
    cluster.run("sets", seed=seed, time_limit_s=time_limit_s).require_valid()


@pytest.mark.jepsen(nodes=7, faults="kill,partition,pause", rate=50)
def test_a_last_restart_that_waited_for_paused_nodes_hid_lost_writes(cluster):
    config = {"n": "5", "r": "2", "w": "2", "conflicts": "lww", "keys": "2"}
    result = cluster.run("sets", seed=1876853048, time_limit_s=9.0, config=config)
    assert result.status == "invalid"
    lost = result.verdict.parts["lost-writes"].evidence
    assert lost["lost"] > 0 and lost["never_read"] == 0


@pytest.mark.jepsen(nodes=5)
@pytest.mark.parametrize(
    ("faults", "time_limit_s"),
    [("partition", 2.0), ("partition,bridge,one-way", 10.0), ("partition,bridge,one-way,kill,pause", 7.0)],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_last_fault_of_a_lane_never_started_in_a_short_run(cluster, faults, time_limit_s, seed):
    result = cluster.run("sets", faults=faults, seed=seed, time_limit_s=time_limit_s)
    result.require_valid()
    seen = result.verdict.parts["evidence"].evidence["faults"]
    assert set(seen) == set(faults.split(","))
