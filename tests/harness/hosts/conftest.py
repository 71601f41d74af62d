"""One environment of three containers for all tests here that do not end it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from docker.client import DockerClient

from splitbrain.harness.environment import Program
from splitbrain.harness.hosts import DockerEnvironment, IptablesNetwork, SshMachine
from splitbrain.harness.hosts.containers import shim_build
from splitbrain.harness.hosts.containers.image import LAYERS
from splitbrain.harness.hosts.containers.leftovers import RUN_LABEL

T = TypeVar("T")

SLEEPER = Program(
    "sleeper",
    ("python3", "-c", "import time; print('awake', flush=True); time.sleep(3600)"),
    files={"/var/lib/splitbrain/secret.key": b"secret"},
    data="/var/lib/splitbrain/data",
)


class Cluster:
    """Containers n1, n2 and n3, and the loop that their connections belong to."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.environment = DockerEnvironment(["n1", "n2", "n3"])

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def machine(self, name: str) -> SshMachine:
        machine = self.environment.machines[name]
        assert isinstance(machine, SshMachine)
        return machine

    def shell(self, name: str, script: str) -> str:
        return self.run(self.machine(name).connection.check(script)).text

    @property
    def network(self) -> IptablesNetwork:
        network = self.environment.network
        assert isinstance(network, IptablesNetwork)
        return network


@pytest.fixture(scope="session")
def shared_cluster(docker_engine: DockerClient) -> Iterator[Cluster]:
    with asyncio.Runner() as runner:
        cluster = Cluster(runner)
        try:
            cluster.run(cluster.environment.open(print))
            yield cluster
        finally:
            cluster.run(cluster.environment.close())


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Iterator[Cluster]:
    """The shared cluster; healed, and its programs killed, after each test."""
    yield shared_cluster
    shared_cluster.run(shared_cluster.network.heal())
    for name in shared_cluster.environment.machines:
        shared_cluster.run(shared_cluster.machine(name).kill())


@pytest.fixture
def sleeper() -> Program:
    """A program that does nothing, for a long time."""
    return SLEEPER


@pytest.fixture
def held(docker_engine: DockerClient) -> Callable[[str], list[str]]:
    """Names of all that the engine holds of a run."""

    def names(run: str) -> list[str]:
        label = {"label": f"{RUN_LABEL}={run}"}
        things: list[Any] = [
            *docker_engine.containers.list(all=True, filters=dict(label)),
            *docker_engine.networks.list(filters=dict(label)),
            *docker_engine.volumes.list(filters=dict(label)),
        ]
        return [thing.name for thing in things]

    return names


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the compiled shims are."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine (apt-get install gcc libc6-dev)")
    folder = tmp_path_factory.mktemp("shims")
    sources = {name: (LAYERS / name).read_bytes() for name in shim_build.SOURCES}
    for name, content in shim_build.compiled(sources).items():
        (folder / name).write_bytes(content)
    return folder
