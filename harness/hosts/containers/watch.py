"""Watching a run's containers: what something outside took away from them, which is no fault of the system.

1. A container is whole while it runs as it was started: not stopped, paused or restarted, and on the run's network
   under the address it had. The nemesis does none of these: it works inside.
2. A loss names the node and what was observed of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docker.client import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container

from splitbrain.harness.hosts.containers.engine import refusals


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node was put.

    container: the id. started: when, as the engine says it. network: its name; "" for a sidecar, which has that of its
    node. address: on that network. mortal: it ends with its program, so its end is a matter of the node's.
    """

    node: str
    container: str
    started: str
    network: str
    address: str
    mortal: bool = False

    @property
    def called(self) -> str:
        """What it is called in messages."""
        return self.node if self.network else f"{self.node}'s sidecar"

    @staticmethod
    def of(node: str, container: Container, network: str = "", *, mortal: bool = False) -> Place:
        """The place of a container that was inspected just now."""
        attributes = container.attrs
        address = attributes["NetworkSettings"]["Networks"][network]["IPAddress"] if network else ""
        return Place(node, str(container.id), attributes["State"]["StartedAt"], network, address, mortal)


def look(client: DockerClient, place: Place) -> str | None:
    """What the node has lost, or None. Takes some milliseconds. Raises EnvironmentFailure if the engine refuses."""
    with refusals(f"look at the container of {place.called}"):
        try:
            attributes = client.api.inspect_container(place.container)
        except NotFound:
            return f"container {place.called} is gone: something removed it"
    return missing(place, attributes)


def missing(place: Place, attributes: Mapping[str, Any]) -> str | None:
    """The same from what the engine says of the container."""
    node, state = place.called, attributes["State"]
    if place.mortal and (not state["Running"] or state["Paused"]):
        return None
    if not state["Running"]:
        memory = ", out of memory" if state.get("OOMKilled") else ""
        return f"container {node} was stopped from outside (status {state['ExitCode']}{memory})"
    if state["StartedAt"] != place.started:
        return f"container {node} was restarted from outside"
    if state["Paused"]:
        return f"container {node} was paused from outside"
    if not place.network:
        return None
    joined = attributes["NetworkSettings"]["Networks"].get(place.network)
    if joined is None:
        return f"{node} is no longer on the network: something disconnected its container"
    if joined["IPAddress"] != place.address:
        return f"{node} has another address than before: something connected its container anew"
    return None
