"""What anti-entropy costs: two replicas of 100,000 keys that differ in 10, with either engine.

    python -m benchmarks.antientropy [KEYS]

Datagrams are counted, times measured: on another machine those differ, and their orders don't.
"""

from __future__ import annotations

import gc
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from splitbrain.harness.simulation.cluster import SimulatedCluster
from splitbrain.harness.systems.dynamo.simulated_node import KIND
from splitbrain.store.actions import Action, Address, Instant, Persist, Record
from splitbrain.store.config import Config, Member
from splitbrain.store.node import Node
from splitbrain.store.storage.engine import Engine, MemoryEngine, SqliteEngine
from splitbrain.store.storage.replica import DATA, Entry, place
from splitbrain.store.versions.dotted import EMPTY, VersionSet, write

KEYS = 100_000
DIFFERENT = 10
VALUE = b"v" * 100
EVERY_S = 15.0
CONFIG = Config(n=2, r=1, w=1, anti_entropy_s=EVERY_S, gossip_s=60.0)
MEMBERS = [Member("n1", ("10.0.0.1", 7001)), Member("n2", ("10.0.0.1", 7002))]


def node_of(member: Member, config: Config, engine: Engine) -> Node:
    """A node on what its engine holds."""
    bits = random.Random(member.name).getrandbits
    return Node(member.name, MEMBERS, config, secret=bytes(32), cluster="bench", reader=engine, bits=bits)


class TimedNode:
    """A node, and the processor time of the longest call of it so far: it blocks everything else meanwhile."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.longest_s = 0.0

    def start(self, now: Instant) -> list[Action]:
        """See `Node`."""
        return self._timed(lambda: self.node.start(now))

    def receive(self, datagram: bytes, source: Address, now: Instant) -> list[Action]:
        """See `Node`."""
        return self._timed(lambda: self.node.receive(datagram, source, now))

    def wake(self, now: Instant) -> list[Action]:
        """See `Node`."""
        return self._timed(lambda: self.node.wake(now))

    def persisted(self, ticket: int, now: Instant) -> list[Action]:
        """See `Node`."""
        return self._timed(lambda: self.node.persisted(ticket, now))

    @property
    def next_wake(self) -> float | None:
        """See `Node`."""
        return self.node.next_wake

    def _timed(self, call: Callable[[], list[Action]]) -> list[Action]:
        began = time.process_time()
        actions = call()
        self.longest_s = max(self.longest_s, time.process_time() - began)
        return actions


class Pair:
    """Two nodes, disks that take no time, and a network that takes half a millisecond."""

    def __init__(self, engines: list[Engine]) -> None:
        self.cluster = SimulatedCluster[TimedNode, Engine](KIND, seed=1, delay_s=(0.0005, 0.0005))
        self.nodes = []
        for member, engine in zip(MEMBERS, engines, strict=True):
            self.cluster.place(member.name, member.address, engine)
            self.nodes.append(TimedNode(node_of(member, CONFIG, engine)))
        for member, node in zip(MEMBERS, self.nodes, strict=True):
            self.cluster.launch(member.name, node)

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Until it is true."""
        self.cluster.run_until(condition, 3600.0)

    def longest_s(self) -> float:
        """The longest call of a node since this was asked last."""
        longest = max(node.longest_s for node in self.nodes)
        for node in self.nodes:
            node.longest_s = 0.0
        return longest

    def counter(self, name: str) -> int:
        """What both nodes counted together."""
        return sum(node.node.status()["counters"].get(name, 0) for node in self.nodes)  # type: ignore[attr-defined]

    def unfinished(self) -> int:
        """Trees that are not filled yet."""
        return sum(node.node.status()["merkle"]["unfinished"] for node in self.nodes)  # type: ignore[index]

    def equal(self) -> bool:
        """Whether all roots are."""
        one, other = (node.node.status()["merkle"]["roots"] for node in self.nodes)  # type: ignore[index]
        return bool(one == other)


def main() -> None:
    """Print the figures."""
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else KEYS
    with tempfile.TemporaryDirectory() as folder:
        memory: list[Engine] = [MemoryEngine(), MemoryEngine()]
        sqlite: list[Engine] = [SqliteEngine(Path(folder) / name) for name in ("one", "other")]
        for kind, engines in (("memory", memory), ("sqlite", sqlite)):
            compare(kind, engines, keys)
            for engine in engines:
                engine.close()
    updates()


def compare(kind: str, engines: list[Engine], keys: int) -> None:
    """Fill two engines, start nodes on them, and let those find what differs."""
    names = [b"a key of ordinary length %d" % number for number in range(keys)]
    for engine in engines:
        for first in range(0, keys, 1000):
            engine.commit([record(key, version(1)) for key in names[first : first + 1000]])
    different = random.Random(1).sample(names, DIFFERENT)
    engines[1].commit([record(key, version(2, version(1))) for key in different])
    gc.collect()
    gc.freeze()
    pair = Pair(engines)
    pair.longest_s()
    cluster = pair.cluster
    began, cpu = cluster.now, time.process_time()
    pair.run_until(lambda: not pair.unfinished())
    built_s = (time.process_time() - cpu) / 2
    print(f"{kind}: the trees of {keys:,} keys are made anew in {built_s:.2f} s of processor time a node, over")
    print(f"    {cluster.now - began:.1f} s; the longest slice blocks the node for {pair.longest_s() * 1000:.1f} ms")
    rounds = pair.counter("anti_entropy_rounds")
    pair.run_until(lambda: pair.counter("anti_entropy_rounds") > rounds)
    sent, at = cluster.datagrams - 1, cluster.now
    pair.run_until(pair.equal)
    took_ms = (cluster.now - at) * 1000
    cluster.run_for(0.05)  # the comparison that finds that they are equal
    print(f"    {DIFFERENT} keys differ: {cluster.datagrams - sent} datagrams, {took_ms:.0f} ms until equal;")
    print(f"    {pair.counter('keys_moved')} keys moved; the longest step: {pair.longest_s() * 1000:.1f} ms")


def updates() -> None:
    """What a durable change costs with and without trees."""
    costs = {}
    for trees in (False, True):
        config = CONFIG if trees else Config(n=2, r=1, w=1, anti_entropy_s=0)
        node = node_of(MEMBERS[0], config, MemoryEngine())
        node.start(Instant(0.0, 0))
        now = 0.0
        while node.status()["merkle"]["unfinished"]:  # type: ignore[index]
            now += 1.0
            node.wake(Instant(now, 0))
        replica, out = node.inspect().core.replica, node.inspect().out
        began = time.process_time()
        for number in range(20_000):
            replica.merge(DATA, b"%d" % number, version(1), lambda: None)
            persist = out.pop()
            assert isinstance(persist, Persist)
            replica.persisted(persist.ticket)
        costs[trees] = (time.process_time() - began) / 20_000
    tree_us, whole_us = (costs[True] - costs[False]) * 1e6, costs[True] * 1e6
    print(f"a durable change costs {whole_us:.1f} us, {tree_us:.1f} us of them for its tree")


def version(counter: int, of: VersionSet = EMPTY) -> VersionSet:
    """A state of a key."""
    changed, _ = write(
        of, of.seen, dot=(9, counter), value=VALUE, request_id=counter, coordinator="n1", wall_ns=counter
    )
    return changed


def record(key: bytes, state: VersionSet) -> Record:
    """As a node stores it."""
    return Record(DATA, place(key), msgspec.msgpack.encode(Entry(0, state)))


if __name__ == "__main__":
    main()
