"""Nodes in containers of this machine's Docker engine.

1. Once its sshd answers, a node is a host like any other: everything goes over SSH.
2. A run has an internal network of its own, so that nothing inside reaches out, a volume for each node, and its own
   keys. A node's host key is made here and put into its container before the start, so it is pinned from the first
   contact.
3. Everything is labelled with the run and its owner, and `close` removes by label. So it also removes what an
   interrupted `open` made after the interrupt.
4. The engine is asked every second whether everything is still there (`watch`). The connection to a node that lost
   something is closed at once, or commands would wait for it.
5. A cleaning that failed is reported, and never ends the run.
6. `abilities` are those of containers as such until `open`; then those of this kernel too; once programs were started,
   those that reach every one of them.
"""

from __future__ import annotations

import asyncio
import io
import secrets
import tarfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import paramiko
from docker.client import DockerClient
from docker.errors import DockerException
from docker.models.containers import Container
from docker.models.networks import Network as DockerNetwork

from splitbrain.harness.environment import EnvironmentFailure, Network, OnDatagram, Progress
from splitbrain.harness.hosts import leftovers
from splitbrain.harness.hosts.endpoint import UdpEndpoint
from splitbrain.harness.hosts.engine import connect, refusals
from splitbrain.harness.hosts.iptables import IptablesNetwork
from splitbrain.harness.hosts.ssh import KeyPair, Login, SshConnection, excerpt
from splitbrain.harness.hosts.ssh_machine import SshMachine
from splitbrain.harness.hosts.watch import Place, look
from splitbrain.harness.system import NodeImage

T = TypeVar("T")

STATE = "/var/lib/splitbrain"
# NET_ADMIN is for partitions and packet queues, NET_RAW for duplicates of packets. sshd needs the other three for its
# privilege separation: its unprivileged part runs in an empty folder, as another user.
CAPABILITIES = ("NET_ADMIN", "NET_RAW", "SYS_CHROOT", "SETUID", "SETGID")
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
ABILITIES = frozenset({"cut", "cut-clients", "degrade", "kill", "terminate", "pause", "wipe", "flip-bit", "spares"})
PRELOADED = frozenset({"clock", "power-cut", "torn-write", "full-disk", "failing-disk", "stalled-disk"})
"""What a shim in the program does."""


class DockerEnvironment:
    """An `environment.Environment` of containers.

    nodes: their names; letters, digits and dashes. image: what they are made of; by default only what the harness
    itself needs there. spares: names of containers in which nothing runs at first. seed: of what is drawn for degraded
    links.
    """

    name = "docker"

    def __init__(
        self, nodes: Sequence[str], image: NodeImage = BARE, spares: Sequence[str] = (), *, seed: int = 0
    ) -> None:
        self.run = secrets.token_hex(4)
        self.members = list(nodes)
        self._image = image
        self._seed = seed
        self._nodes = (*nodes, *spares)
        self._progress: Progress = lambda line: None
        self._client: DockerClient | None = None
        self._machines: dict[str, SshMachine] = {}
        self._places: dict[str, Place] = {}
        self._network: IptablesNetwork | None = None
        self._gateway = ""
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="docker")
        self._connections: list[SshConnection] = []
        self._user = KeyPair.generate()

    @property
    def abilities(self) -> frozenset[str]:
        reached = all(machine.preload.possible for machine in self._machines.values())
        queued = self._network is None or not self._network.obstacle
        return (ABILITIES if queued else ABILITIES - {"degrade"}) | (PRELOADED if reached else frozenset())

    @property
    def machines(self) -> Mapping[str, SshMachine]:
        return self._machines

    @property
    def network(self) -> Network:
        if self._network is None:
            raise EnvironmentFailure("the containers are not up; call open first")
        return self._network

    async def open(self, progress: Progress) -> None:
        """Build the image if it is missing, then start the containers and log in to them.

        Raises EnvironmentFailure: no engine, no permission, no image, or a node that does not come up, by name.
        """
        self._progress = progress
        client = self._client = await self._call(connect)
        await self._call(lambda: _sweep(client, progress))
        # Late, or `python -m image` would find itself imported already by its own package.
        from splitbrain.harness.hosts.image import ensure_image

        image = await self._call(lambda: ensure_image(client, self._image, progress, self._stop))
        started = time.monotonic()
        network = await self._call(lambda: self._make_network(client))
        machines = await asyncio.gather(*(self._machine(client, node, image, network) for node in self._nodes))
        self._machines = {machine.name: machine for machine in machines}
        self._network = IptablesNetwork(self._machines, self.run, self._seed)
        without = await self._network.open()
        if self._network.obstacle:
            progress(f"no link can be degraded here: {self._network.obstacle}")
        if without:
            progress(f"no IPv6 on {', '.join(without)}: there is none to cut")
        progress(f"{len(machines)} containers are up after {time.monotonic() - started:.1f} s (run {self.run})")

    async def close(self) -> None:
        """Remove all that `open` made, by label. Idempotent; reports what could not be removed, and does not raise."""
        self._stop.set()
        if self._network is not None:
            self._network.close()
        for connection in self._connections:
            connection.close()
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

        try:
            found = await asyncio.gather(*(seen(place) for place in self._places.values()))
        except EnvironmentFailure as failure:
            return str(failure)
        for place, loss in zip(self._places.values(), found, strict=True):
            if loss is not None and place.node in self._machines:
                self._machines[place.node].close()
        return "; ".join(loss for loss in found if loss is not None)

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

    def _make_network(self, client: DockerClient) -> DockerNetwork:
        with refusals("make a network for the run"):
            network = client.networks.create(
                f"splitbrain-{self.run}", driver="bridge", internal=True, labels=leftovers.labels(self.run)
            )
            network.reload()
        self._gateway = network.attrs["IPAM"]["Config"][0]["Gateway"]
        return network

    async def _machine(self, client: DockerClient, node: str, image: str, network: DockerNetwork) -> SshMachine:
        """A container that answers over SSH."""
        host_key = KeyPair.generate()
        container = await self._call(lambda: self._start(client, node, image, network, host_key))
        place = self._places[node] = Place.of(node, container, str(network.name))
        key = paramiko.Ed25519Key.from_private_key(io.StringIO(self._user.private.decode()))
        connection = SshConnection(node, Login(place.address, key, host_key.public))
        self._connections.append(connection)
        try:
            await connection.connect(SSH_DEADLINE_S)
        except EnvironmentFailure as failure:
            said = await self._call(lambda: _log_tail(container))
            raise EnvironmentFailure(f"{failure}; the end of its log: {said}") from failure
        return SshMachine(node, connection)

    def _start(
        self, client: DockerClient, node: str, image: str, network: DockerNetwork, host_key: KeyPair
    ) -> Container:
        name = f"splitbrain-{self.run}-{node}"
        marks = leftovers.labels(self.run)
        with refusals(f"start a container for {node}"):
            client.volumes.create(name, labels=marks)
            container = client.containers.create(
                image,
                name=name,
                hostname=node,
                labels=marks,
                network=network.name,
                volumes={name: {"bind": STATE, "mode": "rw"}},
                cap_drop=["ALL"],
                cap_add=list(CAPABILITIES),
                security_opt=["no-new-privileges"],
                shm_size=SHARED_MEMORY,
                pids_limit=PIDS_MOST,
                mem_limit=MEMORY_MOST,
                # An init process reaps what a kill -9 leaves; a zombie would look alive.
                init=True,
            )
            container.put_archive("/", _keys(host_key, self._user))
            container.start()
            container.reload()
        return container


def _sweep(client: DockerClient, progress: Progress) -> None:
    """Remove what dead runs have left, since subnets are few. The run goes on if something stays."""
    try:
        leftovers.remove_leftovers(progress, client=client)
    except EnvironmentFailure as failure:
        progress(f"warning: {failure}")


def _keys(host: KeyPair, user: KeyPair) -> bytes:
    """The files that let the run, and only the run, into a container, as a tar."""
    files = {
        "etc/ssh/ssh_host_ed25519_key": host.private,
        "root/.ssh/authorized_keys": user.public.encode() + b"\n",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = 0o600
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


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
