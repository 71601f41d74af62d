"""The nodes of a compose project: a sidecar is put beside each, and put there again after each start.

1. A place is watched only while nobody takes the node down. Between a kill and the end of the next start, what becomes
   of the container is the run's own doing.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, MutableMapping

import paramiko
from docker.client import DockerClient
from docker.models.containers import Container

from splitbrain.harness.hosts.containers import leftovers, sidecar
from splitbrain.harness.hosts.containers.attached import attach, policy_of
from splitbrain.harness.hosts.containers.compose_project import ComposeProject
from splitbrain.harness.hosts.containers.composed_machine import ComposedMachine, Engine
from splitbrain.harness.hosts.containers.engine import refusals
from splitbrain.harness.hosts.containers.watch import Place
from splitbrain.harness.hosts.ssh import KeyPair, Login, SshConnection

LogIn = Callable[[str, Container, Login], Awaitable[SshConnection]]
"""(node, container with the sshd, how to log in) -> a connection that is open."""


class ComposedNodes:
    """What makes the machines of a project's nodes.

    image: the sidecars'. user: the key that gets in. run: its id. places: what is watched, by
    name. turn, rejoin: of the run's network.
    """

    def __init__(
        self,
        project: ComposeProject,
        image: str,
        user: KeyPair,
        run: str,
        places: MutableMapping[str, Place],
        *,
        engine: Engine,
        log_in: LogIn,
        turn: asyncio.Lock,
        rejoin: Callable[[str], Awaitable[None]],
    ) -> None:
        self.project = project
        self.image = image
        self.user = user
        self.run = run
        self.labels = leftovers.labels(run)
        self.places = places
        self.engine = engine
        self.log_in = log_in
        self.turn = turn
        self.rejoin = rejoin
        self.policies: dict[str, str] = {}
        """The restart policies that are set aside, by node."""

    async def machine(self, node: str) -> ComposedMachine:
        """Put a sidecar beside the node, and log in to it. Raises EnvironmentFailure."""
        host_key = KeyPair.generate()
        container = self.project.containers[node]

        def beside(client: DockerClient) -> tuple[Container, Container]:
            with refusals(f"start a sidecar for {node}"):
                there = client.containers.get(container)
                keys = sidecar.keys_of(host_key, self.user)
                return there, attach(
                    client, there, self.image, f"splitbrain-{self.run}-{node}-sidecar", self.labels, keys
                )

        put = _Beside(self, node, container, host_key.public)
        there, beside_it = await self.engine(beside)
        put.sidecar = str(beside_it.id)
        if policy := policy_of(there):  # As it was when the container was looked up.
            self.policies[node] = policy.removesuffix(":0")
        host, connection = await put.log_in(there, beside_it)
        return ComposedMachine(node, container, host, connection, self.engine, self.turn, put)


class _Beside:
    """An `Attachment`."""

    def __init__(self, nodes: ComposedNodes, node: str, container: str, host_key: str) -> None:
        self._nodes = nodes
        self._node = node
        self._container = container
        self._host_key = host_key
        self.sidecar = ""

    def leave(self) -> None:
        for watched in (self._node, self._called):
            self._nodes.places.pop(watched, None)

    async def join(self) -> tuple[str, SshConnection]:
        def joined(client: DockerClient) -> tuple[Container, Container]:
            with refusals(f"put the sidecar of {self._node} into its network again"):
                beside = client.containers.get(self.sidecar)
                beside.restart(timeout=0)
                beside.reload()
                return client.containers.get(self._container), beside

        return await self.log_in(*await self._nodes.engine(joined))

    async def rejoined(self) -> None:
        await self._nodes.rejoin(self._node)

    async def log_in(self, container: Container, beside: Container) -> tuple[str, SshConnection]:
        """Have both watched, and log in. Returns the node's address too."""
        place = Place.of(self._node, container, self._nodes.project.network, mortal=True)
        key = paramiko.Ed25519Key.from_private_key(io.StringIO(self._nodes.user.private.decode()))
        login = Login(place.address, key, self._host_key, port=sidecar.PORT)
        connection = await self._nodes.log_in(self._node, beside, login)
        self._nodes.places[self._node] = place
        self._nodes.places[self._called] = Place.of(self._node, beside, mortal=True)
        return place.address, connection

    @property
    def _called(self) -> str:
        return f"{self._node}'s sidecar"
