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
