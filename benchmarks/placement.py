"""How evenly each partitioning strategy spreads load, beside figure 8 of the Dynamo paper, and what a join moves.

    python -m benchmarks.placement

Figure 8 (section 6.2): 30 nodes, N=3, load-balancing efficiency (the mean load of a node over that of the hottest)
against the size of the membership metadata each node keeps. How it is read here:

- Load: requests are even over the hash space, and each is served by the N primary replicas of its key alike. So a
  node's load is the total width of the ranges it is a primary replica of.
- Metadata entries: with strategies 1 and 2 the tokens of all nodes, T * S, so T is 2 to 1,024; with strategy 3 the
  owners of all partitions, Q. Strategy 2 has 1,024 partitions throughout.
- Figures are means over rings of differently named nodes. What is random follows from the numbers of the rings.

Strategy 3 is measured three times. "at random": Q/S partitions a node, shuffled; where two of one node lie within reach
of a walk, one serves for its neighbours too. That is all that is lost there, and it is the paper's curve. "as dealt":
how this store deals to nodes that begin together; it keeps a node's partitions apart. "as grown": this store, from 3
nodes by 27 joins. Q * N / S is whole at every size here, so these two can reach 1.

What a join moves: of all copies of keys (each key has N), the share that goes to another node, exactly and not by
sampling. 1/S of them is what the newcomer must get; more is shuffled among others. Ranges cut: those in which a node
has to search for what it hands over, since only a part of each goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from random import Random
from statistics import mean

from splitbrain.store.config import Config, Member
from splitbrain.store.ring import placement
from splitbrain.store.ring.ring import RING_SIZE, Ring, clockwise

NODES, N, PARTITIONS = 30, 3, 1024
SIZES = [60 << step for step in range(10)]
RINGS = 20

PAPER = {
    "1": (0.52, 0.61, 0.69, 0.76, 0.82, 0.87, 0.91, 0.93, 0.95, 0.96),
    "2": (0.53, 0.61, 0.70, 0.76, 0.82, 0.85, 0.88, 0.87, 0.85, 0.84),
    "3": (0.86, 0.87, 0.90, 0.92, 0.94, 0.96, 0.97, 0.98, 0.98, 0.99),
}


def members(ring: int, nodes: int) -> list[Member]:
    """The members of the ring of that number."""
    return [Member(f"r{ring}n{node}", ("10.0.0.1", 7000 + node)) for node in range(nodes)]


def efficiency(ranges: Iterable[tuple[int, Iterable[str]]]) -> float:
    """Mean load over greatest load, given how wide each range is and who its primary replicas are."""
    loads: Counter[str] = Counter()
    for width, primaries in ranges:
        for primary in primaries:
            loads[primary] += width
    return sum(loads.values()) / NODES / max(loads.values())


def random_tokens(strategy: int, ring: int, entries: int) -> float:
    """Strategies 1 and 2."""
    made = Ring(members(ring, NODES), Config(strategy=strategy, tokens=entries // NODES, partitions=PARTITIONS))
    ranges = map(made.range, range(made.partitions))
    return efficiency((end - start, made.primaries_of(partition)) for partition, (start, end) in enumerate(ranges))


def equal_partitions(owners: list[str]) -> float:
    """Strategy 3. A `Ring` has fewer partitions than the figure goes up to."""
    return efficiency((1, islice(clockwise(owners, partition), N)) for partition in range(len(owners)))


def at_random(ring: int, entries: int) -> list[str]:
    """Owners by partition, shuffled."""
    owners = [member.name for member in members(ring, NODES)] * (entries // NODES)
    Random(f"{ring}/{entries}").shuffle(owners)
    return owners


def as_dealt(ring: int, entries: int) -> list[str]:
    """Owners by partition among nodes that begin together."""
    return placement.deal({member.name: member for member in members(ring, NODES)}, entries, N)


def as_grown(ring: int, entries: int) -> list[str]:
    """Owners by partition after joins one by one."""
    joining = members(ring, NODES)
    there = {member.name: member for member in joining[:N]}
    owners = placement.deal(there, entries, N)
    for member in joining[N:]:
        owners = placement.take(owners, there, member, N)
        there[member.name] = member
    return owners


def figure_8() -> None:
    """Print the table."""
    rows: list[tuple[str, str, int, Callable[[int, int], float]]] = [
        ("1", "strategy 1", RINGS, lambda ring, entries: random_tokens(1, ring, entries)),
        ("2", f"strategy 2, Q={PARTITIONS}", RINGS, lambda ring, entries: random_tokens(2, ring, entries)),
        ("3", "strategy 3, at random", RINGS, lambda ring, entries: equal_partitions(at_random(ring, entries))),
        ("", "strategy 3, as dealt", RINGS, lambda ring, entries: equal_partitions(as_dealt(ring, entries))),
        ("", "strategy 3, as grown", 1, lambda ring, entries: equal_partitions(as_grown(ring, entries))),
    ]
    print(f"mean/max load, {NODES} nodes, N={N}, by entries of metadata")
    print(f"{'':26}" + "".join(f"{size:>7,}" for size in SIZES))
    for paper, title, rings, measure in rows:
        figures = [mean(measure(ring, size) for ring in range(rings)) for size in SIZES]
        print(f"{title:26}" + "".join(f"{figure:7.2f}" for figure in figures))
        if paper:
            print(f"{'   the paper':26}" + "".join(f"{figure:7.2f}" for figure in PAPER[paper]))


def moved(before: Ring, newcomer: Member) -> tuple[float, float, int]:
    """What a join moves: the share of copies that go to the newcomer, to other nodes, and how many ranges it cuts."""
    after = before.joined(newcomer)
    got = others = 0
    for partition in range(after.partitions):
        # Ranges after a join are those before it, or parts of them.
        start, end = after.range(partition)
        new = set(after.primaries_of(partition)).difference(before.primaries_of(before.partition_at(start)))
        got += (end - start) * (newcomer.name in new)
        others += (end - start) * len(new - {newcomer.name})
    ends = {before.range(partition)[1] for partition in range(before.partitions)}
    ends_after = {after.range(partition)[1] for partition in range(after.partitions)}
    return got / RING_SIZE / N, others / RING_SIZE / N, len(ends_after - ends)


def joins() -> None:
    """Print the table."""
    for nodes, tokens, partitions in ((5, 16, 64), (NODES, 32, PARTITIONS)):
        even = 1 / (nodes + 1)
        print(f"\na join to {nodes} nodes, N={N}, T={tokens}, Q={partitions}: 1/S = {even:.2%} of all copies")
        for strategy in (1, 2, 3):
            config = Config(strategy=strategy, tokens=tokens, partitions=partitions)
            results = []
            for ring in range(RINGS):
                *there, newcomer = members(ring, nodes + 1)
                results.append(moved(Ring(there, config), newcomer))
            got, others, cut = zip(*results, strict=True)
            print(
                f"strategy {strategy}: to the newcomer {mean(got):.2%} ({min(got):.2%} to {max(got):.2%}), "
                f"to others {mean(others):.2%}; ranges cut {mean(cut):.1f}"
            )


if __name__ == "__main__":
    figure_8()
    joins()
