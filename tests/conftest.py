"""What tests of all parts share."""

from __future__ import annotations

import os
import signal
from functools import cache
from pathlib import Path

import pytest
from docker.client import DockerClient
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.containers.engine import connect

ROOT = Path(__file__).parent.parent


def pytest_configure() -> None:
    """A shell has what it starts in the background ignore Ctrl-C, and so would every child that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class TogetherInContainers(LoadScopeScheduling):
    """How `make test` shares the suite between processes: by file, and all that needs the Docker engine goes to one of
    them, since names, addresses and leftovers there are everybody's.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "containers" if needs_containers(file) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> TogetherInContainers:
    return TogetherInContainers(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Containers take longest, so the process that has them begins with them."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not needs_containers(item.nodeid.partition("::")[0]))


@cache
def needs_containers(file: str) -> bool:
    """Whether the tests of this file, a path from the root of the repository, need the Docker engine."""
    return file.startswith("tests/harness/hosts/") or "docker_engine" in (ROOT / file).read_text()


@pytest.fixture(scope="session")
def docker_engine() -> DockerClient:
    """The Docker engine. Without one the test is skipped, or fails where SPLITBRAIN_REQUIRE_DOCKER=1 demands it."""
    try:
        return connect()
    except EnvironmentFailure as failure:
        if os.environ.get("SPLITBRAIN_REQUIRE_DOCKER") == "1":
            pytest.fail(f"SPLITBRAIN_REQUIRE_DOCKER=1, but: {failure}", pytrace=False)
        pytest.skip(str(failure))
