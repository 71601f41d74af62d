"""ZooKeeper in containers: a server that is cut off answers plain reads from what it has."""

from __future__ import annotations

from pathlib import Path

from docker.client import DockerClient

from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.run import run

ALONE = (
    Strike(
        0,
        "partition",
        3.0,
        6.0,
        {"shape": "isolate-one", "cut": [["n1", "n2"], ["n2", "n1"], ["n1", "n3"], ["n3", "n1"]]},
    ),
)


def experiment(reads: str) -> Experiment:
    return Experiment(
        "linearizable-register",
        "docker",
        "zookeeper",
        nodes=3,
        faults=("partition",),
        seed=1,
        time_limit_s=15.0,
        rate=50.0,
        config={"reads": reads},
        strikes=ALONE,
    )


def test_plain_reads_are_stale(docker_engine: DockerClient, tmp_path: Path) -> None:
    result = run(experiment("plain"), out=tmp_path)
    assert result.status == "invalid", result.reason
    assert "not linearizable as a cas-register" in result.reason


def test_reads_after_a_sync_are_linearizable(docker_engine: DockerClient, tmp_path: Path) -> None:
    run(experiment("sync"), out=tmp_path).require_valid()
