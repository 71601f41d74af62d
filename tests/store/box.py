"""A cluster in a box: nodes and clients in one process, with virtual time, a network and disks that misbehave on demand.

1. Same seed, same run: time is virtual, and every delay, loss and duplicate comes from one seeded generator.
2. A disk carries out commits in order. What it has not carried out yet is lost in a crash (`keep`: but for the first
   few), and a node that starts again knows nothing but its disk.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import msgspec

from splitbrain.store.actions import Action, Address, Instant, Note, Persist, Record, Send
from splitbrain.store.client_core import ClientCore
from splitbrain.store.config import Config, Member
from splitbrain.store.membership.membership import Membership
from splitbrain.store.node import Node
from splitbrain.store.ring.ring import Ring
from splitbrain.store.storage.engine import MemoryEngine
from splitbrain.store.storage.replica import DATA, HINTS, Entry, place
from splitbrain.store.versions.dotted import EMPTY, Version, VersionSet, siblings
from splitbrain.store.wire.client_messages import Changed, ClientRequest, Failed, Get, Join, Leave, Put, Stored, Values
from splitbrain.store.wire.messages import Reply

SECRET = bytes(range(32))
CLUSTER = "box"
START_S = 1000.0
SETTLED_S = 11.0
"""Nodes refuse retried puts for ten seconds after their start; most tests begin later than that."""

_entry = msgspec.msgpack.Decoder(Entry)


@dataclass
class Call:
    """A request under way. reply: the answer, or None: not yet, or (`done`) none came."""

    reply: Reply | None = None
    done: bool = False

    def __call__(self, reply: Reply | None) -> None:
        assert not self.done, "answered twice"
        self.reply, self.done = reply, True

    @property
    def ok(self) -> bool:
        return isinstance(self.reply, Stored | Values | Changed)

    @property
    def error(self) -> str:
        """The code of the failure; a request that nobody answered is a timeout."""
        if self.reply is None:
            assert self.done
            return "timeout"
        assert isinstance(self.reply, Failed), self.reply
        return self.reply.code

    @property
    def message(self) -> str:
        """Of the failure."""
        assert isinstance(self.reply, Failed), self.reply
        return self.reply.message

    @property
    def values(self) -> list[bytes]:
        assert isinstance(self.reply, Values), self.reply
        return sorted(self.reply.values)

    @property
    def context(self) -> bytes:
        assert isinstance(self.reply, Values | Stored), self.reply
        return self.reply.context


@dataclass
class Host:
    """A machine: a disk, and the node that runs on it, if one does."""

    name: str
    address: Address
    members: tuple[Member, ...] = ()
    """Of the beginning, as its command line gives them; none: it is to join."""
    seeds: tuple[Address, ...] = ()
    config: Config = field(default_factory=Config)
    called: str = ""
    """The name that the node is started with, if that is not the machine's."""
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    node: Node | None = None
    starts: int = 0
    pending: list[Persist] = field(default_factory=list)
    last_sync: float = 0.0
    persists: int = 0
    held: bool = False
    """The disk carries out nothing, for now."""
    clock_ahead_s: float = 0.0
    log: list[str] = field(default_factory=list)


class Box:
    """The cluster: `nodes` nodes n1, n2, ..., and clients made by `client`.

    loss, duplicate: shares of datagrams. delay_s, sync_s: ranges, of a datagram's way and of a commit.
    """

    def __init__(
        self,
        nodes: int = 5,
        *,
        seed: int = 0,
        config: Config | None = None,
        loss: float = 0.0,
        duplicate: float = 0.0,
        delay_s: tuple[float, float] = (0.0005, 0.002),
        sync_s: tuple[float, float] = (0.001, 0.002),
        settled: bool = True,
    ) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        # By itself anti-entropy would bring about what tests of other mechanisms wait for, or deny.
        self.config = config or Config(anti_entropy_s=0)
        self.loss, self.duplicate, self.delay_s, self.sync_s = loss, duplicate, delay_s, sync_s
        self.now = START_S
        self.members = [Member(f"n{i}", ("10.0.0.1", 7000 + i)) for i in range(1, nodes + 1)]
        """Of the beginning; who is in the ring later is in `ring`."""
        self.hosts: dict[str, Host] = {}
        self.names: list[str] = []
        self._owner: dict[Address, str] = {}
        for member in self.members:
            self._place(Host(member.name, member.address, tuple(self.members), (), self.config))
        self._ring = Ring(self.members, self.config)
        self.clients: dict[Address, ClientCore] = {}
        self.cuts: set[tuple[str, str]] = set()
        self.wiretap: Callable[[str, str, bytes], bool] = lambda source, target, datagram: True
        """Given source, target and datagram: whether the network carries it."""
        self.on_persist: Callable[[Host, Persist], None] = lambda host, persist: None
        self.dots: dict[tuple[bytes, int, int], set[int]] | None = None
        """If set: request ids by key and dot, of all that was ever durable anywhere."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        for name in self.names:
            self.start(name)
        if settled:
            self.run_for(SETTLED_S)

    def _place(self, host: Host) -> None:
        self.hosts[host.name] = host
        self._owner[host.address] = host.name
        self.names.append(host.name)

    # Time

    def run_for(self, seconds: float) -> None:
        """Let that much time pass."""
        self._run(self.now + seconds, lambda: False)

    def run_until(self, condition: Callable[[], bool], limit_s: float = 30.0) -> None:
        """Until it is true; fails after `limit_s`."""
        self._run(self.now + limit_s, condition)
        assert condition(), f"not within {limit_s} s of virtual time (seed {self.seed})"

    def _run(self, until: float, condition: Callable[[], bool]) -> None:
        while not condition():
            due, waker = self._next()
            if due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            waker()

    def _next(self) -> tuple[float, Callable[[], None]]:
        due, waker = self._events[0][0] if self._events else float("inf"), self._pop
        for host in self.hosts.values():
            if host.node is not None:
                wake = host.node.next_wake
                if wake is not None and wake < due:
                    due, waker = wake, lambda host=host: self._wake(host)
        for address, core in self.clients.items():
            wake = core.next_wake
            if wake is not None and wake < due:
                due, waker = (
                    wake,
                    lambda address=address, core=core: self._send_all(address, core.wake(self._instant())),
                )
        return due, waker

    def _pop(self) -> None:
        heapq.heappop(self._events)[2]()

    def _wake(self, host: Host) -> None:
        assert host.node is not None
        self._do(host, host.node.wake(self._instant(host)))

    def _instant(self, host: Host | None = None) -> Instant:
        ahead = 0.0 if host is None else host.clock_ahead_s
        return Instant(self.now, round((1_700_000_000 + self.now + ahead) * 1e9))

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Do something at that moment."""
        heapq.heappush(self._events, (moment, next(self._order), event))

    # Machines

    def start(self, name: str, *, fresh: bool = False) -> None:
        """Start the node on what its disk holds."""
        host = self.hosts[name]
        assert host.node is None
        host.starts += 1
        host.node = Node(
            host.called or name,
            host.members,
            host.config,
            secret=SECRET,
            cluster=CLUSTER,
            reader=host.engine,
            bits=random.Random(f"{self.seed}/{name}/{host.starts}").getrandbits,
            seeds=host.seeds,
            fresh=fresh,
        )
        self._do(host, host.node.start(self._instant(host)))

    def crash(self, name: str, keep: int = 0) -> None:
        """The node's process dies; of the commits under way the first `keep` are durable."""
        host = self.hosts[name]
        host.node = None
        kept, host.pending = host.pending[:keep], []
        for persist in kept:
            self._commit(host, persist)

    def wipe(self, name: str) -> None:
        """Crash, and come back with an empty disk."""
        self.crash(name)
        self.hosts[name].engine = MemoryEngine()
        self.start(name)

    def add(self, name: str, *, seeds: Sequence[str] = ("n1",), config: Config | None = None, called: str = "") -> None:
        """Start a node that waits outside. called: under a name that is not its machine's."""
        address, known = ("10.0.0.1", 7001 + len(self.hosts)), tuple(self.hosts[seed].address for seed in seeds)
        self._place(Host(name, address, (), known, config or self.config, called))
        self.start(name)

    def found(self, *names: str, seeds: Sequence[str] = (), called: str = "") -> None:
        """Start the nodes of another cluster, which has the same key and name. called: as in `add`, of the first."""
        known = tuple(self.hosts[seed].address for seed in seeds)
        given = [called or names[0], *names[1:]]
        members = tuple(Member(name, ("10.0.0.1", 7001 + len(self.hosts) + i)) for i, name in enumerate(given))
        for name, member in zip(names, members, strict=True):
            self._place(Host(name, member.address, members, known, self.config, member.name))
            self.start(name)

    def member(self, name: str, zone: str = "", capacity: int = 1) -> Member:
        """The node of that machine, as an operator names it."""
        return Member(name, self.hosts[name].address, zone, capacity)

    def join(self, name: str, *, via: str = "n1", zone: str = "", capacity: int = 1) -> Call:
        """An operator has a node join that runs outside."""
        member = self.member(name, zone, capacity)
        return self.client(via).ask(Join(member.name, member.address, member.zone, member.capacity))

    def leave(self, name: str, *, via: str = "n1", gone: bool = False) -> Call:
        """An operator has a node leave; gone: it is dead."""
        return self.client(via).ask(Leave(name, gone))

    def backup(self, name: str) -> MemoryEngine:
        """A copy of the node's disk, as it is now."""
        engine, copy = self.hosts[name].engine, MemoryEngine()
        copy.commit([Record(space, *record) for space in list(engine._spaces) for record in engine.scan(space)])
        return copy

    def hold(self, name: str) -> None:
        """The disk stalls: no commit ends before `release`."""
        self.hosts[name].held = True

    def release(self, name: str) -> None:
        host = self.hosts[name]
        host.held = False
        for persist in list(host.pending):
            self._schedule_sync(host, persist)

    def cut(self, one: str, other: str, *, both: bool = True) -> None:
        """Nothing gets from one to the other (a node or "client")."""
        self.cuts.add((one, other))
        if both:
            self.cuts.add((other, one))

    def isolate(self, *group: str) -> None:
        """Cut the group of nodes off from the other nodes; clients reach everyone."""
        for one in group:
            for other in self.names:
                if other not in group:
                    self.cut(one, other)

    def heal(self) -> None:
        self.cuts.clear()

    def _do(self, host: Host, actions: list[Action]) -> None:
        node = host.node
        for action in actions:
            if host.node is not node or node is None:
                return  # It crashed meanwhile.
            if isinstance(action, Send):
                self._transmit(host.name, host.address, action)
            elif isinstance(action, Note):
                host.log.append(action.text)
            else:
                host.pending.append(action)
                host.persists += 1
                if not host.held:
                    self._schedule_sync(host, action)
                self.on_persist(host, action)

    def _schedule_sync(self, host: Host, persist: Persist) -> None:
        due = max(host.last_sync, self.now + self.rng.uniform(*self.sync_s))
        host.last_sync = due
        node = host.node

        def synced() -> None:
            if host.node is not node or node is None or persist not in host.pending:
                return
            host.pending.remove(persist)
            self._commit(host, persist)
            self._do(host, node.persisted(persist.ticket, self._instant(host)))

        self.at(due, synced)

    def _commit(self, host: Host, persist: Persist) -> None:
        host.engine.commit(persist.records)
        if self.dots is not None:
            for record in persist.records:
                self._note_dots(record)

    def _note_dots(self, record: Record) -> None:
        assert self.dots is not None
        if record.value is None or record.space not in (DATA, HINTS):
            return
        key = record.key[16:] if record.space == DATA else record.key.split(b"\0", 1)[1]
        for version in _entry.decode(record.value).state.versions:
            self.dots[(key, *version.dot)].add(version.request_id)

    def watch_dots(self) -> dict[tuple[bytes, int, int], set[int]]:
        """From now on, collect the request ids under each dot."""
        self.dots = defaultdict(set)
        return self.dots

    # Network

    def _transmit(self, source: str, source_address: Address, send: Send) -> None:
        target = self._owner.get(send.to, "client")
        if not self.wiretap(source, target, send.datagram) or (source, target) in self.cuts:
            return
        copies = 0 if self.rng.random() < self.loss else 1 + (self.rng.random() < self.duplicate)
        for _ in range(copies):
            self.inject(send.to, send.datagram, source_address, self.rng.uniform(*self.delay_s))

    def inject(self, to: Address, datagram: bytes, source: Address, delay_s: float = 0.0) -> None:
        """A datagram arrives, from wherever."""

        def arrive() -> None:
            if to in self.clients:
                self._send_all(to, self.clients[to].receive(datagram, source, self._instant()))
                return
            host = self.hosts.get(self._owner.get(to, ""))
            if host is not None and host.node is not None:
                self._do(host, host.node.receive(datagram, source, self._instant(host)))

        self.at(self.now + delay_s, arrive)

    def _send_all(self, address: Address, actions: list[Action]) -> None:
        for action in actions:
            assert isinstance(action, Send)
            self._transmit("client", address, action)

    # Clients

    def client(self, *via: str) -> Caller:
        """A client of those nodes, in that order; of all without names."""
        number = len(self.clients)
        core = ClientCore(
            [self.hosts[name].address for name in via or self.names],
            secret=SECRET,
            cluster=CLUSTER,
            bits=random.Random(f"{self.seed}/client{number}").getrandbits,
        )
        address = ("10.0.0.2", 20_000 + number)
        self.clients[address] = core
        return Caller(self, address, core)

    def keys(self) -> Iterator[bytes]:
        """Keys without end."""
        return (f"key{i}".encode() for i in count())

    def key(self, homes: str = "", others: str = "") -> bytes:
        """A key whose homes include those (space-separated) and none of the others."""
        wanted, unwanted = set(homes.split()), set(others.split())
        return next(key for key in self.keys() if wanted <= set(h := self.ring.primaries(key)) and not unwanted & set(h))

    # To be inspected

    def membership(self, name: str) -> Membership:
        """The running node's."""
        node = self.hosts[name].node
        assert node is not None
        return node._core.membership

    @property
    def running(self) -> list[str]:
        return [name for name, host in self.hosts.items() if host.node is not None]

    @property
    def ring(self) -> Ring:
        """As the running node has it that knows most of the history; with none, as it was last looked at."""
        memberships = [self.membership(name) for name in self.running]
        if memberships:
            self._ring = max(memberships, key=lambda membership: len(membership.changes)).ring
        return self._ring

    def views(self, *names: str) -> set[int]:
        """The digests of the history on those nodes; of all that run without names."""
        return {self.membership(name).view for name in names or self.running}

    def state(self, name: str, key: bytes) -> VersionSet:
        """What the node's disk holds of a key."""
        stored = self.hosts[name].engine.get(DATA, place(key))
        return EMPTY if stored is None else _entry.decode(stored).state

    def values(self, name: str, key: bytes) -> list[bytes]:
        """The live values on the node's disk."""
        return sorted(siblings(self.state(name, key)))

    def versions(self, name: str, key: bytes) -> tuple[Version, ...]:
        return self.state(name, key).versions

    def hints(self, name: str | None = None) -> dict[tuple[str, bytes], VersionSet]:
        """The durable hints of a node (or all), by owner and key."""
        found = {}
        for host in self.hosts.values() if name is None else [self.hosts[name]]:
            for owed, stored in host.engine.scan(HINTS):
                owner, key = owed.split(b"\0", 1)
                found[owner.decode(), key] = _entry.decode(stored).state
        return found

    def agree(self, *keys: bytes) -> bool:
        """Whether all homes of each key hold the same, and no hints are left."""
        homes_equal = all(len({encoded(self.state(n, key)) for n in self.ring.primaries(key)}) == 1 for key in keys)
        return homes_equal and not self.hints()

    def counter(self, name: str, counter: str) -> int:
        """From the node's status."""
        node = self.hosts[name].node
        assert node is not None
        counters = node.status()["counters"]
        assert isinstance(counters, dict)
        return counters.get(counter, 0)


def encoded(state: VersionSet) -> bytes:
    return msgspec.msgpack.encode(state)


@dataclass
class Caller:
    """A client in the box. Each request comes in two: `begin...` returns at once, the other when it is answered."""

    box: Box
    address: Address
    core: ClientCore

    def begin(self, request: ClientRequest) -> Call:
        call = Call()
        self.box._send_all(self.address, self.core.request(request, self.box._instant(), call))
        return call

    def ask(self, request: ClientRequest) -> Call:
        call = self.begin(request)
        self.box.run_until(lambda: call.done)
        return call

    def get(self, key: bytes, r: int | None = None) -> Call:
        return self.ask(Get(key, r))

    def put(self, key: bytes, value: bytes | None, context: bytes | None = None, w: int | None = None) -> Call:
        return self.ask(Put(key, value, context, w))

    def delete(self, key: bytes, context: bytes) -> Call:
        return self.ask(Put(key, None, context))
