"""Topologies: which nodes a node is told are its neighbours, where a workload has it told.

They are hints: a program may talk to whom it likes. Each is connected, and neighbours are each other's.

Source: the topologies that Maelstrom's broadcast workload offers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import isqrt

Topology = dict[str, list[str]]


def line(nodes: Sequence[str]) -> Topology:
    """Each node beside the next one.

    >>> line(["n1", "n2", "n3"])
    {'n1': ['n2'], 'n2': ['n1', 'n3'], 'n3': ['n2']}
    """
    return _of(nodes, list(pairwise(nodes)))


def grid(nodes: Sequence[str]) -> Topology:
    """Nodes in rows of a square, each beside those next to it.

    >>> grid(["n1", "n2", "n3", "n4", "n5"])["n1"]
    ['n2', 'n4']
    """
    width = isqrt(max(0, len(nodes) - 1)) + 1
    across = [(nodes[at], nodes[at + 1]) for at in range(len(nodes) - 1) if (at + 1) % width]
    down = [(nodes[at], nodes[at + width]) for at in range(len(nodes) - width)]
    return _of(nodes, across + down)


def tree(nodes: Sequence[str]) -> Topology:
    """A tree in which each node has up to four children."""
    return _of(nodes, [(nodes[(at - 1) // 4], nodes[at]) for at in range(1, len(nodes))])


def total(nodes: Sequence[str]) -> Topology:
    """Each node beside all others."""
    return {node: [other for other in nodes if other != node] for node in nodes}


TOPOLOGIES: Mapping[str, Callable[[Sequence[str]], Topology]] = {
    "grid": grid,
    "line": line,
    "tree": tree,
    "total": total,
}
"""By name."""


def _of(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> Topology:
    found: Topology = {node: [] for node in nodes}
    for one, other in edges:
        found[one].append(other)
        found[other].append(one)
    return found
