"""Partitions: which links are cut, and what was observed of it.

1. A shape is a pure function of nodes and draws: the directed links it cuts. (a, b) is what a sends to b.
2. A partition took effect if no probe over a link it cut arrived. It is healed if probes over all links arrive.

After Jepsen's nemesis (Kyle Kingsbury): halves, bridge and majorities ring are his.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from splitbrain.checkers.histories.event import NEMESIS
from splitbrain.harness.environment import Environment, Link, LinkObservation, Network
from splitbrain.harness.nemesis.fault_family import FaultFamily, observed
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import choose, draw, shuffled, split

Shape = Callable[[Sequence[str], random.Random], set[Link]]


def halves(nodes: Sequence[str], rng: random.Random) -> set[Link]:
    """The first nodes, a minority or half of them, apart from the rest.

    >>> sorted(halves(["n1", "n2", "n3"], random.Random(0)))
    [('n1', 'n2'), ('n1', 'n3'), ('n2', 'n1'), ('n3', 'n1')]
    """
    return _apart(nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :])


def random_halves(nodes: Sequence[str], rng: random.Random) -> set[Link]:
    """A random minority apart from the rest."""
    return halves(shuffled(rng, nodes), rng)


def isolate_one(nodes: Sequence[str], rng: random.Random) -> set[Link]:
    """A random node by itself."""
    alone = choose(rng, nodes)
    return _apart([alone], [node for node in nodes if node != alone])


def majorities_ring(nodes: Sequence[str], rng: random.Random) -> set[Link]:
    """Every node hears a majority, its neighbours in a random ring, and no two hear the same one."""
    ring = shuffled(rng, nodes)
    others = len(ring) // 2  # whom one hears besides oneself
    heard = range(-(others // 2), others - others // 2 + 1)
    return {
        (ring[(at + away) % len(ring)], node)
        for at, node in enumerate(ring)
        for away in range(len(ring))
        if away not in heard and away - len(ring) not in heard
    }


def bridge(nodes: Sequence[str], rng: random.Random) -> set[Link]:
    """Two random halves apart, and one node that both of them hear. Of two nodes, nothing is cut."""
    ends = shuffled(rng, nodes)[1:]
    return _apart(ends[: len(ends) // 2], ends[len(ends) // 2 :])


def one_way(nodes: Sequence[str], rng: random.Random) -> set[Link]:
    """A random minority is not heard by the other nodes, but hears them."""
    mixed = shuffled(rng, nodes)
    return {(mute, other) for mute in mixed[: len(mixed) // 2] for other in mixed[len(mixed) // 2 :]}


def _apart(some: Collection[str], others: Collection[str]) -> set[Link]:
    return {link for one in some for other in others for link in ((one, other), (other, one))}


FAMILIES: Mapping[str, Mapping[str, Shape]] = {
    "partition": {
        "halves": halves,
        "random-halves": random_halves,
        "isolate-one": isolate_one,
        "majorities-ring": majorities_ring,
    },
    "bridge": {"bridge": bridge},
    "one-way": {"one-way": one_way},
}
"""By the family's name: the shapes that take turns."""


def family(name: str, nodes: Sequence[str], *, seed: int) -> FaultFamily:
    """The fault family of that name among `FAMILIES`. Raises ValueError if there are too few nodes for it."""
    shapes = FAMILIES[name]
    fewest = 3 if name == "bridge" else 2
    if len(nodes) < fewest:
        raise ValueError(f"{name} needs at least {fewest} nodes, there are {len(nodes)}; raise --nodes")

    def start(turn: int) -> Invocation:
        # Every shape once, in random order, before any comes again: short runs see different ones too.
        order = shuffled(draw(split(split(seed, "shapes"), turn // len(shapes))), sorted(shapes))
        shape = order[turn % len(shapes)]
        cut = shapes[shape](nodes, draw(split(seed, turn)))
        value = {"fault": name, "phase": "start", "shape": shape, "cut": [list(link) for link in sorted(cut)]}
        return Invocation(f"start-{name}", value, process=NEMESIS)

    stop = Invocation(f"stop-{name}", {"fault": name, "phase": "stop"}, process=NEMESIS)
    return FaultFamily(
        name=name,
        requires=frozenset({"cut"}),
        lane="network",
        healed=0,
        start=start,
        stop=lambda turn: stop,
        final=stop,
        nemesis=lambda environment, system: Partitioner(environment),
    )


class Partitioner:
    """Cuts links and heals them."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        network = self._environment.network
        if invocation.value["phase"] == "start":
            return await _cut(network, invocation)
        return await _heal(network, invocation)


async def _cut(network: Network, invocation: Invocation) -> Mapping[str, Any]:
    wanted = {(source, target) for source, target in invocation.value["cut"]}
    await network.cut(sorted(wanted))
    links = await network.observe()
    silent = sum(not link.heard for link in links if (link.source, link.target) in wanted)
    others = [link.heard for link in links if (link.source, link.target) not in wanted]
    heard = f"{len(others)} others heard" if all(others) else f"{sum(others)} of {len(others)} others heard"
    detail = f"{silent} of {len(wanted)} directed links silent, {heard}"
    # A cut that took more than was asked for is another fault than the one the history would name.
    return observed(invocation, silent == len(wanted) and all(others), detail, links=_links(links))


async def _heal(network: Network, invocation: Invocation) -> Mapping[str, Any]:
    # The counters go with the cut, so they are read while it still stands, if it does.
    cut = [link for link in await network.observe() if link.cut]
    dropped = sum(link.dropped or 0 for link in cut)
    stood = {"stood": not any(link.heard for link in cut)} if cut else {}
    await network.heal()
    links = await network.observe()
    heard = sum(link.heard for link in links)
    detail = f"{heard} of {len(links)} directed links heard"
    return observed(invocation, heard == len(links), detail, **stood, dropped=dropped, links=_links(links))


def _links(links: Sequence[LinkObservation]) -> list[dict[str, Any]]:
    return [
        {
            "source": link.source,
            "target": link.target,
            "cut": link.cut,
            "heard": link.heard,
            "dropped": link.dropped,
        }
        for link in links
    ]
