"""A compose project as the engine sees it: containers with the labels that compose puts on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker.client import DockerClient
from docker.models.containers import Container
from docker.types import IPAMConfig, IPAMPool

PREFIX = "com.docker.compose"
NAME = "splitbrain-test-project"
SUBNET = "10.213.77"


def labels(file: Path, service: str, number: int, project: str = NAME) -> dict[str, str]:
    """What compose writes on a container."""
    return {
        f"{PREFIX}.project": project,
        f"{PREFIX}.project.config_files": str(file),
        f"{PREFIX}.project.working_dir": str(file.parent),
        f"{PREFIX}.service": service,
        f"{PREFIX}.container-number": str(number),
        f"{PREFIX}.oneoff": "False",
    }


@contextmanager
def running(
    engine: DockerClient,
    file: Path,
    replicas: int,
    image: str,
    command: Callable[[int], Sequence[str]],
    *,
    policy: Mapping[str, Any] | None = None,
) -> Iterator[list[Container]]:
    """Replicas of one service `db`, on a network of their own with fixed addresses from .11 on."""
    file.write_text("services: {db: {}}\n")
    pool = IPAMConfig(pool_configs=[IPAMPool(subnet=f"{SUBNET}.0/24", gateway=f"{SUBNET}.1")])
    network = engine.networks.create(f"{NAME}_default", driver="bridge", ipam=pool)
    made: list[Container] = []
    try:
        for number in range(1, replicas + 1):
            container = engine.containers.create(
                image,
                list(command(number)),
                name=f"{NAME}-db-{number}",
                labels=labels(file, "db", number),
                restart_policy=policy,
            )
            made.append(container)
            network.connect(container, ipv4_address=f"{SUBNET}.{10 + number}")
            engine.networks.get("bridge").disconnect(container)
            container.start()
        yield made
    finally:
        for container in made:
            container.remove(force=True, v=True)
        network.remove()
