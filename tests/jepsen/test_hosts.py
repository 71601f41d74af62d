"""Whole runs on hosts that somebody else has set up, by a user with sudo. Skipped where no Docker engine answers."""

import json

import pytest

from splitbrain.harness.hosts import clean_hosts
from tests.harness.hosts.remote.played_hosts import played

NAMES = ("db1", "db2", "db3")


@pytest.fixture(scope="module")
def hosts(docker_engine, tmp_path_factory):
    with played(docker_engine, (*NAMES, "db4"), tmp_path_factory.mktemp("hosts")) as played_hosts:
        yield played_hosts


def left_on(hosts):
    return {host.name: found for host in hosts.hosts if (found := host.traces())}


@pytest.mark.jepsen(environment="ssh", nodes=3, seed=3, time_limit_s=30.0, rate=40.0)
def test_partition_kill_and_pause_take_effect_cost_nothing_and_leave_nothing(hosts, cluster):
    result = cluster.run("registers", hosts=str(hosts.file()), faults="partition,kill,pause")
    result.require_valid()
    faults = result.verdict.parts["evidence"].evidence["faults"]
    assert {name: faults[name]["effective"] > 0 for name in faults} == dict.fromkeys(
        ("partition", "kill", "pause"), True
    )
    described = json.loads((result.folder / "run.json").read_text())
    assert described["nodes"] == list(NAMES)
    for name in NAMES:
        assert "serving" in (result.folder / "nodes" / name / "splitbrain-store.log").read_text()
    assert left_on(hosts) == {}


@pytest.mark.jepsen(environment="ssh", nodes=3, seed=7, time_limit_s=15.0, rate=60.0)
def test_last_write_wins_loses_acknowledged_writes(hosts, cluster):
    result = cluster.run("sets", hosts=str(hosts.file()), faults="partition", config={"conflicts": "lww"})
    assert result.status == "invalid"
    assert result.verdict.parts["lost-writes"].evidence["lost"] > 0


@pytest.mark.jepsen(environment="ssh", seed=7, time_limit_s=2.0, rate=20.0)
def test_all_hosts_of_the_file_are_nodes_and_what_was_kept_is_cleaned(hosts, cluster):
    file = str(hosts.file())
    cluster.run("sets", hosts=file, keep=True).require_valid()
    assert all("splitbrain-store" in host.shell("ps axww -o args") for host in hosts.hosts)
    assert len(clean_hosts(file)) == 2 * len(hosts.hosts)
    assert left_on(hosts) == {}
