"""A simulated cluster that is steered by hand: nodes and clients without I/O, in virtual time.

1. It runs any `SansIoNode`: bytes, moments and "it is durable" go in, actions come out. The cluster carries them out.
2. Same seed, same run: every delay, loss and duplicate comes from one seeded generator.
3. At one moment, what was scheduled comes before nodes that wake, and those come before clients that wake.
4. A disk carries out commits in order. What it has not carried out yet is lost in a crash (`keep`: but for the first
   few), and a node that starts again knows nothing but its disk.

Tests and benchmarks use it to set up one situation exactly. A whole run, with faults drawn from a seed and an asyncio
loop, has its nodes on a `SimulatedMachine` instead.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Generic, Protocol, TypeVar

from splitbrain.harness.environment import Address
from splitbrain.harness.simulation.simulated_machine import EPOCH_NS

START_S = 1000.0
AT_ONCE = (0.0, 0.0)


class SansIoClient(Protocol):
    """What sends requests. Every call gives actions, of which only sends are known."""

    def receive(self, datagram: bytes, source: Address, now: Any) -> list[Any]: ...
    def wake(self, now: Any) -> list[Any]: ...
    @property
    def next_wake(self) -> float | None:
        """When to call `wake` next (monotonic seconds)."""


class SansIoNode(SansIoClient, Protocol):
    """A node as a state machine. Its moments and actions are its own: see `Kind`."""

    def start(self, now: Any) -> list[Any]: ...
    def persisted(self, ticket: int, now: Any) -> list[Any]: ...


class Persist(Protocol):
    """Records to be made durable as a whole; the node is told so under the ticket."""

    @property
    def records(self) -> Sequence[Any]: ...
    @property
    def ticket(self) -> int: ...


class Engine(Protocol):
    """What keeps a node's durable records."""

    def commit(self, records: Any, /) -> None: ...


class Shell(Protocol):
    """What a node's actions can ask for."""

    def send(self, to: Address, datagram: bytes) -> None: ...
    def persist(self, persist: Any) -> None: ...
    def note(self, text: str) -> None: ...
    def halt(self, text: str) -> None: ...


@dataclass(frozen=True)
class Kind:
    """What is special to one kind of node.

    instant: makes a moment, from monotonic seconds and the calendar clock's nanoseconds. perform: does one action.
    """

    instant: Callable[[float, int], Any]
    perform: Callable[[Any, Shell], None]


N = TypeVar("N", bound=SansIoNode)
E = TypeVar("E", bound=Engine)


@dataclass
class Host(Generic[N, E]):
    """A machine: a disk, and the node that runs on it, if one does.

    number: the machines before it. pending: commits under way. held: the disk carries out nothing, for now.
    persists: commits asked for so far. due: when the node is to be woken. paused: the node while it is.
    """

    cluster: SimulatedCluster[N, E]
    name: str
    number: int
    address: Address
    engine: E
    node: N | None = None
    starts: int = 0
    pending: list[Persist] = field(default_factory=list)
    last_sync: float = 0.0
    persists: int = 0
    held: bool = False
    clock_ahead_s: float = 0.0
    log: list[str] = field(default_factory=list)
    due: float | None = None
    paused: N | None = None

    def send(self, to: Address, datagram: bytes) -> None:
        """The node sends a datagram."""
        self.cluster.transmit(self.name, self.address, to, datagram)

    def persist(self, persist: Any) -> None:
        """The node wants records to be durable."""
        self.pending.append(persist)
        self.persists += 1
        if not self.held:
            self.cluster.sync(self, persist)
        self.cluster.on_persist(self, persist)

    def note(self, text: str) -> None:
        """The node writes to its log."""
        self.log.append(text)

    def halt(self, text: str) -> None:
        """The node ends its process."""
        self.log.append(text)
        self.cluster.crash(self.name)


@dataclass(frozen=True)
class _Client:
    """The shell of a client, which can only send."""

    cluster: SimulatedCluster[Any, Any]
    address: Address

    def send(self, to: Address, datagram: bytes) -> None:
        self.cluster.transmit("client", self.address, to, datagram)

    def persist(self, persist: Any) -> None:
        raise AssertionError("a client keeps nothing")

    def note(self, text: str) -> None:
        raise AssertionError("a client has no log")

    def halt(self, text: str) -> None:
        raise AssertionError("a client is no process")


class SimulatedCluster(Generic[N, E]):
    """Hosts, links between them, and clients.

    loss, duplicate: shares of datagrams. delay_s, sync_s: ranges, of a datagram's way and of a commit.
    now: monotonic seconds. datagrams: how many were sent. owner: who has an address, by name.
    wiretap: given source, target and datagram, whether the network carries it.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        seed: int,
        loss: float = 0.0,
        duplicate: float = 0.0,
        delay_s: tuple[float, float] = (0.0005, 0.002),
        sync_s: tuple[float, float] = AT_ONCE,
    ) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.loss, self.duplicate, self.delay_s, self.sync_s = loss, duplicate, delay_s, sync_s
        self.now = START_S
        self.datagrams = 0
        self.hosts: dict[str, Host[N, E]] = {}
        self.owner: dict[Address, str] = {}
        self.clients: dict[Address, SansIoClient] = {}
        self.cuts: set[tuple[str, str]] = set()
        self.wiretap: Callable[[str, str, bytes], bool] = lambda source, target, datagram: True
        self.on_persist: Callable[[Host[N, E], Any], None] = lambda host, persist: None
        self.on_commit: Callable[[Any], None] = lambda persist: None
        self._kind = kind
        self._order = count()
        # When, whether a node wakes (rule 3), which one, a number of its own, what to do; and of a wake, whose it is.
        self._events: list[tuple[float, int, int, int, Callable[[], None], Host[N, E] | None]] = []

    # Time

    def run_for(self, seconds: float) -> None:
        """Let that much time pass."""
        self._run(self.now + seconds, lambda: False)

    def run_until(self, condition: Callable[[], bool], limit_s: float = 30.0) -> None:
        """Until it is true; fails after `limit_s`."""
        self._run(self.now + limit_s, condition)
        assert condition(), f"not within {limit_s} s of virtual time (seed {self.seed})"

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Do something at that moment."""
        heapq.heappush(self._events, (moment, 0, 0, next(self._order), event, None))

    def instant(self, host: Host[N, E] | None = None) -> Any:
        """Now, by that host's clocks."""
        ahead_s = 0.0 if host is None else host.clock_ahead_s
        return self._kind.instant(self.now, round((EPOCH_NS // 10**9 + self.now + ahead_s) * 1e9))

    def _run(self, until: float, condition: Callable[[], bool]) -> None:
        while not condition():
            due, event = self._next()
            if due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            event()

    def _next(self) -> tuple[float, Callable[[], None]]:
        while self._events and self._is_replaced(self._events[0][0], self._events[0][5]):
            heapq.heappop(self._events)
        due, event = (self._events[0][0], self._pop) if self._events else (float("inf"), self._pop)
        for address, client in self.clients.items():
            wake = client.next_wake
            if wake is not None and wake < due:
                due, event = wake, partial(self._wake_client, address)
        return due, event

    def _is_replaced(self, due: float, host: Host[N, E] | None) -> bool:
        """Whether the host's node is to be woken at another time by now."""
        return host is not None and host.due != due

    def _pop(self) -> None:
        _, _, _, _, event, host = heapq.heappop(self._events)
        if host is not None:
            host.due = None
        event()

    # Machines

    def place(self, name: str, address: Address, engine: E) -> Host[N, E]:
        """A new machine, on which nothing runs yet."""
        host = self.hosts[name] = Host(self, name, len(self.hosts), address, engine)
        self.owner[address] = name
        return host

    def launch(self, name: str, node: N) -> None:
        """Start the node there."""
        host = self.hosts[name]
        assert host.node is None
        host.node = node
        self.do(host, node.start(self.instant(host)))

    @property
    def running(self) -> list[str]:
        """The names of the hosts on which a node runs."""
        return [name for name, host in self.hosts.items() if host.node is not None]

    def crash(self, name: str, keep: int = 0) -> None:
        """The node's process dies; of the commits under way the first `keep` are durable."""
        host = self.hosts[name]
        host.node = host.due = host.paused = None
        kept, host.pending = host.pending[:keep], []
        for persist in kept:
            self.commit(host, persist)

    def pause(self, name: str) -> None:
        """The node's process stands still: it keeps its memory, and what is sent to it is lost."""
        host = self.hosts[name]
        host.paused, host.node, host.due = host.node, None, None

    def resume(self, name: str) -> None:
        """The process goes on, and finds that it is late."""
        host = self.hosts[name]
        host.node, host.paused = host.paused, None
        for persist in host.pending if not host.held else ():
            self.sync(host, persist)
        self._arm(host)

    def hold(self, name: str) -> None:
        """The disk stalls: no commit ends before `release`."""
        self.hosts[name].held = True

    def release(self, name: str) -> None:
        """The disk goes on."""
        host = self.hosts[name]
        host.held = False
        for persist in list(host.pending):
            self.sync(host, persist)

    def commit(self, host: Host[N, E], persist: Any) -> None:
        """Make the records durable, without telling the node."""
        host.engine.commit(persist.records)
        self.on_commit(persist)

    def do(self, host: Host[N, E], actions: list[Any]) -> None:
        """Carry out what the host's node asks for."""
        node = host.node
        for action in actions:
            if host.node is not node or node is None:
                return  # It crashed meanwhile.
            self._kind.perform(action, host)
        self._arm(host)

    def _arm(self, host: Host[N, E]) -> None:
        due = None if host.node is None else host.node.next_wake
        if due is not None and due != host.due:
            host.due = due
            wake: Callable[[], None] = partial(self._wake, host)
            heapq.heappush(self._events, (due, 1, host.number, next(self._order), wake, host))

    def _wake(self, host: Host[N, E]) -> None:
        assert host.node is not None
        self.do(host, host.node.wake(self.instant(host)))

    def sync(self, host: Host[N, E], persist: Persist) -> None:
        """The host's disk begins to carry out a commit."""
        due = max(host.last_sync, self.now + self.rng.uniform(*self.sync_s))
        host.last_sync = due
        node = host.node

        def synced() -> None:
            if host.node is not node or node is None or persist not in host.pending:
                return
            host.pending.remove(persist)
            self.commit(host, persist)
            self.do(host, node.persisted(persist.ticket, self.instant(host)))

        self.at(due, synced)

    # Network

    def cut(self, one: str, other: str, *, both: bool = True) -> None:
        """Nothing gets from one to the other (a node or "client")."""
        self.cuts.add((one, other))
        if both:
            self.cuts.add((other, one))

    def isolate(self, *group: str) -> None:
        """Cut the group of nodes off from the other nodes; clients reach everyone."""
        for one in group:
            for other in self.hosts:
                if other not in group:
                    self.cut(one, other)

    def heal(self) -> None:
        """Remove every cut."""
        self.cuts.clear()

    def transmit(self, source: str, source_address: Address, to: Address, datagram: bytes) -> None:
        """A host or a client sends a datagram."""
        target = self.owner.get(to, "client")
        if not self.wiretap(source, target, datagram) or (source, target) in self.cuts:
            return
        copies = 0 if self.rng.random() < self.loss else 1 + (self.rng.random() < self.duplicate)
        for _ in range(copies):
            self.inject(to, datagram, source_address, self.rng.uniform(*self.delay_s))

    def inject(self, to: Address, datagram: bytes, source: Address, delay_s: float = 0.0) -> None:
        """A datagram arrives, from wherever."""
        self.datagrams += 1
        self.at(self.now + delay_s, partial(self._arrive, to, datagram, source))

    def _arrive(self, to: Address, datagram: bytes, source: Address) -> None:
        if to in self.clients:
            self.send_all(to, self.clients[to].receive(datagram, source, self.instant()))
            return
        host = self.hosts.get(self.owner.get(to, ""))
        if host is not None and host.node is not None:
            self.do(host, host.node.receive(datagram, source, self.instant(host)))

    # Clients

    def send_all(self, address: Address, actions: list[Any]) -> None:
        """Carry out what the client at that address asks for; one that nobody attached gets no answers."""
        client = _Client(self, address)
        for action in actions:
            self._kind.perform(action, client)

    def _wake_client(self, address: Address) -> None:
        self.send_all(address, self.clients[address].wake(self.instant()))
