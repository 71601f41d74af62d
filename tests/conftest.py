"""What tests of all parts share."""

from __future__ import annotations

import os
import signal

import pytest
from docker.client import DockerClient

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.containers.engine import connect


def pytest_configure() -> None:
    """A shell has what it starts in the background ignore Ctrl-C, and so would every child that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """How `make test` shares the suite between processes: a file goes to one of them, and so does all that needs the
    Docker engine, whose names, addresses and leftovers are everybody's. That takes longest, so it comes first.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group("containers" if _needs_containers(item) else str(item.path)))
    items.sort(key=lambda item: not _needs_containers(item))


def _needs_containers(item: pytest.Item) -> bool:
    return "docker_engine" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def docker_engine() -> DockerClient:
    """The Docker engine. Without one the test is skipped, or fails where SPLITBRAIN_REQUIRE_DOCKER=1 demands it."""
    try:
        return connect()
    except EnvironmentFailure as failure:
        if os.environ.get("SPLITBRAIN_REQUIRE_DOCKER") == "1":
            pytest.fail(f"SPLITBRAIN_REQUIRE_DOCKER=1, but: {failure}", pytrace=False)
        pytest.skip(str(failure))
