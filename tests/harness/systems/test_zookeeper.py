"""ZooKeeper in containers: a server that is cut off answers plain reads from what it has."""

from __future__ import annotations

from pathlib import Path

import pytest
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
        # At the server that is cut off, writes hold their clients up; some must be left to read.
        concurrency=30,
        config={"reads": reads},
        strikes=ALONE,
    )


# Whether a stale read is among those that were asked for is a matter of luck, so it is no gate.
@pytest.mark.findings
def test_plain_reads_are_stale(docker_engine: DockerClient, tmp_path: Path) -> None:
    result = run(experiment("plain"), out=tmp_path)
    assert result.status == "invalid", result.reason
    assert "not linearizable as a cas-register" in result.reason


def test_reads_after_a_sync_are_linearizable(docker_engine: DockerClient, tmp_path: Path) -> None:
    run(experiment("sync"), out=tmp_path).require_valid()
