"""What anti-entropy costs: two replicas of 100,000 keys that differ in 10, with either engine.

    python -m benchmarks.antientropy [KEYS]

Datagrams are counted, times measured: on another machine those differ, and their orders don't.
"""

from __future__ import annotations

import gc
import heapq
import random
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import msgspec

from splitbrain.store.actions import Action, Instant, Note, Persist, Record, Send
from splitbrain.store.config import Config, Member
from splitbrain.store.node import Node
from splitbrain.store.storage.engine import Engine, MemoryEngine, SqliteEngine
from splitbrain.store.storage.replica import DATA, Entry, Replica, place
from splitbrain.store.versions.dotted import EMPTY, VersionSet, write

KEYS = 100_000
DIFFERENT = 10
VALUE = b"v" * 100
EVERY_S = 15.0
CONFIG = Config(n=2, r=1, w=1, anti_entropy_s=EVERY_S, gossip_s=60.0)
MEMBERS = [Member("n1", ("10.0.0.1", 7001)), Member("n2", ("10.0.0.1", 7002))]


class Pair:
    """Two nodes, virtual time, a network that takes half a millisecond.

    datagrams: sent so far. longest_s: the processor time of the longest call of a node.
    """

    def __init__(self, engines: list[Engine]) -> None:
        self.now = 1000.0
        self.datagrams = 0
        self.longest_s = 0.0
        self._events: list[tuple[float, int, int, bytes]] = []
        self._order = count()
        self._engines = engines
        self.nodes = [
            Node(
                member.name,
                MEMBERS,
                CONFIG,
                secret=bytes(32),
                cluster="bench",
                reader=engine,
                bits=random.Random(member.name).getrandbits,
            )
            for member, engine in zip(MEMBERS, engines, strict=True)
        ]
        for number in range(2):
            self._run(number, lambda number=number: self.nodes[number].start(self._instant()))  # type: ignore[misc]

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Until it is true."""
        while not condition():
            wakes = [node.next_wake or self.now + 1.0 for node in self.nodes]
            number = wakes.index(min(wakes))
            if self._events and self._events[0][0] <= wakes[number]:
                due, _, target, datagram = heapq.heappop(self._events)
                self.now = max(self.now, due)
                source = MEMBERS[1 - target].address
                self._run(target, lambda: self.nodes[target].receive(datagram, source, self._instant()))  # noqa: B023
            else:
                self.now = max(self.now, wakes[number])
                self._run(number, lambda: self.nodes[number].wake(self._instant()))  # noqa: B023

    def counter(self, name: str) -> int:
        """Of both nodes together."""
        return sum(node.status()["counters"].get(name, 0) for node in self.nodes)  # type: ignore[attr-defined]

    def unfinished(self) -> int:
        """Trees that are not filled yet."""
        return sum(node.status()["merkle"]["unfinished"] for node in self.nodes)  # type: ignore[index]

    def equal(self) -> bool:
        """Whether all roots are."""
        one, other = (node.status()["merkle"]["roots"] for node in self.nodes)  # type: ignore[index]
        return bool(one == other)

    def _persisted(self, number: int, ticket: int) -> list[Action]:
        return self.nodes[number].persisted(ticket, self._instant())

    def _instant(self) -> Instant:
        return Instant(self.now, round(self.now * 1e9))

    def _run(self, number: int, call: Callable[[], list[Action]]) -> None:
        began = time.process_time()
        actions = call()
        self.longest_s = max(self.longest_s, time.process_time() - began)
        for action in actions:
            match action:
                case Send():
                    self.datagrams += 1
                    heapq.heappush(self._events, (self.now + 0.0005, next(self._order), 1 - number, action.datagram))
                case Persist():
                    self._engines[number].commit(action.records)
                    self._run(number, partial(self._persisted, number, action.ticket))
                case Note():
                    pass


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
    pair.longest_s, began, cpu = 0.0, pair.now, time.process_time()
    pair.run_until(lambda: not pair.unfinished())
    built_s = (time.process_time() - cpu) / 2
    print(f"{kind}: the trees of {keys:,} keys are made anew in {built_s:.2f} s of processor time a node, over")
    print(f"    {pair.now - began:.1f} s; the longest slice blocks the node for {pair.longest_s * 1000:.1f} ms")
    pair.longest_s = 0.0
    rounds = pair.counter("anti_entropy_rounds")
    pair.run_until(lambda: pair.counter("anti_entropy_rounds") > rounds)
    sent, at = pair.datagrams - 1, pair.now
    pair.run_until(pair.equal)
    until = pair.now + 0.05  # the comparison that finds that they are equal
    pair.run_until(lambda: pair.now > until)
    print(f"    {DIFFERENT} keys differ: {pair.datagrams - sent} datagrams, {(until - at) * 1000:.0f} ms until equal;")
    print(f"    {pair.counter('keys_moved')} keys moved; the longest step: {pair.longest_s * 1000:.1f} ms")


def updates() -> None:
    """What a durable change costs with and without trees."""
    costs = {}
    for trees in (False, True):
        out: list[Action] = []
        config = CONFIG if trees else Config(n=2, r=1, w=1, anti_entropy_s=0)
        node = Node(
            "n1",
            MEMBERS,
            config,
            secret=bytes(32),
            cluster="bench",
            reader=MemoryEngine(),
            bits=random.Random(1).getrandbits,
        )
        node.start(Instant(0.0, 0))
        now = 0.0
        while node.status()["merkle"]["unfinished"]:  # type: ignore[index]
            now += 1.0
            node.wake(Instant(now, 0))
        replica: Replica = node._core.replica
        replica._out = out
        began = time.process_time()
        for number in range(20_000):
            replica.merge(DATA, b"%d" % number, version(1), lambda: None)
            replica.persisted(replica._ticket)
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
