"""The dependency graph, small enough to find its components.

1. Nodes are transactions, and helper nodes that each stand for many edges. Barriers stand for real time: a transaction
   that ended leads to the next barrier, barriers lead on, and a barrier leads to the transactions that began after it.
   Fans stand for a version with several writers right after it: a reader leads to the fan, and the fan to every writer
   but the reader.
2. So the graph of n transactions and m dependencies has O(n + m) edges, real time included. Pairs would be n squared.
3. Any path may pass a barrier. Only an anti-dependency enters a fan, and passing the whole fan is that one step.
4. A transaction on a cycle shares a component with another transaction. So only those need to be looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from splitbrain.checkers.histories.columns import FOREVER, OK, Integers
from splitbrain.checkers.transactions.dependencies import Analysis, AntiDependencies, DependencyEdges
from splitbrain.checkers.transactions.micro_operations import Flags, Transactions

Pairs = tuple[Integers, Integers]
"""DependencyEdges: sources and targets."""


def components(size: int, *edges: Pairs) -> Integers:
    """The strongly connected component of each node. O(size + edges)."""
    source, target = (np.concatenate(ends) for ends in zip(*edges, strict=True))
    graph = csr_matrix((np.ones(len(source)), (source, target)), shape=(size, size))
    _, labels = connected_components(graph, directed=True, connection="strong")
    return labels.astype(np.int64)


@dataclass(frozen=True)
class Graph:
    """Dependencies among some transactions, which are numbered from 0 here.

    transactions: their numbers in the history. process, invoked: of each, as in the history.
    completed: when each was certainly over; FOREVER for a crashed one. ww, wr: edges. rw: anti-dependencies.
    entries, entered: the edges of anti-dependencies, and for each the anti-dependency it belongs to.
    fans: edges that lead on from a fan. size: of nodes, fans included, barriers not.
    """

    transactions: Integers
    process: Integers
    invoked: Integers
    completed: Integers
    ww: DependencyEdges
    wr: DependencyEdges
    rw: AntiDependencies
    entries: Pairs
    entered: Integers
    fans: Pairs
    size: int

    @classmethod
    def of(cls, transactions: Transactions, analysis: Analysis) -> Graph:
        """The graph of the committed transactions."""
        t = transactions
        everyone = np.arange(len(t))
        # A crashed transaction may take effect long after its client gave up: it comes before nothing in real time.
        parts = (everyone, t.process, t.invoked, np.where(t.outcome == OK, t.completed, FOREVER))
        return cls._only(analysis.committed, parts, analysis.ww, analysis.wr, analysis.rw)

    @classmethod
    def _only(
        cls, kept: Flags, parts: tuple[Integers, ...], ww: DependencyEdges, wr: DependencyEdges, rw: AntiDependencies
    ) -> Graph:
        """The graph of the transactions kept, renumbered. parts: its first four fields, for all transactions."""
        number = np.cumsum(kept) - 1

        def edges(some: DependencyEdges) -> DependencyEdges:
            both = kept[some.source] & kept[some.target]
            return DependencyEdges(number[some.source[both]], number[some.target[both]], some.by[both], some.of[both])

        writers = kept[rw.writer]
        first = np.concatenate(([0], np.cumsum(writers)))[rw.first]
        readers = kept[rw.reader]
        rw = AntiDependencies.between(
            number[rw.reader[readers]],
            rw.read[readers],
            rw.version[readers],
            first,
            number[rw.writer[writers]],
            rw.write[writers],
        )
        process, invoked, completed = (part[kept] for part in parts[1:])
        return cls._with_helpers(parts[0][kept], process, invoked, completed, edges(ww), edges(wr), rw)

    @classmethod
    def _with_helpers(
        cls,
        transactions: Integers,
        process: Integers,
        invoked: Integers,
        completed: Integers,
        ww: DependencyEdges,
        wr: DependencyEdges,
        rw: AntiDependencies,
    ) -> Graph:
        count = len(transactions)
        sizes = np.diff(rw.first)
        shared = sizes[rw.version] > 1
        alone = np.flatnonzero(~shared)
        # A fan has two nodes for each writer: one leads to it and the writers after it, one to it and those before it.
        fanned = np.repeat(sizes > 1, sizes)
        place = np.flatnonzero(fanned)
        rank = np.full(len(rw.writer), -1)
        rank[place] = np.arange(len(place))
        version = np.repeat(np.arange(len(sizes)), sizes)
        onwards, backwards = count + rank, count + len(place) + rank
        more = place[:-1][version[place[:-1]] == version[place[1:]]]
        fans = (
            np.concatenate((onwards[place], onwards[more], backwards[place], backwards[more + 1])),
            np.concatenate((rw.writer[place], onwards[more + 1], rw.writer[place], backwards[more])),
        )
        among = np.flatnonzero(shared)
        own = _own(rw, among, place, version)
        others, its = among[own < 0], among[own >= 0]
        own = own[own >= 0]
        after = np.flatnonzero(own + 1 < rw.first[rw.version[its] + 1])
        before = np.flatnonzero(own - 1 >= rw.first[rw.version[its]])
        entered = np.concatenate((alone, others, its[after], its[before]))
        target = np.concatenate(
            (
                rw.writer[rw.first[rw.version[alone]]],
                onwards[rw.first[rw.version[others]]],
                onwards[own[after] + 1],
                backwards[own[before] - 1],
            )
        )
        entries = (rw.reader[entered], target)
        size = count + 2 * len(place)
        return cls(transactions, process, invoked, completed, ww, wr, rw, entries, entered, fans, size)

    def __len__(self) -> int:
        return len(self.transactions)

    def order(self, level: str) -> tuple[int, Pairs]:
        """The order that a level assumes: the number of nodes with its helpers, and edges."""
        match level:
            case "-process":
                return self.size, self._process()
            case "-realtime":
                return self._realtime()
            case _:
                return self.size, (np.zeros(0, np.int64), np.zeros(0, np.int64))

    def _process(self) -> Pairs:
        order = np.lexsort((self.invoked, self.process))
        follows = np.flatnonzero(self.process[order[1:]] == self.process[order[:-1]])
        return order[follows], order[follows + 1]

    def _realtime(self) -> tuple[int, Pairs]:
        ended = np.flatnonzero(self.completed != FOREVER)
        begun = np.argsort(self.invoked, kind="stable")
        # How many had begun when it ended. Transactions that end between the same two invocations share a barrier.
        slots = np.searchsorted(self.invoked[begun], self.completed[ended])
        ended, slots = ended[slots < len(begun)], slots[slots < len(begun)]
        used, barrier = np.unique(slots, return_inverse=True)
        before = np.searchsorted(used, np.arange(len(begun)), side="right") - 1
        held = np.flatnonzero(before >= 0)
        nodes = self.size + np.arange(len(used))
        return self.size + len(used), (
            np.concatenate((ended, nodes[:-1], nodes[before[held]])),
            np.concatenate((nodes[barrier], nodes[1:], begun[held])),
        )

    def cyclic(self) -> Graph:
        """The part with cycles: transactions whose component, real time included, has others."""
        size, order = self.order("-realtime")
        every = (*self.dependencies(), self.entries, self.fans, order)
        labels = components(size, *every)
        several = np.bincount(labels[: len(self)], minlength=size) > 1
        parts = (self.transactions, self.process, self.invoked, self.completed)
        return self._only(several[labels[: len(self)]], parts, self.ww, self.wr, self.rw)

    def dependencies(self) -> Sequence[Pairs]:
        """The edges of ww and wr."""
        return (self.ww.source, self.ww.target), (self.wr.source, self.wr.target)


def _own(rw: AntiDependencies, among: Integers, place: Integers, version: Integers) -> Integers:
    """For each of `among`, where its reader is among the writers of the version it read; -1 if nowhere."""
    if not len(place):
        return np.full(len(among), -1)
    width = 1 + int(max(rw.writer.max(initial=0), rw.reader.max(initial=0)))
    names = version[place] * width + rw.writer[place]
    by_name = np.argsort(names)
    wanted = rw.version[among] * width + rw.reader[among]
    found = np.minimum(np.searchsorted(names[by_name], wanted), len(place) - 1)
    return np.where(names[by_name[found]] == wanted, place[by_name[found]], -1)
