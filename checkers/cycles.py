"""Cycles in a graph of precedence: which edges lie on one, and a shortest through one of them.

Nodes are numbers from 0; edges are two arrays, `source` and `target`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from checkers.columns import Integers


def on_cycle(nodes: int, source: Integers, target: Integers) -> NDArray[np.bool_]:
    """Which edges lie on a cycle. O(nodes + edges), by strongly connected components (Tarjan 1972)."""
    if not len(source):
        return np.zeros(0, dtype=bool)
    graph = coo_matrix((np.ones(len(source), dtype=np.int8), (source, target)), shape=(nodes, nodes))
    component = connected_components(graph, directed=True, connection="strong")[1]
    same: NDArray[np.bool_] = component[source] == component[target]
    return same


def shortest_cycle(source: Integers, target: Integers, first: int) -> list[int]:
    """Edges of a shortest cycle that begins with the edge `first`, in order. O(edges), breadth first.

    Raises ValueError if that edge lies on none.
    """
    return [first, *shortest_path(source, target, int(target[first]), int(source[first]))]


def shortest_path(source: Integers, target: Integers, start: int, end: int) -> list[int]:
    """Edges of a shortest path between two nodes, in order. O(edges), breadth first.

    Raises ValueError if there is none.
    """
    leaving: dict[int, list[int]] = {}
    for edge, node in enumerate(source.tolist()):
        leaving.setdefault(node, []).append(edge)
    came_by: dict[int, int] = {start: -1}
    ahead = [start]
    for node in ahead:
        if node == end:
            break
        for edge in leaving.get(node, ()):
            to = int(target[edge])
            if to not in came_by:
                came_by[to] = edge
                ahead.append(to)
    if end not in came_by:
        raise ValueError(f"no path leads from {start} to {end}")
    path = []
    at = end
    while at != start:
        path.append(came_by[at])
        at = int(source[came_by[at]])
    return path[::-1]
