"""The Docker engine: connecting to it, and explaining in one line why that fails.

1. Whatever the engine refuses becomes an `EnvironmentFailure` that names the cause, then the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from docker.client import DockerClient
from docker.errors import APIError, BuildError, DockerException, ImageNotFound

from splitbrain.harness.environment import EnvironmentFailure

# Creating a container takes a second on a busy engine; beyond this it hangs.
ENGINE_TIMEOUT_S = 60


def connect(timeout_s: float = ENGINE_TIMEOUT_S) -> DockerClient:
    """A client of the engine that the `docker` command would use: that of DOCKER_HOST, else of the active context
    (DOCKER_CONTEXT, or what `docker context use` chose), else the machine's own.

    Raises EnvironmentFailure if none answers or it may not be used.
    """
    with refusals("reach the Docker engine"):
        client = DockerClient.from_env(timeout=int(timeout_s))
        client.ping()
        return client


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turn the engine's errors into `EnvironmentFailure`. what: the thing that was tried, as "reach the engine"."""
    try:
        yield
    except (DockerException, requests.exceptions.RequestException, OSError) as error:
        raise EnvironmentFailure(f"can't {what}: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    said = " ".join(str(getattr(error, "explanation", None) or error).split())
    match error:
        case ImageNotFound():
            return f"the image is missing ({said}); run `make image`"
        case APIError() if "address pool" in said:
            return f"no subnet is free ({said}); run `splitbrain clean`, then `docker network prune`"
        case APIError() if "port is already allocated" in said or "address already in use" in said:
            return f"a port is taken ({said}); stop what listens there (`docker ps` shows containers), then try again"
        case APIError() if "no space left" in said:
            return f"the disk is full ({said}); run `docker system prune`"
        case APIError():
            return f"the engine refused: {said}"
        case BuildError():
            return f"a step of the build failed: {said}; run `make image` to see which"
    # The SDK wraps the socket's error in two or three layers of text; the words survive.
    if "Permission denied" in said or "PermissionError" in said:
        return "no permission to use it; add yourself to the group `docker` and log in again, or run as root"
    if "timed out" in said.lower():
        return "it does not answer in time; restart it (`systemctl restart docker`)"
    if isinstance(error, DockerException | requests.exceptions.ConnectionError | ConnectionError | OSError):
        return (
            "none is running, or DOCKER_HOST or the context names the wrong one; start it (`systemctl start docker`), "
            f"or use `--env sim`, which needs none ({said})"
        )
    return said
