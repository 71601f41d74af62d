"""How a change of the membership spreads: real nodes, simulated network, virtual time.

    python -m benchmarks.gossip [NODES]

One node is told to have another leave; after each gossip interval, how many of the nodes know, and what that has cost
in datagrams, pings included. Push and pull with one random peer a round should reach n nodes in about log2(n) rounds.
"""

from __future__ import annotations

import gc
import math
import random
import resource
import sys
import time
from collections import Counter

from splitbrain.harness.simulation.cluster import SimulatedCluster
from splitbrain.harness.systems.dynamo.simulated_node import KIND
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
CLIENT = ("10.9.9.9", 1)
CONFIG = Config(anti_entropy_s=0)


def started(number: int) -> SimulatedCluster[Node, MemoryEngine]:
    """That many nodes that know each other, on a network that only delays, and disks that take no time."""
    cluster = SimulatedCluster[Node, MemoryEngine](KIND, seed=number, delay_s=DELAY_S)
    members = [Member(f"n{i}", (f"10.0.{i // 250}.{i % 250 + 1}", 7000)) for i in range(number)]
    for member in members:
        engine, bits = MemoryEngine(), random.Random(member.name).getrandbits
        cluster.place(member.name, member.address, engine)
        node = Node(member.name, members, CONFIG, secret=SECRET, cluster="c", reader=engine, bits=bits)
        cluster.launch(member.name, node)
    return cluster


def nodes(cluster: SimulatedCluster[Node, MemoryEngine]) -> list[Node]:
    """All of them, in the order of their names."""
    return [host.node for host in cluster.hosts.values() if host.node is not None]


def view(node: Node) -> int:
    """The digest of the history that the node knows."""
    return node.inspect().core.membership.view


def counters(cluster: SimulatedCluster[Node, MemoryEngine]) -> Counter[str]:
    """What happened on all nodes together."""
    total: Counter[str] = Counter()
    for node in nodes(cluster):
        total += node.inspect().core.counters
    return total


def main(number: int) -> None:
    """Print the figures."""
    # Everything made here lives to the end: the collector would go through it all, again and again, in vain.
    gc.disable()
    began = time.process_time()
    cluster = started(number)
    made = time.process_time() - began
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{number} nodes that know each other: {made:.0f} s of CPU to make, {megabytes:,.0f} MB")
    cluster.run_for(ROUNDS_BEFORE * CONFIG.gossip_s)
    first, leaving = nodes(cluster)[0], list(cluster.hosts)[-1]
    before = view(first)
    start, datagrams, counted = cluster.now, cluster.datagrams, counters(cluster)
    client = ClientCore([cluster.hosts["n0"].address], secret=SECRET, cluster="c", bits=random.Random(1).getrandbits)
    cluster.clients[CLIENT] = client
    cluster.send_all(CLIENT, client.request(Leave(leaving, gone=True), cluster.instant(), lambda reply: None))
    print(f"one change, told to one node; log2({number}) = {math.log2(number):.1f}; nodes that know, and datagrams:")
    for after in range(1, ROUNDS_MAX + 1):
        cluster.run_for(start + after * CONFIG.gossip_s - cluster.now)
        knowing = sum(view(node) != before for node in nodes(cluster))
        bar = "#" * round(40 * knowing / number)
        print(f"  round {after:2}: {knowing:5} {bar:40} {cluster.datagrams - datagrams:9,}")
        if knowing == number:
            break
    else:
        sys.exit(f"after {ROUNDS_MAX} rounds {number - knowing} nodes still don't know: no figure is worth anything")
    spent = counters(cluster) - counted
    rounds, comparisons = spent["gossip_rounds"], spent["gossip_reconciled"]
    print(f"gossip alone: {rounds:,} times a question and its answer, and {comparisons:,} histories compared")
    took = time.process_time() - began - made
    print(f"{took:.0f} s of CPU, {cluster.datagrams / took:,.0f} datagrams a second, pings included")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else NODES)
