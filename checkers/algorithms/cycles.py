"""Cycles in a directed graph: which edges lie on one, and a shortest cycle through a given edge.

Nodes are numbers from 0; edges are two arrays, `source` and `target`.
"""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from splitbrain.checkers.histories.columns import Integers


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

    Raises ValueError if that edge lies on no cycle.
    """
    return [first, *shortest_path(source, target, int(target[first]), int(source[first]))]


def shortest_path(source: Integers, target: Integers, start: int, end: int) -> list[int]:
    """Edges of a shortest path between two nodes, in order. O(edges), breadth first from both ends.

    Raises ValueError if there is none.
    """
    graph: nx.DiGraph[int] = nx.DiGraph()
    # Added in reverse, so that the first of parallel edges stays.
    for edge in range(len(source) - 1, -1, -1):
        graph.add_edge(int(source[edge]), int(target[edge]), number=edge)
    try:
        nodes = nx.shortest_path(graph, start, end)
    except (nx.NetworkXNoPath, nx.NodeNotFound):
        raise ValueError(f"no path leads from {start} to {end}") from None
    return [int(graph.edges[pair]["number"]) for pair in pairwise(nodes)]
