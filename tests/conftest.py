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


@pytest.fixture(scope="session")
def docker_engine() -> DockerClient:
    """The Docker engine. Without one the test is skipped, or fails where SPLITBRAIN_REQUIRE_DOCKER=1 demands it."""
    try:
        return connect()
    except EnvironmentFailure as failure:
        if os.environ.get("SPLITBRAIN_REQUIRE_DOCKER") == "1":
            pytest.fail(f"SPLITBRAIN_REQUIRE_DOCKER=1, but: {failure}", pytrace=False)
        pytest.skip(str(failure))
