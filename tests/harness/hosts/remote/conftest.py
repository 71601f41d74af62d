"""Three played hosts for all tests here; each test has to leave them as it found them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from docker.client import DockerClient

from splitbrain.harness.hosts import clean_hosts
from tests.harness.hosts.remote.played_hosts import PlayedHosts, played


@pytest.fixture(scope="session")
def shared_hosts(docker_engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayedHosts]:
    with played(docker_engine, ("db1", "db2", "db3"), tmp_path_factory.mktemp("hosts")) as hosts:
        yield hosts


@pytest.fixture
def hosts(shared_hosts: PlayedHosts) -> Iterator[PlayedHosts]:
    yield shared_hosts
    left = {host.name: found for host in shared_hosts.hosts if (found := host.traces())}
    if left:
        clean_hosts(str(shared_hosts.file()))  # Or every test after it would fail too.
    assert left == {}
