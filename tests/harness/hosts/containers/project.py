"""A compose project as the engine sees it: containers with the labels that compose puts on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from docker.client import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container
from docker.types import IPAMConfig, IPAMPool

from splitbrain import NodeImage

PREFIX = "com.docker.compose"
# Of this process alone: others may test beside it.
NAME = f"splitbrain-test-{os.getpid()}"
SUBNET = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"


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
    fixed: bool = True,
) -> Iterator[list[Container]]:
    """Replicas of one service `db`, on a network of their own. fixed: their addresses are .11 and so on."""
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
            network.connect(container, ipv4_address=f"{SUBNET}.{10 + number}" if fixed else None)
            engine.networks.get("bridge").disconnect(container)
            container.start()
        yield made
    finally:
        for container in made:
            with suppress(NotFound):  # A test may have removed it.
                container.remove(force=True, v=True)
        network.remove()


def state_of(engine: DockerClient, replicas: Sequence[Container]) -> list[dict[str, Any]]:
    """What must be as before once a run is over: of each container its id, state, policy, networks and rules."""
    states = []
    for replica in replicas:
        attributes = engine.containers.get(str(replica.id)).attrs
        joined = attributes["NetworkSettings"]["Networks"]
        states.append(
            {
                "id": attributes["Id"],
                "running": attributes["State"]["Running"],
                "paused": attributes["State"]["Paused"],
                "policy": attributes["HostConfig"]["RestartPolicy"],
                "networks": {name: each["IPAddress"] for name, each in joined.items()},
                "rules": rules_in(engine, replica),
            }
        )
    return states


def rules_in(engine: DockerClient, replica: Container) -> str:
    """The rules of iptables in a container's network, as another container there sees them."""
    from splitbrain.harness.hosts.containers.image import ensure_image

    image = ensure_image(engine, NodeImage(), print)
    network = f"container:{replica.id}"
    script = "iptables -S; ip6tables -S 2>/dev/null || true"
    said = engine.containers.run(
        image, ["sh", "-c", script], network_mode=network, cap_drop=["ALL"], cap_add=["NET_ADMIN"], remove=True
    )
    return bytes(said).decode()
