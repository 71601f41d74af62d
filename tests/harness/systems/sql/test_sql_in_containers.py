"""SQL databases in containers: each isolation level's anomalies are there, and none that it forbids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient

from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.results import Result
from splitbrain.harness.running.run import run

CLUSTER = 3
FORBIDDEN_BY_READ_COMMITTED = {"G0", "G1a", "G1b", "G1c", "incompatible-order"}


def ran(out: Path, system: str, workload: str, config: Mapping[str, str], **more: Any) -> Result:
    """A run of a few seconds: as many clients on as few keys as get into each other's way."""
    given = {"time_limit_s": 8.0, "rate": 100.0, "seed": 1, **more}
    return run(Experiment(workload=workload, system=system, environment="docker", config=config, **given), out=out)


def anomalies(result: Result) -> set[str]:
    assert result.verdict is not None
    return set(result.verdict.parts["transactions"].evidence["anomaly_types"])


def seen(out: Path, wanted: set[str], status: str, system: str, config: Mapping[str, str], **more: Any) -> set[str]:
    """The anomalies of the first of three runs that has those wanted: which transactions meet is for the load to say.
    So one run may come out valid where `status` is invalid, but what must be valid is valid in each.
    """
    found: set[str] = set()
    for seed in (1, 2, 3):
        result = ran(out, system, "append", config, seed=seed, **more)
        assert result.status in {status, "valid"}, result.explanation()
        found = anomalies(result)
        if wanted <= found:
            break
    assert wanted <= found
    return found


def acknowledged_and_lost(result: Result) -> tuple[int, int]:
    assert result.verdict is not None
    evidence = result.verdict.parts["lost-writes"].evidence
    return evidence["acknowledged"], evidence["lost"]


def test_postgres_at_repeatable_read_is_snapshot_isolation(docker_engine: DockerClient, tmp_path: Path) -> None:
    config = {"isolation": "repeatable-read", "consistency": "snapshot-isolation"}
    seen(tmp_path, {"G2-item"}, "valid", "postgres", config, nodes=1)


@pytest.mark.findings
def test_postgres_at_read_committed_loses_updates(docker_engine: DockerClient, tmp_path: Path) -> None:
    config = {"isolation": "read-committed", "consistency": "snapshot-isolation"}
    found = seen(tmp_path, {"lost-update", "G-single"}, "invalid", "postgres", {**config, "keys": "3"}, nodes=1)
    assert not found & FORBIDDEN_BY_READ_COMMITTED


@pytest.mark.findings
@pytest.mark.parametrize("workload", ["append", "wr"])
def test_postgres_at_serializable_is_serializable(workload: str, docker_engine: DockerClient, tmp_path: Path) -> None:
    config = {"isolation": "serializable", "consistency": "serializable"}
    ran(tmp_path, "postgres", workload, config, nodes=1).require_valid()


@pytest.mark.findings
def test_postgres_keeps_what_it_acknowledged_through_kills(docker_engine: DockerClient, tmp_path: Path) -> None:
    ran(tmp_path, "postgres", "g-set", {}, nodes=1, time_limit_s=15.0, faults=("kill", "pause")).require_valid()


@pytest.mark.findings
def test_mariadb_at_repeatable_read_is_no_snapshot_isolation(docker_engine: DockerClient, tmp_path: Path) -> None:
    config = {"isolation": "repeatable-read", "consistency": "snapshot-isolation"}
    more: dict[str, Any] = {"nodes": 1, "rate": 200.0, "concurrency": 20}
    found = seen(tmp_path, {"lost-update", "G-single"}, "invalid", "mariadb", {**config, "keys": "3"}, **more)
    assert not found & FORBIDDEN_BY_READ_COMMITTED


def test_a_healthy_galera_cluster_is_no_snapshot_isolation(docker_engine: DockerClient, tmp_path: Path) -> None:
    config = {"isolation": "repeatable-read", "consistency": "snapshot-isolation"}
    more: dict[str, Any] = {"nodes": CLUSTER, "rate": 200.0, "concurrency": 20}
    seen(tmp_path, {"G-single"}, "invalid", "galera", {**config, "keys": "3"}, **more)


@pytest.mark.findings
@pytest.mark.parametrize("flush", ["0", "1"])
def test_galera_loses_what_was_not_flushed_when_all_nodes_are_killed(
    flush: str, docker_engine: DockerClient, tmp_path: Path
) -> None:
    # The first kill of this seed is of all nodes.
    more: dict[str, Any] = {"nodes": CLUSTER, "seed": 1, "time_limit_s": 20.0, "rate": 200.0, "faults": ("kill",)}
    result = ran(tmp_path, "galera", "g-set", {"flush-log-at-trx-commit": flush}, **more)
    acknowledged, lost = acknowledged_and_lost(result)
    assert acknowledged
    assert bool(lost) == (flush == "0")


@pytest.mark.findings
@pytest.mark.parametrize("mode", ["off", "on"])
def test_patroni_loses_acknowledged_writes_of_a_primary_that_is_cut_off_unless_it_is_synchronous(
    mode: str, docker_engine: DockerClient, tmp_path: Path
) -> None:
    # The one strike of this seed cuts the primary off for 7.7 s, longer than its key holds.
    more: dict[str, Any] = {"nodes": CLUSTER, "seed": 157, "time_limit_s": 30.0, "faults": ("partition",)}
    config = {"synchronous-mode": mode, "fsync": "off"}
    result = ran(tmp_path, "patroni", "g-set", config, fault_interval_s=10.0, **more)
    acknowledged, lost = acknowledged_and_lost(result)
    assert acknowledged
    assert bool(lost) == (mode == "off")
