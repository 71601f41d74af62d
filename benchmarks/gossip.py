"""How a change of the membership spreads: real nodes, simulated network, virtual time.

    python -m benchmarks.gossip [NODES]

One node is told to have another leave; after each gossip interval, how many of the nodes know, and what that has cost
in datagrams, pings included. Push and pull with one random peer a round should reach n nodes in about log2(n) rounds.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import math
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable

from splitbrain.store.actions import Action, Address, Instant, Persist, Send
from splitbrain.store.client_core import ClientCore
from splitbrain.store.config import Config, Member
from splitbrain.store.node import Node
from splitbrain.store.storage.engine import MemoryEngine
from splitbrain.store.wire.client_messages import Leave

NODES = 1000
SECRET = bytes(32)
DELAY_S = (0.0005, 0.002)
ROUNDS_BEFORE = 5
ROUNDS_MAX = 40
CONFIG = Config(anti_entropy_s=0)


class Cluster:
    """Nodes, and a network that only delays. wake-ups and datagrams are one queue of events."""

    def __init__(self, number: int) -> None:
        self.now = 1000.0
        self.datagrams = 0
        self._random = random.Random(number)
        self._events: list[tuple[float, int, Callable[[], list[Action]], Address]] = []
        self._order = itertools.count()
        self._due: dict[Address, float] = {}
        members = [Member(f"n{i}", (f"10.0.{i // 250}.{i % 250 + 1}", 7000)) for i in range(number)]
        self.engines = {member.address: MemoryEngine() for member in members}
        self.nodes = {member.address: self._node(member, members) for member in members}
        self.client = ClientCore([members[0].address], secret=SECRET, cluster="c", bits=self._random.getrandbits)

    def _node(self, member: Member, members: list[Member]) -> Node:
        bits = random.Random(member.name).getrandbits
        reader = self.engines[member.address]
        return Node(member.name, members, CONFIG, secret=SECRET, cluster="c", reader=reader, bits=bits)

    def start(self) -> None:
        for address, node in self.nodes.items():
            self._do(address, node.start(self._instant()))

    def run(self, until: float) -> None:
        """Up to that moment."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event, address = heapq.heappop(self._events)
            self._do(address, event())
        self.now = until

    def ask(self, request: Leave) -> None:
        """A client's request to the first node, from an address where nobody waits for the answer."""
        self._send(("10.9.9.9", 1), self.client.request(request, self._instant(), lambda reply: None))

    def _instant(self) -> Instant:
        return Instant(self.now, round(self.now * 1e9))

    def _do(self, address: Address, actions: list[Action]) -> None:
        node = self.nodes[address]
        for action in actions:
            if isinstance(action, Persist):
                self.engines[address].commit(action.records)
                self._do(address, node.persisted(action.ticket, self._instant()))
        self._send(address, actions)
        due = node.next_wake
        if due is not None and due != self._due.get(address):
            self._due[address] = due
            self._at(due, lambda: self._wake(address, due), address)

    def _wake(self, address: Address, due: float) -> list[Action]:
        if self._due.get(address) != due:
            return []  # It has set an earlier timer since.
        del self._due[address]
        return self.nodes[address].wake(self._instant())

    def _send(self, source: Address, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send) and action.to in self.nodes:
                self.datagrams += 1
                moment = self.now + self._random.uniform(*DELAY_S)
                self._at(moment, lambda action=action: self._arrive(source, action), action.to)

    def _arrive(self, source: Address, send: Send) -> list[Action]:
        return self.nodes[send.to].receive(send.datagram, source, self._instant())

    def _at(self, moment: float, event: Callable[[], list[Action]], address: Address) -> None:
        heapq.heappush(self._events, (moment, next(self._order), event, address))

    def counters(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for node in self.nodes.values():
            total += node._core.counters
        return total


def main(number: int) -> None:
    """Print the figures."""
    # Everything made here lives to the end: the collector would go through it all, again and again, in vain.
    gc.disable()
    began = time.process_time()
    cluster = Cluster(number)
    cluster.start()
    made = time.process_time() - began
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{number} nodes that know each other: {made:.0f} s of CPU to make, {megabytes:,.0f} MB")
    cluster.run(cluster.now + ROUNDS_BEFORE * CONFIG.gossip_s)
    leaving = next(reversed(cluster.nodes.values()))._core.name
    before = next(iter(cluster.nodes.values()))._core.membership.view
    cluster.ask(Leave(leaving, gone=True))
    start, datagrams, counters = cluster.now, cluster.datagrams, cluster.counters()
    print(f"one change, told to one node; log2({number}) = {math.log2(number):.1f}; nodes that know, and datagrams:")
    for after in range(1, ROUNDS_MAX + 1):
        cluster.run(start + after * CONFIG.gossip_s)
        knowing = sum(node._core.membership.view != before for node in cluster.nodes.values())
        bar = "#" * round(40 * knowing / number)
        print(f"  round {after:2}: {knowing:5} {bar:40} {cluster.datagrams - datagrams:9,}")
        if knowing == number:
            break
    spent = cluster.counters() - counters
    rounds, comparisons = spent["gossip_rounds"], spent["gossip_reconciled"]
    print(f"gossip alone: {rounds:,} times a question and its answer, and {comparisons:,} histories compared")
    took = time.process_time() - began - made
    print(f"{took:.0f} s of CPU, {cluster.datagrams / took:,.0f} datagrams a second, pings included")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else NODES)
