"""Which kinds of cycles there are, in polynomial time however large the components.

Every ww, wr and rw is charged with the first kind of cycle that it is on. Levels come in this order: data alone, then
with the order within processes, then with real time. At each level, kinds come in this order:

1. G0: a ww whose ends are in one component of ww. G1c: a wr whose ends are in one component of ww and wr.
2. G-single: a read whose version was overwritten by a transaction from which ww and wr lead back to the reader.
3. For the other two kinds, transactions on a cycle of ww and wr are set aside, and so are the reads of rule 2 at this
   level or a lesser one. In what remains, take a component of ww, wr and rw that has a closed path without two rw in a
   row. It is G-nonadjacent, with all its reads. Such a path holds a cycle of the kind, because any way of cutting it
   leaves one.
4. Then these reads are set aside too, and those of G2-item at lesser levels. Any component left is a G2-item.
5. So a kind is found if and only if some cycle shows it that nothing worse or simpler explains. Setting aside loses no
   consistency model: a kind that explains another forbids what that forbids.

Components are found in linear time. Only rule 2 needs more. First, which reads lie on a closed path without two rw in a
row: linear, by components of pairs of a node and whether an rw led there. Then, which of these are led back to
(`reachability`).

Elle searches for each kind of cycle with a time limit, and so may find fewer: elle/txn.clj.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.transactions.anomalies import LEVELS
from splitbrain.checkers.transactions.graph import Graph, Pairs, components
from splitbrain.checkers.transactions.micro_operations import Flags
from splitbrain.checkers.transactions.reachability import reaches

Watch = Callable[[str], None]


@dataclass(frozen=True)
class Kind:
    """A kind of cycle that was found.

    charged: the numbers of the ww, wr or anti-dependencies charged with it. Each is on such a cycle, except that those
    of G-nonadjacent share a component with one. core: those of them that are on closed paths of the kind.
    components: how many components of the level's whole graph they are in.
    free, live: the transactions and the anti-dependencies that its cycles may use.
    """

    name: str
    level: str
    charged: Integers
    core: Integers
    components: int
    free: Flags
    live: Flags


def kinds(graph: Graph, watch: Watch) -> list[Kind]:
    """All kinds of cycles in the graph, by level and severity. watch: called with the next stage; raises to stop."""
    found: list[Kind] = []
    charged = _Charged(graph, watch)
    if len(graph):
        for level in LEVELS:
            found += charged.level(level)
    return found


class _Charged:
    """The dependencies charged so far."""

    def __init__(self, graph: Graph, watch: Watch) -> None:
        self.graph, self.watch = graph, watch
        self.ww, self.wr = np.zeros(len(graph.ww), bool), np.zeros(len(graph.wr), bool)
        self.single, self.nonadjacent, self.item = (np.zeros(len(graph.rw), bool) for _ in range(3))

    def level(self, level: str) -> list[Kind]:
        graph = self.graph
        ww, wr = graph.dependencies()
        size, order = graph.order(level)
        everyone, none = np.ones(len(graph), bool), np.zeros(len(graph.rw), bool)
        found: list[Kind] = []
        whole = components(size, ww, wr, order, graph.entries, graph.fans)
        if int(whole.max()) + 1 == size:
            return found
        self.watch(f"cycles of the kind G0{level}")
        labels = components(size, ww, order)
        charged = (labels[ww[0]] == labels[ww[1]]) & ~self.ww
        self.ww |= charged
        found.append(_kind("G0", level, charged, whole[ww[0]], everyone, none))
        self.watch(f"cycles of the kind G1c{level}")
        labels = components(size, ww, wr, order)
        charged = (labels[wr[0]] == labels[wr[1]]) & ~self.wr
        self.wr |= charged
        found.append(_kind("G1c", level, charged, whole[wr[0]], everyone, none))

        self.watch(f"cycles of the kind G-single{level}")
        steps = _joined(ww, wr, order)
        charged = self._singles(size, steps, order, labels)
        self.single |= charged
        found.append(_kind("G-single", level, charged, whole[graph.rw.reader], everyone, none))

        self.watch(f"cycles of the kind G-nonadjacent{level}")
        free = np.bincount(labels[: len(graph)], minlength=size)[labels[: len(graph)]] == 1
        passable = np.concatenate((free, np.ones(size - len(graph), bool)))
        steps, fans = _among(steps, passable), _among(graph.fans, passable)
        live = ~self.single & ~self.nonadjacent
        charged, core = self._nonadjacent(size, steps, fans, live, free)
        self.nonadjacent |= charged
        kind = _kind("G-nonadjacent", level, charged, whole[graph.rw.reader], free, live)
        found.append(replace(kind, core=core))
        self.watch(f"cycles of the kind G2-item{level}")
        live = ~self.single & ~self.nonadjacent & ~self.item
        entries, entered = self._entries(live, free)
        labels = components(size, steps, fans, entries)
        charged, inside = none.copy(), labels[entries[0]] == labels[entries[1]]
        charged[entered[inside]] = True
        self.item |= charged
        found.append(_kind("G2-item", level, charged, whole[graph.rw.reader], free, live))
        return [kind for kind in found if len(kind.charged)]

    def _entries(self, live: Flags, free: Flags) -> tuple[Pairs, Integers]:
        """The edges of live anti-dependencies among free transactions, and the anti-dependency of each."""
        graph = self.graph
        source, target = graph.entries
        into = np.concatenate((free, np.ones(graph.size - len(graph), bool)))
        kept = live[graph.entered] & free[source] & into[target]
        return (source[kept], target[kept]), graph.entered[kept]

    def _singles(self, size: int, steps: Pairs, order: Pairs, labels: Integers) -> Flags:
        """Rule 2. steps: ww, wr and the level's order. labels: their components."""
        graph = self.graph
        closed = np.zeros(len(graph.rw), bool)
        entries, entered = self._entries(~self.single, np.ones(len(graph), bool))
        paths = _by_last_step(size, steps, graph.fans, entries)
        on_path = np.flatnonzero(paths[entries[0]] == paths[entries[1] + size])
        if not len(on_path):
            return closed
        several = np.bincount(paths) > 1
        # A path back uses only edges that are on closed paths themselves.
        near = several[paths[:size]] | several[paths[size:]]
        edges = _among(_joined(steps, graph.fans), near)
        edges = (labels[edges[0]], labels[edges[1]])
        edges = _among(edges, np.ones(size, bool), distinct=True)
        number = np.full(size, -1)
        used = np.unique(np.concatenate((*edges, labels[entries[0][on_path]], labels[entries[1][on_path]])))
        number[used] = np.arange(len(used))
        asked = number[labels[entries[1][on_path]]], number[labels[entries[0][on_path]]]
        time = np.full(size, np.iinfo(np.int64).max)
        np.minimum.at(time, labels[: len(graph)], graph.invoked)
        # A helper node comes just before the transactions that it leads to.
        helped = _joined(order, graph.fans)
        into = (helped[0] >= len(graph)) & (helped[1] < len(graph))
        np.minimum.at(time, labels[helped[0][into]], graph.invoked[helped[1][into]] - 1)
        back = reaches((number[edges[0]], number[edges[1]]), time[used], asked, self.watch)
        closed[entered[on_path[back]]] = True
        return closed

    def _nonadjacent(self, size: int, steps: Pairs, fans: Pairs, live: Flags, free: Flags) -> tuple[Flags, Integers]:
        """Rule 3: the anti-dependencies charged, and those of them on closed paths of the kind."""
        entries, entered = self._entries(live, free)
        paths = _by_last_step(size, steps, fans, entries)
        on_path = paths[entries[0]] == paths[entries[1] + size]
        labels = components(size, steps, fans, entries)
        shown = np.zeros(size, bool)
        shown[labels[entries[0][on_path]]] = True
        inside = (labels[entries[0]] == labels[entries[1]]) & shown[labels[entries[0]]]
        charged = np.zeros(len(live), bool)
        charged[entered[inside]] = True
        return charged, np.unique(entered[on_path])


def _by_last_step(size: int, steps: Pairs, fans: Pairs, entries: Pairs) -> Integers:
    """Components of paths without two rw in a row, by how a node was reached: node n by another step, node size + n by
    an rw.
    """
    source, target = steps
    # Any other step leads back to the lower half. The edges of a fan belong to the rw, and stay in the upper half.
    return components(
        2 * size,
        (source, target),
        (source + size, target),
        (fans[0] + size, fans[1] + size),
        (entries[0], entries[1] + size),
    )


def _kind(name: str, level: str, charged: Flags, labels: Integers, free: Flags, live: Flags) -> Kind:
    numbers = np.flatnonzero(charged)
    return Kind(name + level, level, numbers, numbers, len(np.unique(labels[numbers])), free, live)


def _joined(*edges: Pairs) -> Pairs:
    return np.concatenate([pair[0] for pair in edges]), np.concatenate([pair[1] for pair in edges])


def _among(edges: Pairs, nodes: Flags, *, distinct: bool = False) -> Pairs:
    kept = nodes[edges[0]] & nodes[edges[1]]
    if distinct:
        kept &= edges[0] != edges[1]
    return edges[0][kept], edges[1][kept]
