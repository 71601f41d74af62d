"""Runs on a server of a stock image, which has no shell, no Python and no sshd, and on a compose project of it."""

from __future__ import annotations

import pytest

from splitbrain.harness.replays.recorded import recorded
from splitbrain.harness.running.experiment import UsageProblem
from tests.harness.hosts.containers import project
from tests.harness.hosts.containers.register_system import PORT, SYSTEM, imported

FAULTS = ("partition", "kill", "pause")
LOAD = {"environment": "docker", "rate": 60.0, "seed": 3}


def took_effect(result):
    faults = result.verdict.parts["evidence"].evidence["faults"]
    return {name for name in FAULTS if name in faults and faults[name]["effective"] > 0}


@pytest.fixture
def image(docker_engine, tmp_path):
    return imported(docker_engine, tmp_path)


@pytest.mark.jepsen(nodes=3, faults=",".join(FAULTS))
def test_a_register_of_an_image_without_a_shell_survives_partitions_kills_and_pauses(image, cluster):
    result = cluster.run("linearizable-register", system=SYSTEM, time_limit_s=20.0, **LOAD)
    result.require_valid()
    assert took_effect(result) == set(FAULTS)


@pytest.mark.jepsen(nodes=3, faults="partition")
def test_the_same_is_found_out_when_its_nodes_answer_reads_from_stale_copies(image, cluster):
    result = cluster.run("linearizable-register", system=SYSTEM, time_limit_s=12.0, config={"stale": "True"}, **LOAD)
    assert result.status == "invalid"
    assert result.verdict.parts["linearizable"].outcome.value == "invalid"


def commands(*how):
    """The server's commands in a project whose first replica is the primary."""
    return lambda number: [
        "/server",
        "/data",
        str(PORT),
        f"{project.SUBNET}.{10 + number}",
        f"{project.SUBNET}.11",
        *how,
    ]


@pytest.mark.jepsen(faults=",".join(FAULTS))
def test_a_compose_project_survives_partitions_kills_and_pauses_and_is_left_as_it_was(
    docker_engine, image, cluster, tmp_path
):
    file = tmp_path / "compose.yaml"
    with project.running(docker_engine, file, 3, image, commands(), policy={"Name": "always"}) as replicas:
        before = project.state_of(docker_engine, replicas)
        result = cluster.run("linearizable-register", system=SYSTEM, compose=str(file), time_limit_s=20.0, **LOAD)
        result.require_valid()
        assert took_effect(result) == set(FAULTS)
        assert f"--compose {file}" in result.command
        # What was written since the run began: a node that was killed has started again since.
        logs = [path.read_text() for path in (result.folder / "nodes").glob("db-*/register.log")]
        assert len(logs) == 3
        assert any("serving" in log for log in logs)
        assert project.state_of(docker_engine, replicas) == before
    # With the project down, a replay is refused in one line before anything starts.
    replayed = recorded(result.folder).experiment
    with pytest.raises(UsageProblem, match=f"no compose project runs from {file}"):
        replayed.prepare()


@pytest.mark.jepsen(faults="partition")
def test_a_compose_project_with_stale_copies_is_found_out(docker_engine, image, cluster, tmp_path):
    file = tmp_path / "compose.yaml"
    with project.running(docker_engine, file, 3, image, commands("stale")):
        result = cluster.run("linearizable-register", system=SYSTEM, compose=str(file), time_limit_s=12.0, **LOAD)
        assert result.status == "invalid"
