"""Three played hosts for all tests here; each test has to leave them as it found them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from docker.client import DockerClient

from splitbrain.harness.hosts import clean_hosts
from tests.harness.hosts.remote.played_hosts import PlayedHosts, played


@pytest.fixture(scope="session")
def shared_hosts(docker_engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayedHosts]:
    with played(docker_engine, ("db1", "db2", "db3"), tmp_path_factory.mktemp("hosts")) as hosts:
        yield hosts


def traces(hosts: PlayedHosts) -> dict[str, list[str]]:
    """What runs have left, by host."""
    return {host.name: found for host in hosts.hosts if (found := host.traces())}


@pytest.fixture
def hosts(shared_hosts: PlayedHosts) -> Iterator[PlayedHosts]:
    yield shared_hosts
    # A shell whose connection was closed just now ends a moment later.
    deadline = time.monotonic() + 5
    while (left := traces(shared_hosts)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        clean_hosts(str(shared_hosts.file()))  # Or every test after it would fail too.
    assert left == {}
