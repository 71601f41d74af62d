"""Random histories of messages between nodes that tell one another now and then, and at the end or not."""

from __future__ import annotations

from random import Random

from splitbrain.checkers.histories.history import History
from tests.checkers.invariants.process_clients import NODES, Answer, Asked, Recording
from tests.checkers.simulated_clients import KEYS, half_altered


class Nodes:
    """gossip: how often a node that is asked something has told the others all it knows."""

    def __init__(self, random: Random) -> None:
        self.random, self.keys = random, random.choice(KEYS)
        self.gossip = random.choice([0.2, 1.0])
        self.next = 0
        self.known: dict[tuple[str, str | None], set[int]] = {(n, key): set() for n in NODES for key in self.keys}

    def ask(self, process: int) -> Asked:
        key = self.random.choice(self.keys)
        if self.random.random() < 0.4:
            return Asked("read", key, None)
        self.next += 1
        return Asked("broadcast", key, self.next)

    def do(self, process: int, node: str, asked: Asked, now_ms: int) -> Answer:
        known = self.known[node, asked.key]
        if asked.f == "broadcast":
            if self.random.random() < 0.05:
                return Answer("fail", None)
            known.add(asked.value)
        if self.random.random() < self.gossip:
            self.tell(node, asked.key)
        return Answer("ok", asked.value if asked.f == "broadcast" else sorted(known))

    def tell(self, node: str, key: str | None) -> None:
        for other in NODES:
            self.known[other, key] |= self.known[node, key]


def broadcast(random: Random) -> History:
    nodes = Nodes(random)
    recording = Recording(random, nodes).run(random.randint(0, 40))
    staged = random.random() < 0.8
    if random.random() < 0.6:
        for key in nodes.keys:
            for node in NODES:
                nodes.tell(node, key)
        if staged:
            recording.stage("convergence")
    if staged and random.random() < 0.9:
        recording.stage("final-reads")
    for process in range(50, 50 + random.choice([0, 2, 3, 3, 3, 5])):
        recording.ask(process, Asked("read", random.choice(nodes.keys), None))
    events = recording.events
    if random.random() < 0.5:
        return History(events)
    return half_altered(
        random,
        events,
        lambda event: event.value if event.f == "broadcast" else [*event.value[1:], random.choice([1, 2, 99, True])],
    )
