"""RabbitMQ in containers: quorum queues keep what they confirmed, mirrored ones lose it when autoheal picks a side."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker.client import DockerClient

from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.run import run
from splitbrain.harness.systems.rabbitmq import TICK_S

# Nodes notice after a tick and a quarter at the latest, and each side has to take messages for a while then.
ALONE = (
    Strike(
        0,
        "partition",
        3.0,
        TICK_S + 8.0,
        {"shape": "isolate-one", "cut": [["n1", "n2"], ["n2", "n1"], ["n1", "n3"], ["n3", "n1"]]},
    ),
)


def experiment(**config: str) -> Experiment:
    return Experiment(
        "queue-at-least-once",
        "docker",
        "rabbitmq",
        nodes=3,
        faults=("partition",),
        seed=1,
        time_limit_s=20.0,
        rate=50.0,
        config=config,
        strikes=ALONE,
    )


def test_a_quorum_queue_loses_nothing(docker_engine: DockerClient, tmp_path: Path) -> None:
    run(experiment(), out=tmp_path).require_valid()


@pytest.mark.findings
def test_a_mirrored_queue_loses_what_the_losing_side_confirmed(docker_engine: DockerClient, tmp_path: Path) -> None:
    result = run(experiment(**{"queue-type": "classic", "partition-handling": "autoheal"}), out=tmp_path)
    assert result.status == "invalid", result.reason
    assert "acknowledged enqueues lost" in result.reason
