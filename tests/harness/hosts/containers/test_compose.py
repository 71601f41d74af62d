from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient
from docker.models.containers import Container

from splitbrain import Program
from splitbrain.harness.environment import CLIENTS, ClockSetting, Conditions, EnvironmentFailure
from splitbrain.harness.hosts import DockerEnvironment
from splitbrain.harness.hosts.containers.compose_project import find_project
from splitbrain.harness.hosts.containers.leftovers import remove
from splitbrain.harness.running.deaths import deaths
from tests.harness.hosts.containers import project
from tests.harness.hosts.containers.register_system import imported

ROOT = Path(__file__).parents[4]
NODES = ("db-1", "db-2", "db-3")
ONLY_A_NAME = Program("db", ())
ALWAYS = {"Name": "on-failure", "MaximumRetryCount": 7}

# It attaches to a project, disturbs it in every way, says so, and waits for the end.
OPENER = """
import asyncio, sys
from splitbrain.harness.environment import Conditions
from splitbrain.harness.hosts import DockerEnvironment
from splitbrain.harness.hosts.containers import leftovers

# An owner that others can't see: a run that begins meanwhile leaves it to this test.
leftovers._place = lambda: "another-machine/another-boot/pid:[1]"

async def main():
    environment = DockerEnvironment(["db-1", "db-2", "db-3"], compose=sys.argv[1])
    await environment.open(lambda line: None)
    await environment.network.cut([("db-1", "db-2"), ("db-2", "db-1"), ("clients", "db-1")])
    if "degrade" in environment.abilities:
        await environment.network.degrade([("db-3", "db-1")], Conditions(hold=True))
    await environment.machines["db-2"].pause()
    await environment.machines["db-3"].kill()
    print(environment.run, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def waiting(number: int) -> list[str]:
    """A server that nobody asks."""
    return ["/server", "/data", "6200", "127.0.0.1", "127.0.0.1"]


@pytest.fixture
def image(docker_engine: DockerClient, tmp_path: Path) -> str:
    return imported(docker_engine, tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "compose.yaml"


@pytest.fixture
def replicas(docker_engine: DockerClient, image: str, file: Path) -> Iterator[list[Container]]:
    with project.running(docker_engine, file, 3, image, waiting, policy=ALWAYS) as made:
        yield made


def attached(file: Path, work: Callable[[DockerEnvironment], Awaitable[Any]]) -> Any:
    """What is done with an environment of the project's containers."""

    async def life() -> Any:
        environment = DockerEnvironment(NODES, compose=str(file))
        try:
            async with asyncio.timeout(120):
                await environment.open(print)
                return await work(environment)
        finally:
            await environment.close()

    return asyncio.run(life())


async def observed(environment: DockerEnvironment) -> dict[str, bool]:
    """Whether each link was heard, by "source>target"."""
    return {f"{each.source}>{each.target}": each.heard for each in await environment.network.observe()}


def test_a_project_that_was_disturbed_in_every_way_is_as_before_after_a_sigkill(
    docker_engine: DockerClient, held: Callable[[str], list[str]], file: Path, replicas: list[Container]
) -> None:
    before = project.state_of(docker_engine, replicas)
    assert "splitbrain" not in before[0]["rules"]
    words = [sys.executable, "-c", OPENER, str(file)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
        process.kill()
    disturbed = project.state_of(docker_engine, replicas[:2])
    assert f"splitbrain-{run}" in disturbed[0]["rules"]
    assert disturbed[1]["paused"]
    assert disturbed[0]["policy"]["Name"] == "no"
    # Whatever became of the sidecar that had made them, its rules go.
    docker_engine.containers.get(f"splitbrain-{run}-db-1-sidecar").kill()
    removed, failed = remove(docker_engine, run)
    assert sorted(removed) == [f"container splitbrain-{run}-{node}-sidecar" for node in NODES]
    assert (failed, held(run)) == ([], [])
    assert project.state_of(docker_engine, replicas) == before


def test_a_killed_node_is_down_in_spite_of_its_policy_and_cut_again_once_it_has_started(
    docker_engine: DockerClient, file: Path, replicas: list[Container]
) -> None:
    before = project.state_of(docker_engine, replicas)

    async def work(environment: DockerEnvironment) -> None:
        await environment.network.cut([("db-1", "db-2"), ("db-2", "db-1"), (CLIENTS, "db-2")])
        machine = environment.machines["db-2"]
        await machine.kill()
        assert not await machine.running()
        assert await observed(environment) == {
            "db-1>db-2": False,
            "db-1>db-3": True,
            "db-2>db-1": False,
            "db-3>db-1": True,
            "clients>db-2": False,
        }
        assert await environment.lost() == ""
        await machine.start(ONLY_A_NAME)
        assert await machine.running()
        seen = await observed(environment)
        assert {link for link, heard in seen.items() if not heard} == {"db-1>db-2", "db-2>db-1", "clients>db-2"}
        assert len(seen) == 7
        await environment.network.heal()
        assert set((await observed(environment)).values()) == {True}
        assert b"serving" in (await machine.logs())["db.log"]

    attached(file, work)
    assert project.state_of(docker_engine, replicas) == before


def test_nodes_that_come_back_with_each_others_addresses_are_cut_by_their_names(
    docker_engine: DockerClient, image: str, file: Path
) -> None:
    async def work(environment: DockerEnvironment) -> tuple[list[str], list[str]]:
        await environment.network.cut([("db-1", "db-3"), ("db-3", "db-1")])
        one, two = environment.machines["db-1"], environment.machines["db-2"]
        hosts = [one.host, two.host]
        for machine in (one, two):
            await machine.kill()
        for machine in (two, one):
            await machine.start(ONLY_A_NAME)
        seen = await observed(environment)
        assert {link for link, heard in seen.items() if not heard} == {"db-1>db-3", "db-3>db-1"}
        return hosts, [one.host, two.host]

    with project.running(docker_engine, file, 3, image, waiting, fixed=False):
        before, after = attached(file, work)
    # The engine gives the lowest address that is free. If that changes, this test has to make them change otherwise.
    assert after == before[::-1]


def test_a_node_that_ends_by_itself_is_a_death_and_no_loss(
    docker_engine: DockerClient, file: Path, replicas: list[Container]
) -> None:
    async def work(environment: DockerEnvironment) -> Any:
        await observed(environment)
        replicas[0].kill()
        while await environment.machines["db-1"].running():
            await asyncio.sleep(0.05)
        assert set(await observed(environment)) == {"db-2>db-3", "db-3>db-2"}
        assert await environment.lost() == ""
        return await deaths(environment, ())

    assert list(attached(file, work)) == ["db-1"]
    replicas[0].reload()
    assert replicas[0].status == "running"


def test_a_node_is_frozen_as_a_whole_and_one_that_is_removed_is_a_loss(
    docker_engine: DockerClient, file: Path, replicas: list[Container]
) -> None:
    async def work(environment: DockerEnvironment) -> str:
        machine = environment.machines["db-1"]
        await machine.pause()
        replicas[0].reload()
        assert replicas[0].status == "paused"
        assert await machine.running()
        assert await environment.lost() == ""
        await machine.kill()
        await machine.start(ONLY_A_NAME)
        await machine.resume()
        replicas[1].remove(force=True)
        return await environment.watch()

    assert attached(file, work) == "container db-2 is gone: something removed it"


def test_links_between_containers_of_a_project_are_degraded_and_again_after_a_start(
    docker_engine: DockerClient, file: Path, replicas: list[Container]
) -> None:
    async def work(environment: DockerEnvironment) -> None:
        if "degrade" not in environment.abilities:
            pytest.skip("no packet queues in this kernel")
        await environment.network.degrade([("db-1", "db-2")], Conditions(loss=1.0))
        await environment.machines["db-2"].kill()
        await environment.machines["db-2"].start(ONLY_A_NAME)
        seen = {(each.source, each.target): each for each in await environment.network.observe()}
        assert not seen["db-1", "db-2"].heard
        assert seen["db-2", "db-1"].heard

    attached(file, work)


def test_a_second_run_on_the_same_containers_is_refused_and_the_first_goes_on(
    docker_engine: DockerClient, file: Path, replicas: list[Container]
) -> None:
    before = project.state_of(docker_engine, replicas)
    told: list[str] = []

    async def work(environment: DockerEnvironment) -> None:
        second = DockerEnvironment(NODES, compose=str(file))
        try:
            with pytest.raises(EnvironmentFailure, match=r"another run tests db-. .*`splitbrain clean`"):
                await second.open(told.append)
        finally:
            await second.close()
        assert set((await observed(environment)).values()) == {True}
        replicas[0].reload()
        assert replicas[0].attrs["HostConfig"]["RestartPolicy"]["Name"] == "no"

    attached(file, work)
    assert project.state_of(docker_engine, replicas) == before


def test_what_can_t_be_done_to_somebody_else_s_container_is_no_ability_and_refused_by_name(
    docker_engine: DockerClient, file: Path, replicas: list[Container]
) -> None:
    async def work(environment: DockerEnvironment) -> None:
        assert environment.abilities.isdisjoint({"wipe", "clock", "power-cut", "full-disk", "flip-bit", "spares"})
        machine = environment.machines["db-1"]
        asked = (machine.wipe(), machine.power_cut(), machine.set_clock(ClockSetting(1.0)), machine.flip_bit(1))
        for each in asked:
            with pytest.raises(EnvironmentFailure, match=r"db-1 is a container of a compose project, so .*; leave"):
                await each

    attached(file, work)


def test_a_node_that_can_t_start_again_is_named_with_the_end_of_its_log(
    docker_engine: DockerClient, image: str, file: Path
) -> None:
    async def work(environment: DockerEnvironment) -> None:
        docker_engine.containers.get(f"{project.NAME}-db-2").put_archive("/", _blocking())
        await environment.machines["db-2"].kill()
        with pytest.raises(EnvironmentFailure, match=r"(?s)db-2.*the end of its log: .*log: Is a directory"):
            await environment.machines["db-2"].start(ONLY_A_NAME)

    with project.running(docker_engine, file, 3, image, waiting):
        attached(file, work)


def _blocking() -> bytes:
    """A tar with a folder where the server keeps its file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("store/log")
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
    return buffer.getvalue()


def refused(docker_engine: DockerClient, where: str) -> str:
    with pytest.raises(EnvironmentFailure) as failure:
        find_project(docker_engine, where)
    assert "\n" not in str(failure.value)
    return str(failure.value)


def test_services_are_nodes_and_a_service_that_is_not_there_is_named(
    docker_engine: DockerClient, file: Path, replicas: list[Container]
) -> None:
    found = find_project(docker_engine, str(file))
    assert list(found.containers) == list(NODES)
    assert (found.name, found.gateway) == (project.NAME, f"{project.SUBNET}.1")
    assert find_project(docker_engine, f"{file}:db") == found
    assert refused(docker_engine, f"{file}:proxy") == f"no service proxy runs from {file}; it has db"


def test_a_single_container_of_a_service_is_called_as_its_service_and_one_that_is_stopped_is_left_out(
    docker_engine: DockerClient, file: Path, replicas: list[Container]
) -> None:
    replicas[1].stop(timeout=0)
    replicas[2].stop(timeout=0)
    found = find_project(docker_engine, str(file))
    assert list(found.containers) == ["db"]
    assert found.left_out == (f"{project.NAME}-db-2", f"{project.NAME}-db-3")
    replicas[0].stop(timeout=0)
    assert refused(docker_engine, str(file)) == f"nothing of {file} runs; `docker compose -f {file} up -d` starts it"


def test_a_paused_node_and_a_file_that_nothing_runs_from_are_refused(
    docker_engine: DockerClient, file: Path, replicas: list[Container]
) -> None:
    replicas[2].pause()
    assert refused(docker_engine, str(file)) == (
        f"{project.NAME}-db-3 is paused; `docker unpause {project.NAME}-db-3` first"
    )
    replicas[2].unpause()
    other = file.with_name("other.yaml")
    assert refused(docker_engine, str(other)).startswith(f"there is no compose file {other}")
    other.write_text("services: {}\n")
    assert refused(docker_engine, str(other)).startswith(f"no compose project runs from {other}; `docker compose")


def test_a_container_without_a_network_of_its_own_is_refused_by_name(
    docker_engine: DockerClient, image: str, file: Path
) -> None:
    file.write_text("services: {db: {}}\n")
    marks = project.labels(file, "db", 1, "splitbrain-test-hosted")
    container = docker_engine.containers.run(image, waiting(1), labels=marks, network_mode="none", detach=True)
    try:
        assert "has no network of its own (network_mode none)" in refused(docker_engine, str(file))
    finally:
        container.remove(force=True)
