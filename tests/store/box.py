"""A cluster in a box: the store's nodes and clients on a `SimulatedCluster`, and what a test wants to know of them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import msgspec

from splitbrain.harness.simulation.cluster import SimulatedCluster
from splitbrain.harness.systems.dynamo.simulated_node import KIND
from splitbrain.store.actions import Address, Persist, Record
from splitbrain.store.assembly import Parts
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
SETTLED_S = 11.0
"""By then heartbeats have their rhythm and nodes know each other, which most tests take for granted."""

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


class Setup(NamedTuple):
    """How a node is started. called: its name, which may not be its machine's. members: of the cluster's beginning."""

    called: str
    members: tuple[Member, ...]
    seeds: tuple[Address, ...]
    config: Config


class Box(SimulatedCluster[Node, MemoryEngine]):
    """The cluster: `nodes` nodes n1, n2, ..., and clients made by `client`. Others: see `SimulatedCluster`."""

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
        super().__init__(KIND, seed=seed, loss=loss, duplicate=duplicate, delay_s=delay_s, sync_s=sync_s)
        # By itself anti-entropy would bring about what tests of other mechanisms wait for, or deny.
        self.config = config or Config(anti_entropy_s=0)
        self.members = [Member(f"n{i}", ("10.0.0.1", 7000 + i)) for i in range(1, nodes + 1)]
        """Of the beginning; who is in the ring later is in `ring`."""
        self.setups: dict[str, Setup] = {}
        for member in self.members:
            self._place(member.name, member.address, Setup(member.name, tuple(self.members), (), self.config))
        self._ring = Ring(self.members, self.config)
        self.dots: dict[tuple[bytes, int, int], set[int]] | None = None
        """If set: request ids by key and dot, of all that was ever durable anywhere."""
        self.on_commit = self._note_dots
        for name in self.names:
            self.start(name)
        if settled:
            self.run_for(SETTLED_S)

    @property
    def names(self) -> list[str]:
        """Of all machines, in the order in which they came."""
        return list(self.hosts)

    def _place(self, name: str, address: Address, setup: Setup) -> None:
        self.place(name, address, MemoryEngine())
        self.setups[name] = setup

    # Machines

    def start(self, name: str, *, fresh: bool = False) -> None:
        """Start the node on what its disk holds."""
        host, setup = self.hosts[name], self.setups[name]
        host.starts += 1
        node = Node(
            setup.called,
            setup.members,
            setup.config,
            secret=SECRET,
            cluster=CLUSTER,
            reader=host.engine,
            bits=random.Random(f"{self.seed}/{name}/{host.starts}").getrandbits,
            seeds=setup.seeds,
            fresh=fresh,
        )
        self.launch(name, node)

    def wipe(self, name: str) -> None:
        """Crash, and come back with an empty disk."""
        self.crash(name)
        self.hosts[name].engine = MemoryEngine()
        self.start(name)

    def add(self, name: str, *, seeds: Sequence[str] = ("n1",), config: Config | None = None, called: str = "") -> None:
        """Start a node that waits outside. called: under a name that is not its machine's."""
        address, known = ("10.0.0.1", 7001 + len(self.hosts)), tuple(self.hosts[seed].address for seed in seeds)
        self._place(name, address, Setup(called or name, (), known, config or self.config))
        self.start(name)

    def found(self, *names: str, seeds: Sequence[str] = (), called: str = "") -> None:
        """Start the nodes of another cluster, which has the same key and name. called: as in `add`, of the first."""
        known = tuple(self.hosts[seed].address for seed in seeds)
        given = [called or names[0], *names[1:]]
        members = tuple(Member(name, ("10.0.0.1", 7001 + len(self.hosts) + i)) for i, name in enumerate(given))
        for name, member in zip(names, members, strict=True):
            self._place(name, member.address, Setup(member.name, members, known, self.config))
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

    def _note_dots(self, persist: Persist) -> None:
        for record in persist.records if self.dots is not None else ():
            if record.value is None or record.space not in (DATA, HINTS):
                continue
            key = record.key[16:] if record.space == DATA else record.key.split(b"\0", 1)[1]
            for version in _entry.decode(record.value).state.versions:
                self.dots[(key, *version.dot)].add(version.request_id)

    def watch_dots(self) -> dict[tuple[bytes, int, int], set[int]]:
        """From now on, collect the request ids under each dot."""
        self.dots = defaultdict(set)
        return self.dots

    # Clients

    def client(self, *via: str, spread: bool = False) -> Caller:
        """A client of the first of those nodes, and then of the others; of all without names. spread: of all alike."""
        number = len(self.clients)
        addresses = [self.hosts[name].address for name in via or self.names]
        core = ClientCore(
            addresses if spread else addresses[:1],
            standby=() if spread else addresses[1:],
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
        return next(
            key for key in self.keys() if wanted <= set(h := self.ring.primaries(key)) and not unwanted & set(h)
        )

    # To be inspected

    def parts(self, name: str) -> Parts:
        """The running node's."""
        node = self.hosts[name].node
        assert node is not None
        return node.inspect()

    def membership(self, name: str) -> Membership:
        """The running node's."""
        return self.parts(name).core.membership

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
        self.box.send_all(self.address, self.core.request(request, self.box.instant(), call))
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
