"""Partitions: which links are cut, and what was observed of it.

1. A shape is a pure function of nodes and draws: the directed links it cuts. (a, b) is what a sends to b.
2. A partition took effect if no probe over a link it cut arrived, and all others were heard that nothing else disturbs.
   It is healed if probes over all its links arrive, but for those that another strike has cut or degraded.
3. Partitions overlap freely. A link stays cut while any of them cuts it.

After Jepsen's nemesis (Kyle Kingsbury): halves, bridge and majorities ring are his.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from splitbrain.harness.environment import CLIENTS, Environment, Link, LinkObservation
from splitbrain.harness.nemesis.fault_family import FaultFamily, holder, observed
from splitbrain.harness.nemesis.targets import LEADER, PRIMARIES, Targets, in_turn
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import choose, draw, shuffled, split
from splitbrain.harness.system import System

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


def each_alone(some: Collection[str], nodes: Sequence[str]) -> set[Link]:
    """Each of some nodes by itself: all that hold a key, say."""
    return set().union(*(_apart([alone], [node for node in nodes if node != alone]) for alone in some))


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


def clients_cut_off(nodes: Sequence[str], rng: random.Random) -> set[Link]:
    """Clients and a random minority don't hear each other."""
    return _apart([CLIENTS], shuffled(rng, nodes)[: max(1, len(nodes) // 2)])


def clients_unheard(nodes: Sequence[str], rng: random.Random) -> set[Link]:
    """A random minority does what clients ask, and no answer of it arrives."""
    return {(node, CLIENTS) for node in shuffled(rng, nodes)[: max(1, len(nodes) // 2)]}


def _apart(some: Collection[str], others: Collection[str]) -> set[Link]:
    return {link for one in some for other in others for link in ((one, other), (other, one))}


PARTITIONS: Mapping[str, Shape] = {
    "halves": halves,
    "random-halves": random_halves,
    "isolate-one": isolate_one,
    "majorities-ring": majorities_ring,
}


class Partitioner:
    """Cuts links and heals them."""

    def __init__(self, environment: Environment, system: System) -> None:
        self._network = environment.network
        self._members = environment.members

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        if invocation.value["phase"] == "start":
            return await self._cut(invocation)
        return await self._heal(invocation)

    async def _cut(self, invocation: Invocation) -> Mapping[str, Any]:
        wanted = self._links_of(invocation)
        await self._network.cut(sorted(wanted), holder(invocation) or "")
        links = await self._network.observe()
        silent = sum(not link.heard for link in links if (link.source, link.target) in wanted)
        others = [link.heard for link in links if (link.source, link.target) not in wanted and _undisturbed(link)]
        heard = f"{len(others)} others heard" if all(others) else f"{sum(others)} of {len(others)} others heard"
        detail = f"{silent} of {len(wanted)} directed links silent, {heard}"
        # A cut that took more than was asked for is another fault than the one the history would name.
        return observed(invocation, silent == len(wanted) and all(others), detail, links=_links(links))

    def _links_of(self, invocation: Invocation) -> set[Link]:
        """The links that a strike cuts; of one that isolates the leader, those of whoever led when it started."""
        if "cut" in invocation.value:
            return {(source, target) for source, target in invocation.value["cut"]}
        return each_alone(invocation.value["nodes"], list(self._members))

    async def _heal(self, invocation: Invocation) -> Mapping[str, Any]:
        # The counters go with the cut, so they are read while it still stands, if it does.
        mine = self._links_of(invocation) if "strike" in invocation.value else set()
        cut = [link for link in await self._network.observe() if _cut_by(link, mine)]
        dropped = sum(link.dropped or 0 for link in cut)
        stood = {"stood": not any(link.heard for link in cut)} if cut else {}
        await self._network.heal(holder(invocation))
        links = await self._network.observe()
        whole = [link for link in links if _undisturbed(link)]
        heard = sum(link.heard for link in whole)
        detail = f"{heard} of {len(whole)} directed links heard"
        if len(whole) < len(links):
            detail += f"; {len(links) - len(whole)} others are still disturbed"
        return observed(invocation, heard == len(whole), detail, **stood, dropped=dropped, links=_links(links))


def _cut_by(link: LinkObservation, mine: Collection[Link]) -> bool:
    return link.cut and (not mine or (link.source, link.target) in mine)


def _undisturbed(link: LinkObservation) -> bool:
    return not link.cut and link.interference is None


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


def cut_off(
    name: str, summary: str, shapes: Mapping[str, Shape], fewest_nodes: int, ability: str = "cut"
) -> FaultFamily:
    """A family of partitions of these shapes, in turns. It holds nothing (rule 3)."""

    def aim(targets: Targets, seed: int, turn: int) -> Mapping[str, Any]:
        return aimed(shapes, targets, seed, turn)

    return FaultFamily(
        name=name,
        summary=summary,
        requires=frozenset({ability}),
        aim=aim,
        holds=lambda how: (),
        healed=0,
        nemesis=Partitioner,
        fewest_nodes=fewest_nodes,
        shapes=shapes_of(shapes),
    )


def shapes_of(shapes: Mapping[str, Shape]) -> tuple[str, ...]:
    """Their names, with those that only some systems have; none where there is only one, so that nothing is chosen."""
    more = (PRIMARIES, LEADER) if shapes is PARTITIONS else ()
    return (*shapes, *more) if len(shapes) > 1 else ()


def aimed(shapes: Mapping[str, Shape], targets: Targets, seed: int, turn: int) -> dict[str, Any]:
    """What a partition is: the shape whose turn it is, and the links that it cuts."""
    known = dict(shapes)
    if shapes is PARTITIONS and targets.primaries:
        known[PRIMARIES] = lambda nodes, rng: each_alone(choose(rng, targets.primaries), nodes)
    leader = [LEADER] * (shapes is PARTITIONS and targets.led)
    shape = in_turn([*sorted(known), *leader], seed, turn)
    if shape == LEADER:
        return {"shape": shape, "target": LEADER, "nodes": sorted(targets.nodes)}
    cut = known[shape](targets.nodes, draw(split(seed, turn)))
    return {"shape": shape, "cut": [list(link) for link in sorted(cut)]}


FAMILIES = (
    cut_off("partition", "cut the network: halves, random halves, one node alone, a ring of majorities", PARTITIONS, 2),
    cut_off("bridge", "cut the network in two halves that one node still connects", {"bridge": bridge}, 3),
    cut_off("one-way", "some nodes are not heard any more, but hear the others", {"one-way": one_way}, 2),
    cut_off(
        "clients",
        "cut clients off from some nodes, or swallow the answers of these",
        {"cut-off": clients_cut_off, "unheard": clients_unheard},
        1,
        "cut-clients",
    ),
)
