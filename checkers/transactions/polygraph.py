"""Polygraphs: every order that the versions of a history could have, as one graph with choices.

1. A transaction is a node at which it begins and one at which it commits; if it must be serializable, both are one.
   What one transaction saw or overwrote of another leads from a commit to a beginning: it was in the snapshot. What it
   did not see leads from its beginning to a commit.
2. Two writers of a key have no order of their own: it is a *choice*. Either the first commits before the second begins,
   and those who read the first one's version begin before the second commits; or the other way round.
3. Some order of the versions explains the history if and only if the choices can be made so that no cycle is left. Then
   begin and commit in any order of the nodes that the edges allow: each snapshot has what was read from it, and no two
   that overlap write one key (Cerone and Gotsman 2016; for serializability Papadimitriou 1979).
4. A choice is *forced* if one of its edges would close a cycle with those that are there. Those of the other way are
   added, until nothing is forced any more.

Cobra (OSDI 2020), sections 3 and 4; PolySI (VLDB 2023), section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush

import numpy as np

from splitbrain.checkers.histories.columns import FOREVER, Integers
from splitbrain.checkers.transactions.anomalies import LEVELS
from splitbrain.checkers.transactions.dependencies import Unordered
from splitbrain.checkers.transactions.graph import Graph, components

Edge = tuple[int, int]
Edges = tuple[Edge, ...]


class Contradiction(Exception):
    """No order of the versions is left."""


@dataclass
class Polygraph:
    """size: of nodes. fixed: edges that every order has. choices: by choice, the edges of the one way and the other.
    likely: by node, when it probably was.
    """

    size: int
    fixed: set[Edge]
    choices: list[tuple[Edges, Edges]]
    likely: list[int]

    @classmethod
    def of(
        cls, graph: Graph, unordered: Unordered, *, snapshots: bool, level: str, overlapping: bool = False
    ) -> Polygraph:
        """The polygraph of a history.

        graph: its dependencies, of all committed transactions. unordered: who wrote and read what, in which the order
        is not known. snapshots: whether snapshots suffice, or it must be serializable. level: of `LEVELS`, the order in
        time that was promised. overlapping: whether two that overlap may write one key, so that of two versions only
        the commits have an order (prefix consistency).
        """
        helped, order = graph.order(level)
        shift = helped if snapshots else 0  # A commit is the node after all beginnings and helpers.
        count = len(graph)
        fixed: set[Edge] = set()

        def commit(node: int) -> int:
            return node + shift if node < count else node

        def following(node: int) -> int:
            return commit(node) if overlapping else node

        (earlier, later), wr = graph.dependencies()
        fixed.update((commit(one), following(two)) for one, two in zip(earlier.tolist(), later.tolist(), strict=True))
        for source, target in (wr, order):
            fixed.update((commit(one), two) for one, two in zip(source.tolist(), target.tolist(), strict=True))
        for source, target in (graph.entries, graph.fans):
            fixed.update((one, commit(two)) for one, two in zip(source.tolist(), target.tolist(), strict=True))
        if snapshots:
            fixed.update((node, node + shift) for node in range(count))
        number = {txn: node for node, txn in enumerate(graph.transactions.tolist())}
        readers: dict[int, list[int]] = {}
        for txn, version in zip(unordered.reader.tolist(), unordered.version.tolist(), strict=True):
            if txn in number:
                readers.setdefault(version, []).append(number[txn])
        by_key: dict[int, list[tuple[int, int]]] = {}
        columns = unordered.key.tolist(), unordered.writer.tolist(), unordered.written.tolist()
        for key, txn, version in zip(*columns, strict=True):
            by_key.setdefault(key, []).append((number[txn], version))
        choices: list[tuple[Edges, Edges]] = []
        # In real time most writers of a key have their order already, and so have most of those who read it.
        timed, begun, over = level == LEVELS[-1], graph.invoked.tolist(), graph.completed.tolist()

        def late_edges(one: int, two: int, several: Sequence[int]) -> Edges:
            late = [each for each in several if over[each] >= begun[two]]
            return before(one, two, late)[1:]

        def before(one: int, two: int, several: Sequence[int]) -> Edges:
            """The edges of one writer before the other. several: those who read the version of the first."""
            unseen = [(reader, commit(two)) for reader in several if reader not in (one, two)]
            return tuple(dict.fromkeys([(commit(one), following(two)), *unseen]))

        for writers in by_key.values():
            for at, (one, first) in enumerate(writers):
                for two, second in writers[at + 1 :]:
                    if one == two:
                        continue
                    if timed and over[one] < begun[two]:
                        fixed.update(late_edges(one, two, readers.get(first, ())))
                    elif timed and over[two] < begun[one]:
                        fixed.update(late_edges(two, one, readers.get(second, ())))
                    else:
                        there = before(one, two, readers.get(first, ()))
                        choices.append((there, before(two, one, readers.get(second, ()))))
        ends = np.where(graph.completed == FOREVER, graph.invoked, graph.completed)
        begins = graph.invoked if snapshots else (graph.invoked + ends) // 2
        likely = [*begins.tolist(), *[0] * (helped - count), *(ends.tolist() if snapshots else ())]
        return cls(helped + (count if snapshots else 0), fixed, choices, likely)

    @cached_property
    def columns(self) -> dict[int, int]:
        """The nodes at which an edge of a choice begins, numbered."""
        begins = dict.fromkeys(one for choice in self.choices for way in choice for one, _ in way)
        return {node: at for at, node in enumerate(begins)}

    @property
    def bits_bytes(self) -> int:
        """What `saturate` needs to know which node leads where."""
        return self.size * len(self.columns) // 8

    def saturate(self, watch: Callable[[str], None]) -> None:
        """Make the choices that are forced. Raises Contradiction if there is no way to.

        watch: is told what goes on, now and then.
        """
        while True:
            watch("the orders that are forced")
            reached = self._reached()
            left = []
            for at, (one, two) in enumerate(self.choices):
                if not at % 10_000:
                    watch("the orders that are forced")
                if not self._fits(two, reached):
                    self.fixed.update(one)
                elif not self._fits(one, reached):
                    self.fixed.update(two)
                else:
                    left.append((one, two))
            if len(left) == len(self.choices):
                return
            self.choices = left

    def _fits(self, edges: Edges, reached: Sequence[int]) -> bool:
        """Whether none of the edges closes a cycle."""
        columns = self.columns
        return all(not reached[two] >> columns[one] & 1 for one, two in edges)

    def _reached(self) -> list[int]:
        """By node, the columns of the nodes that it leads to, itself included, as bits."""
        found = [0] * self.size
        for node, column in self.columns.items():
            found[node] = 1 << column
        following: list[list[int]] = [[] for _ in range(self.size)]
        for one, two in self.fixed:
            following[one].append(two)
        for node in reversed(_sorted(self.size, self.fixed, self.likely)):
            bits = found[node]
            for each in following[node]:
                bits |= found[each]
            found[node] = bits
        return found

    def order(self) -> Integers:
        """By node, its place in the likeliest order that the fixed edges allow."""
        place = np.empty(self.size, np.int64)
        place[_sorted(self.size, self.fixed, self.likely)] = np.arange(self.size)
        return place


def _sorted(size: int, edges: set[Edge], first: Sequence[int]) -> list[int]:
    """The nodes in an order that the edges allow, by `first` where they are free. Raises Contradiction."""
    following: list[list[int]] = [[] for _ in range(size)]
    missing = [0] * size
    for one, two in edges:
        following[one].append(two)
        missing[two] += 1
    free = [(first[node], node) for node in range(size) if not missing[node]]
    heapify(free)
    found = []
    while free:
        _, node = heappop(free)
        found.append(node)
        for each in following[node]:
            missing[each] -= 1
            if not missing[each]:
                heappush(free, (first[each], each))
    if len(found) < size:
        raise Contradiction
    return found


def cyclic_nodes(size: int, source: Integers, target: Integers) -> Integers:
    """By node, the component that it shares with others; -1 if it shares none."""
    labels = components(size, (source, target))
    return np.where(np.bincount(labels)[labels] > 1, labels, -1)
