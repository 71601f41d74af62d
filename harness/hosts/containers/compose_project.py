"""A user's running compose project: which of its containers are the nodes, and on which network they meet.

1. Only what the engine says counts: the labels that compose puts on its containers. The file is never read, so neither
   its version nor its variables matter, and neither the compose plugin nor a YAML library is needed.
2. Every container of a service that runs is a node, replicas too. What does not run is left out, and told. A node is
   called as its service, and where there are several replicas, as service and number.
3. What can't be tested is refused before anything is done: a paused node, no network in common, another network than a
   bridge, a container that the engine removes when it stops.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.client import DockerClient
from docker.models.containers import Container

from splitbrain.harness.environment import CLIENTS, EnvironmentFailure
from splitbrain.harness.hosts.containers.engine import connect, refusals
from splitbrain.harness.suggestions import did_you_mean

PREFIX = "com.docker.compose"


@dataclass(frozen=True, slots=True)
class ComposeProject:
    """A running project.

    network: the name of that on which all its nodes are. gateway: this machine's address there. containers: their ids,
    by node. left_out: names of containers that do not run.
    """

    name: str
    network: str
    gateway: str
    containers: Mapping[str, str]
    left_out: tuple[str, ...]


def nodes_of(where: str) -> tuple[str, ...]:
    """The names of a running project's nodes. where: as for `find_project`. Raises EnvironmentFailure."""
    _parsed(where)  # A wrong path is no matter of the engine's.
    return tuple(find_project(connect(), where).containers)


def find_project(client: DockerClient, where: str) -> ComposeProject:
    """The project that runs from a compose file.

    where: the file's path; services after a colon, as in `compose.yaml:db,proxy`, are the only ones that are nodes.
    Raises EnvironmentFailure.
    """
    file, asked = _parsed(where)
    found = _containers_of(client, file)
    services = sorted({_label(each, "service") for each in found})
    for service in asked:
        if service not in services:
            there = f"it has {', '.join(services)}{did_you_mean(service, services)}"
            raise EnvironmentFailure(f"no service {service} runs from {file}; {there}")
    chosen = [each for each in found if not asked or _label(each, "service") in asked]
    running = [each for each in chosen if each.attrs["State"]["Running"]]
    if not running:
        raise EnvironmentFailure(f"nothing of {file} runs; `docker compose -f {file} up -d` starts it")
    for container in running:
        _refuse(container)
    network, gateway = _network_of(client, running)
    return ComposeProject(
        _label(found[0], "project"),
        network,
        gateway,
        {node: str(each.id) for node, each in _named(running).items()},
        tuple(str(each.name) for each in chosen if each not in running),
    )


def _parsed(where: str) -> tuple[Path, tuple[str, ...]]:
    path, _, services = (where, "", "") if Path(where).exists() else where.partition(":")
    if not Path(path).is_file():
        raise EnvironmentFailure(f"there is no compose file {path}; give its path, and services after a colon")
    return Path(path).resolve(), tuple(each.strip() for each in services.split(",") if each.strip())


def _containers_of(client: DockerClient, file: Path) -> list[Container]:
    """All containers of the one project that was started from the file, by service and number."""
    label = f"{PREFIX}.project.config_files"
    with refusals("list the containers of compose projects"):
        listed = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
    found = [each for each in listed if file in _files_of(each) and _label(each, "oneoff").lower() != "true"]
    projects = sorted({_label(each, "project") for each in found})
    if not projects:
        raise EnvironmentFailure(f"no compose project runs from {file}; `docker compose -f {file} up -d` starts it")
    if len(projects) > 1:
        raise EnvironmentFailure(
            f"{file} runs as {' and '.join(projects)}; stop all but one of them (`docker compose -p NAME down`)"
        )
    return sorted(found, key=lambda each: (_label(each, "service"), _number(each)))


def _files_of(container: Container) -> set[Path]:
    folder = Path(_label(container, "project.working_dir") or "/")
    # Older ones give the path from the project's folder, newer ones from the root.
    return {(folder / name).resolve() for name in _label(container, "project.config_files").split(",")}


def _label(container: Container, name: str) -> str:
    return str(container.labels.get(f"{PREFIX}.{name}", ""))


def _number(container: Container) -> int:
    number = _label(container, "container-number")
    return int(number) if number.isdecimal() else 0


def _named(running: Collection[Container]) -> dict[str, Container]:
    services = [_label(each, "service") for each in running]
    named = {}
    for container, service in zip(running, services, strict=True):
        plain = re.sub(r"[^A-Za-z0-9-]+", "-", service)
        alone = services.count(service) == 1 and plain != CLIENTS and plain not in named
        named[plain if alone else f"{plain}-{_number(container)}"] = container
    return named


def _refuse(container: Container) -> None:
    attributes: Mapping[str, Any] = container.attrs
    mode = str(attributes["HostConfig"]["NetworkMode"])
    if attributes["State"]["Paused"]:
        raise EnvironmentFailure(f"{container.name} is paused; `docker unpause {container.name}` first")
    if mode in ("host", "none") or mode.startswith("container:"):
        raise EnvironmentFailure(
            f"{container.name} has no network of its own (network_mode {mode}), so none can be cut for it alone; "
            "give it a network, or name the other services after the file's path and a colon"
        )
    if attributes["HostConfig"].get("AutoRemove"):
        raise EnvironmentFailure(f"{container.name} would be gone once it was killed (--rm); start it without")


def _network_of(client: DockerClient, running: Collection[Container]) -> tuple[str, str]:
    """The name of the network that all are on, and this machine's address there."""
    joined = [set(each.attrs["NetworkSettings"]["Networks"]) for each in running]
    common = sorted(set.intersection(*joined), key=lambda name: (not name.endswith("_default"), name))
    if not common:
        raise EnvironmentFailure(
            f"{', '.join(str(each.name) for each in running)} have no network in common; name services that have one "
            "after the file's path and a colon"
        )
    for name in common:
        with refusals(f"look at the network {name}"):
            attributes: Mapping[str, Any] = client.networks.get(name).attrs
        gateways = [str(each["Gateway"]) for each in attributes["IPAM"]["Config"] or () if "Gateway" in each]
        reached = [gateway for gateway in gateways if ":" not in gateway]
        if attributes["Driver"] == "bridge" and reached:
            return name, reached[0].partition("/")[0]
    raise EnvironmentFailure(
        f"this machine has no address on {', '.join(common)}; clients reach nodes only over a bridge network"
    )
