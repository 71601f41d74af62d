"""NATS JetStream in containers: what a majority acknowledged is not on any disk yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker.client import DockerClient

from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.run import run

NODES = ["n1", "n2", "n3"]
DARK = (Strike(0, "power-cut", 8.0, 0.5, {"target": "all", "nodes": NODES, "torn": False}),)
KILLED = (Strike(0, "kill", 8.0, 0.5, {"target": "all", "nodes": NODES}),)


def experiment(workload: str, fault: str, strikes: tuple[Strike, ...]) -> Experiment:
    return Experiment(
        workload,
        "docker",
        "nats",
        nodes=3,
        faults=(fault,),
        seed=1,
        time_limit_s=15.0,
        rate=50.0,
        strikes=strikes,
    )


@pytest.mark.findings
def test_a_power_cut_of_all_nodes_loses_acknowledged_messages(docker_engine: DockerClient, tmp_path: Path) -> None:
    result = run(experiment("queue-at-least-once", "power-cut", DARK), out=tmp_path)
    assert result.status == "invalid", result.reason
    assert "acknowledged enqueues lost" in result.reason


@pytest.mark.findings
def test_a_kill_of_all_nodes_loses_nothing(docker_engine: DockerClient, tmp_path: Path) -> None:
    run(experiment("queue-at-least-once", "kill", KILLED), out=tmp_path).require_valid()


@pytest.mark.findings
def test_its_logs_keep_their_order_over_a_kill_of_all_nodes(docker_engine: DockerClient, tmp_path: Path) -> None:
    run(experiment("kafka", "kill", KILLED), out=tmp_path).require_valid()
