"""The environment `processes`: every node a process of this machine, every message carried by the harness.

1. Nodes read and write messages as lines (`envelopes`). The network between them is the simulated one in real time:
   the same cuts, the same degraded links, the same observation by probes.
2. Clients are hosts c1, c2 and so on. Between them and nodes nothing is lost or delayed, unless a fault does it.
3. A system may have hosts of its own besides nodes. Faults don't touch them; their links are like those of nodes.
4. A node that writes what is no message, or in another's name, has left the harness blind: the run ends there.
5. Every message is logged (`message_log`) where the run is recorded.
6. Nothing is left behind, even if the harness is killed (`keeper`).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from splitbrain.harness.environment import (
    CLIENTS,
    Address,
    EnvironmentFailure,
    OnDatagram,
    Progress,
)
from splitbrain.harness.processes import keeper
from splitbrain.harness.processes.envelopes import Envelope, Malformed, line_of, packed, read, unpacked
from splitbrain.harness.processes.message_log import NAME, MessageLog
from splitbrain.harness.processes.process_machine import LINE_LIMIT, ProcessMachine
from splitbrain.harness.simulation import LinkConditions
from splitbrain.harness.simulation.network import SimulatedEndpoint, SimulatedNetwork
from splitbrain.harness.system import USER

PORT = 0
AT_ONCE = LinkConditions(delay_s=(0.0, 0.0))
LEAST_DELAY_S = 0.000_1
"""An observation waits for the slowest probe, so it must take some time."""


@runtime_checkable
class Talking(Protocol):
    """A system whose nodes are processes that talk through the harness.

    links: what the links between its nodes do to messages anyway. hosts: the names of its hosts besides nodes.
    """

    @property
    def links(self) -> LinkConditions: ...

    @property
    def hosts(self) -> Collection[str]: ...

    def astray(self, environment: ProcessesEnvironment, message: Envelope) -> None:
        """A node sent this to a host that there never was."""


class RealDeliveries:
    """Real time for the network."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.time = loop.time

    def deliver(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        self._loop.call_later(delay_s, callback, *args)


class ProcessesEnvironment:
    """Implements `environment.Environment`.

    nodes: names. system: what is tested there. seed: of what the network draws.
    """

    name = "processes"
    abilities = frozenset({"cut", "cut-clients", "degrade", "kill", "terminate", "pause", "wipe"})

    def __init__(self, nodes: Sequence[str], system: Talking, *, seed: int) -> None:
        self.members = list(nodes)
        self._system = system
        self._seed = seed
        self._machines: dict[str, ProcessMachine] = {}
        self._network: SimulatedNetwork | None = None
        self._folder: Path | None = None
        self._record: Path | None = None
        self._log = MessageLog(None)
        self._numbers = count(1)
        self._clients = count(1)
        self._opened_at = 0.0
        self._bound: set[str] = set()
        self._blind: asyncio.Future[str] | None = None
        self._keeper: asyncio.subprocess.Process | None = None

    @property
    def machines(self) -> Mapping[str, ProcessMachine]:
        return self._machines

    @property
    def network(self) -> SimulatedNetwork:
        if self._network is None:
            raise EnvironmentFailure("the network is not open; call `open` first")
        return self._network

    def record(self, folder: Path) -> None:
        """Keep the message log in this folder; to be called before `open`."""
        self._record = folder / NAME

    async def open(self, progress: Progress) -> None:
        """Make network and machines; no process is started yet. Raises EnvironmentFailure."""
        loop = asyncio.get_running_loop()
        self._opened_at = loop.time()
        self._blind = loop.create_future()
        links = self._system.links
        slowest_s = max(links.delay_s[1], LEAST_DELAY_S)
        self._network = network = SimulatedNetwork(
            RealDeliveries(loop),
            self.members,
            seed=self._seed,
            conditions=LinkConditions(links.loss, links.duplication, (links.delay_s[0], slowest_s)),
            apart=self._system.hosts,
            largest=LINE_LIMIT,
        )
        network.set_conditions([link for node in self.members for link in ((CLIENTS, node), (node, CLIENTS))], AT_ONCE)
        try:
            self._log = MessageLog(self._record)
            self._folder = Path(tempfile.mkdtemp(prefix="splitbrain-"))
            self._keeper = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", keeper.__file__, str(self._folder)),
                stdin=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as problem:
            text = f"can't prepare processes here ({problem}); see that there is room for files and processes"
            raise EnvironmentFailure(text) from None
        for node in self.members:
            self._machines[node] = ProcessMachine(
                node, self._folder / node, self._hears(node), self._fails(node), self._watches
            )
            network.bind((node, PORT), self._to_node(node))
            self._bound.add(node)
        progress(f"{len(self.members)} nodes as processes of this machine")

    async def close(self) -> None:
        await asyncio.gather(*(machine.close() for machine in self._machines.values()))
        self._log.close()
        if self._keeper is not None:
            if self._keeper.stdin is not None:
                self._keeper.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await self._keeper.wait()
            self._keeper = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def lost(self) -> str:
        return self._blind.result() if self._blind is not None and self._blind.done() else ""

    async def watch(self) -> str:
        assert self._blind is not None
        return await asyncio.shield(self._blind)

    def blinded(self, reason: str) -> None:
        """End the run: from here on what the nodes do can't be understood. reason: a sentence, with the remedy."""
        if self._blind is not None and not self._blind.done():
            self._blind.set_result(reason)

    async def endpoint(self, receive: OnDatagram) -> HostEndpoint:
        """A client's place on the network; what it sends and receives are bodies."""
        name = f"c{next(self._clients)}"
        self._note("client", name=name, user=USER.get())
        return self.host(name, receive)

    def host(self, name: str, receive: OnDatagram) -> HostEndpoint:
        """The place of a host of the system's own, or of a client. Raises OSError if it is taken."""
        self._bound.add(name)
        return HostEndpoint(self, name, self.network.bind((name, PORT), self._to_host(receive)))

    def send(self, src: str, dest: str, body: bytes) -> bool:
        """Put a message on the network. Returns whether there is a host of that name, or was one."""
        number = next(self._numbers)
        cut = {"cut": True} if self.network.cuts((src, dest)) else {}
        self._note("send", id=number, src=src, dest=dest, body=msgspec.Raw(body), **cut)
        self.network.send((src, PORT), packed(number, body), (dest, PORT))
        return dest in self._bound

    def _hears(self, node: str) -> Callable[[bytes], None]:
        """What takes a node's lines."""

        def hear(line: bytes) -> None:
            try:
                message = read(line)
            except Malformed as problem:
                self.blinded(f"{node} {problem}")
                return
            if message.src != node:
                self.blinded(f"{node} wrote a message from {message.src!r}; a node sends in its own name")
            elif not self.send(node, message.dest, bytes(message.body)):
                self._system.astray(self, message)

        return hear

    def _fails(self, node: str) -> Callable[[str], None]:
        return lambda what: self.blinded(f"{node} {what}")

    def _to_node(self, node: str) -> OnDatagram:
        """What takes messages to a node."""
        machine = self._machines[node]

        def hand_over(number: int, body: bytes, source: str) -> bool:
            heard = machine.listening or source in self._system.hosts
            return heard and machine.tell(line_of(Envelope(source, node, msgspec.Raw(body), number)))

        return self._opened(hand_over)

    def _to_host(self, receive: OnDatagram) -> OnDatagram:
        def hand_over(number: int, body: bytes, source: str) -> bool:
            receive(body, (source, PORT))
            return True

        return self._opened(hand_over)

    def _opened(self, hand_over: Callable[[int, bytes, str], bool]) -> OnDatagram:
        """Takes what comes from the network. hand_over: takes a whole message, returns whether somebody reads it."""

        def receive(datagram: bytes, source: Address) -> None:
            message = unpacked(datagram)
            if message is None:
                self._note("damaged", src=source[0])
                return
            number, body = message
            at = self._now
            self._note("receive" if hand_over(number, body, source[0]) else "unread", at, id=number)

        return receive

    def _watches(self, group: int) -> None:
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.write(f"{group}\n".encode())

    @property
    def _now(self) -> float:
        """Seconds since it was opened."""
        return asyncio.get_running_loop().time() - self._opened_at

    def _note(self, event: str, at: float | None = None, **more: Any) -> None:
        self._log.note(self._now if at is None else at, event, **more)


class HostEndpoint:
    """A place on the network. Implements `environment.Endpoint`; a datagram is a message's body."""

    def __init__(self, environment: ProcessesEnvironment, name: str, endpoint: SimulatedEndpoint) -> None:
        self.name = name
        self._environment = environment
        self._endpoint = endpoint

    def send(self, datagram: bytes, to: Address) -> None:
        self._environment.send(self.name, to[0], datagram)

    def close(self) -> None:
        self._endpoint.close()
