"""Nodes in containers of this machine's Docker engine.

1. Once its sshd answers, a node is a host like any other: everything goes over SSH. A node of a stock image has no
   sshd; its sidecar has.
2. A run has an internal network of its own, so that nothing inside reaches out, a volume for each node, and its own
   keys. A node's host key is made here and put into its container before the start, so it is pinned from the first
   contact.
3. Everything is labelled with the run and its owner, and `close` removes by label. So it also removes what an
   interrupted `open` made after the interrupt.
4. The engine is asked every second whether everything is still there (`watch`). The connection to a node that lost
   something is closed at once, or commands would wait for it.
5. A cleaning that failed is reported, and never ends the run.
"""

from __future__ import annotations

import asyncio
import io
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import paramiko
from docker.client import DockerClient
from docker.errors import DockerException
from docker.models.containers import Container
from docker.models.networks import Network as DockerNetwork

from splitbrain.harness.environment import EnvironmentFailure, Network, OnDatagram, PowerCut, Progress
from splitbrain.harness.hosts.containers import leftovers, sidecar
from splitbrain.harness.hosts.containers.attached import refuse_attached
from splitbrain.harness.hosts.containers.compose_project import find_project
from splitbrain.harness.hosts.containers.composed_machine import ComposedMachine
from splitbrain.harness.hosts.containers.composed_nodes import ComposedNodes
from splitbrain.harness.hosts.containers.engine import connect, refusals
from splitbrain.harness.hosts.containers.stock_image import IDLE, StockImage
from splitbrain.harness.hosts.containers.watch import Place, look
from splitbrain.harness.hosts.disks.loop_disks import LoopDisks
from splitbrain.harness.hosts.endpoint import UdpEndpoint
from splitbrain.harness.hosts.ssh import KeyPair, Login, SshConnection, excerpt
from splitbrain.harness.hosts.ssh_cluster import SshCluster
from splitbrain.harness.hosts.ssh_machine import LOGIN, SshMachine
from splitbrain.harness.system import NodeImage

T = TypeVar("T")

STATE = "/var/lib/splitbrain"
# On two cores five sshds answer within two seconds.
SSH_DEADLINE_S = 30.0
# Undo logs are there: what a program has written and not synced, which for a server is little.
SHARED_MEMORY = "256m"
# A fork bomb or a leak ends its own node, and neither the others nor the harness. Servers on the JVM have hundreds of
# threads, each of which counts.
PIDS_MOST = 4096
MEMORY_MOST = "4g"
LOG_TAIL_BYTES = 1 << 16
LOOK_INTERVAL_S = 1.0
BARE = NodeImage()
POWERED = frozenset({"power-cut", "torn-write"})
"""What a disk of the node's own does."""
# What a stock image would start, and as whom, is its system's matter; its health check would ask what does not run yet.
_IDLE: Mapping[str, Any] = {
    "entrypoint": [IDLE],
    "command": [],
    "user": "0:0",
    "working_dir": "/",
    "healthcheck": {"test": ["NONE"]},
    "ipc_mode": "shareable",
}
COMPOSED = frozenset({"cut", "cut-clients", "degrade", "kill", "terminate", "pause"})
"""What is done to containers that are somebody else's."""


class DockerEnvironment:
    """An `environment.Environment` of containers.

    nodes: their names; letters, digits and dashes. image: what they are made of; by default only what the harness
    itself needs there. spares: names of containers in which nothing runs at first. seed: of what is drawn for degraded
    links. compose: the file of a running compose project whose containers are the nodes; None to make some.
    """

    name = "docker"

    def __init__(
        self,
        nodes: Sequence[str],
        image: NodeImage = BARE,
        spares: Sequence[str] = (),
        *,
        seed: int = 0,
        compose: str | None = None,
    ) -> None:
        self.run = secrets.token_hex(4)
        self.members = list(nodes)
        self._image = BARE if compose else image
        self._compose = compose
        self._stock: StockImage | None = None
        self._cluster: SshCluster[SshMachine | ComposedMachine] = SshCluster(self.run, seed, "the containers")
        self._nodes = (*nodes, *spares)
        self._progress: Progress = lambda line: None
        self._client: DockerClient | None = None
        self._places: dict[str, Place] = {}
        self._disks: LoopDisks | None = None
        self._gateway = ""
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="docker")
        self._user = KeyPair.generate()

    @property
    def abilities(self) -> frozenset[str]:
        if self._compose is not None:
            return self._cluster.abilities & COMPOSED
        return self._cluster.abilities | {"spares"} | (POWERED if self._disks is not None else frozenset())

    @property
    def machines(self) -> Mapping[str, SshMachine | ComposedMachine]:
        return self._cluster.machines

    @property
    def network(self) -> Network:
        return self._cluster.network

    async def open(self, progress: Progress) -> None:
        """Build the image if it is missing, then start the containers and log in to them.

        Raises EnvironmentFailure: no engine, no permission, no image, or a node that does not come up, by name.
        """
        self._progress = progress
        client = self._client = await self._call(connect)
        await self._call(lambda: _sweep(client, progress))
        # Late, or `python -m image` would find itself imported already by its own package.
        from splitbrain.harness.hosts.containers.image import ensure_image
        from splitbrain.harness.hosts.containers.stock_image import ensure_stock

        own = BARE if self._image.foreign else self._image
        image = await self._call(lambda: ensure_image(client, own, progress, self._stop))
        if self._image.foreign:
            self._stock = await self._call(lambda: ensure_stock(client, self._image, image, progress, self._stop))
        started = time.monotonic()
        turn = asyncio.Lock()
        if self._compose is None:
            network = await self._call(lambda: self._make_network(client))
            if self._image.disk_mib:
                await self._make_disks(client, image)
            machines: list[SshMachine | ComposedMachine] = [
                *await asyncio.gather(*(self._machine(client, node, image, network) for node in self._nodes))
            ]
        else:
            machines = [*await self._composed(client, image, turn)]
        await self._cluster.join(machines, progress, turn)
        progress(f"{len(machines)} containers are up after {time.monotonic() - started:.1f} s (run {self.run})")

    async def close(self) -> None:
        """Remove all that `open` made, by label. Idempotent; reports what could not be removed, and does not raise."""
        self._stop.set()
        self._cluster.close()
        # A thread that makes a container can't be interrupted; what it makes now would stay behind.
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        client, self._client = self._client, None
        if client is None:
            return
        try:
            _, failed = await asyncio.to_thread(leftovers.remove, client, self.run)
        except (EnvironmentFailure, DockerException, OSError) as error:
            failed = [str(error)]
        for said in failed:
            self._progress(f"warning: not removed: {said}; `splitbrain clean` tries again")

    async def lost(self) -> str:
        """What was taken away from the containers, or that the engine does not say; empty if nothing was."""
        client = self._client
        if client is None:
            return ""

        async def seen(place: Place) -> str | None:
            return await self._call(lambda: look(client, place))

        places = list(self._places.values())
        try:
            found = await asyncio.gather(*(seen(place) for place in places))
        except EnvironmentFailure as failure:
            return str(failure)
        # What the run itself has taken down meanwhile, it did not lose.
        standing = set(self._places.values())
        losses = [(place.node, loss) for place, loss in zip(places, found, strict=True) if loss and place in standing]
        for node, _ in losses:
            if node in self.machines:
                self.machines[node].close()
        return "; ".join(loss for _, loss in losses)

    async def watch(self) -> str:
        while not (loss := await self.lost()):
            await asyncio.sleep(LOOK_INTERVAL_S)
        return loss

    async def endpoint(self, receive: OnDatagram) -> UdpEndpoint:
        """A socket on this machine's side of the run's network: there, links of `CLIENTS` begin and end."""
        if not self._gateway:
            raise EnvironmentFailure("the containers are not up; call open first")
        return UdpEndpoint(receive, self._gateway)

    async def _call(self, work: Callable[[], T]) -> T:
        """Do blocking work with the engine, on a thread that `close` waits for."""
        if self._stop.is_set():
            raise EnvironmentFailure("the environment is closed; make a new one")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _composed(self, client: DockerClient, image: str, turn: asyncio.Lock) -> list[ComposedMachine]:
        """A machine for each node of the compose project."""
        project = await self._call(lambda: find_project(client, self._compose or ""))
        if set(project.containers) != set(self._nodes):
            there = ", ".join(project.containers)
            raise EnvironmentFailure(f"the nodes of {project.name} are {there} by now; run it again")
        await self._call(lambda: refuse_attached(client, project.containers))
        self._gateway = project.gateway
        if project.left_out:
            self._progress(f"{', '.join(project.left_out)} of {project.name} do not run, and are left out")

        async def engine(work: Callable[[DockerClient], T]) -> T:
            return await self._call(lambda: work(client))

        async def rejoin(node: str) -> None:
            # Nodes that are attached before there is a network have no rules to get back.
            if self._cluster.joined:
                await self._cluster.network.rejoin(node)

        nodes = ComposedNodes(
            project,
            image,
            self._user,
            self.run,
            self._places,
            engine=engine,
            log_in=self._logged_in,
            turn=turn,
            rejoin=rejoin,
        )
        machines = await asyncio.gather(*(nodes.machine(node) for node in self._nodes))
        if nodes.policies:
            aside = ", ".join(f"{node} ({policy})" for node, policy in sorted(nodes.policies.items()))
            self._progress(f"restart policies are set aside until the end of the run: {aside}")
        return [*machines]

    def _make_network(self, client: DockerClient) -> DockerNetwork:
        with refusals("make a network for the run"):
            network = client.networks.create(
                f"splitbrain-{self.run}", driver="bridge", internal=True, labels=leftovers.labels(self.run)
            )
            network.reload()
        self._gateway = network.attrs["IPAM"]["Config"][0]["Gateway"]
        return network

    async def _make_disks(self, client: DockerClient, image: str) -> None:
        """Give each node a disk of its own. Where that can't be, the run goes on without power cuts."""
        disks = LoopDisks(client, self.run, STATE)
        try:
            await self._call(lambda: disks.open(image, self._nodes, self._image.disk_mib))
            self._disks = disks
        except EnvironmentFailure as failure:
            self._progress(f"no power cuts here: {failure}")

    async def _cut(self, node: str, data: str | None, kill: Callable[[], Awaitable[None]]) -> PowerCut:
        disks = self._disks
        assert disks is not None
        folder = disks.folder(node, data)
        await kill()
        return await self._call(lambda: disks.cut(node, folder))

    async def _machine(self, client: DockerClient, node: str, image: str, network: DockerNetwork) -> SshMachine:
        """A container that answers over SSH, itself or by its sidecar."""
        host_key = KeyPair.generate()
        keys = sidecar.keys_of(host_key, self._user)
        container = await self._call(lambda: self._start(client, node, image, network, keys))
        place = self._places[node] = Place.of(node, container, str(network.name))
        port, root = 22, LOGIN
        if self._stock is not None:
            container = await self._call(lambda: self._beside(client, container, image, keys))
            self._places[f"{node}'s sidecar"] = Place.of(node, container)
            port, root = sidecar.PORT, sidecar.root_with(self._stock.variables)
        key = paramiko.Ed25519Key.from_private_key(io.StringIO(self._user.private.decode()))
        connection = await self._logged_in(node, container, Login(place.address, key, host_key.public, port=port))
        machine = SshMachine(node, connection, root=root)
        if self._disks is not None:
            machine.disk = partial(self._cut, node)
        return machine

    async def _logged_in(self, node: str, container: Container, login: Login) -> SshConnection:
        """A connection to the container whose sshd lets one in to the node."""
        connection = SshConnection(node, login)
        self._cluster.connections.append(connection)
        try:
            await connection.connect(SSH_DEADLINE_S)
        except EnvironmentFailure as failure:
            said = await self._call(lambda: _log_tail(container))
            raise EnvironmentFailure(f"{failure}; the end of its log: {said}") from failure
        return connection

    def _start(self, client: DockerClient, node: str, image: str, network: DockerNetwork, keys: bytes) -> Container:
        name = f"splitbrain-{self.run}-{node}"
        marks = leftovers.labels(self.run)
        # An init process reaps what a kill -9 leaves; a zombie would look alive.
        inside: dict[str, Any] = {"image": image, "init": True, "cap_add": list(sidecar.CAPABILITIES)}
        if self._stock is not None:
            inside = {"image": self._stock.tag, **_IDLE}
        with refusals(f"start a container for {node}"):
            if self._disks is None:
                client.volumes.create(name, labels=marks)
            container = client.containers.create(
                name=name,
                hostname=node,
                labels=marks,
                network=network.name,
                volumes={name: {"bind": STATE, "mode": "rw"}},
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                shm_size=SHARED_MEMORY,
                pids_limit=PIDS_MOST,
                mem_limit=MEMORY_MOST,
                **inside,
            )
            if self._stock is None:
                container.put_archive("/", keys)
            container.start()
            container.reload()
        return container

    def _beside(self, client: DockerClient, node: Container, image: str, keys: bytes) -> Container:
        with refusals(f"start a sidecar for {node.name}"):
            container = sidecar.create(
                client, node, image, f"{node.name}-sidecar", leftovers.labels(self.run), keys, processes=True
            )
            container.start()
            container.reload()
        return container


def _sweep(client: DockerClient, progress: Progress) -> None:
    """Remove what dead runs have left, since subnets are few. The run goes on if something stays."""
    try:
        leftovers.remove_leftovers(progress, client=client)
    except EnvironmentFailure as failure:
        progress(f"warning: {failure}")


def _log_tail(container: Container) -> str:
    said = b""
    try:
        # Piece by piece: a line may have no end.
        for piece in container.logs(tail=15, stream=True, follow=False):
            said += piece
            if len(said) > LOG_TAIL_BYTES:
                break
    except DockerException as error:
        return f"(can't be read: {error})"
    return " | ".join(excerpt(said).split("\n")).strip(" |") or "(empty)"
