"""Short cycles of a kind, as examples of it.

1. The search starts at a dependency that is charged with the kind. It proceeds level by level until it is back where
   the dependency began. The first way back is a shortest one. The process and real-time orders count as one step,
   however many transactions lie between.
2. The charged dependencies are tried in the order of the history. Only cycles no longer than the shortest so far are
   searched for. The search ends when there are enough of the shortest possible, or the work allowed for a kind is done.
3. A closed path for G-nonadjacent may meet a transaction twice. Then the part that is still of the kind is kept.

networkx would not do: it needs a graph of objects, and its shortest paths know neither of rw that must not be in a row
nor of a real-time order without edges.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.transactions.cycle_kinds import Kind
from splitbrain.checkers.transactions.dependencies import EXAMPLES, DependencyEdges
from splitbrain.checkers.transactions.graph import Graph

_WORK = 400_000  # Steps a kind: about a second.
_LONG = 12  # Of cycles that have more transactions, one is enough.
_LEAST = {"G-nonadjacent": 4}  # Two rw with something between them, and again. Others can have two transactions.


@dataclass(frozen=True)
class Cycle:
    """Transactions, numbered as in the graph, and how each leads to the next, the last one to the first.

    steps: `ww`, `wr`, `rw`, `process` or `realtime`.
    """

    transactions: tuple[int, ...]
    steps: tuple[str, ...]


def shortest(graph: Graph, kind: Kind) -> list[Cycle]:
    """A few cycles of that kind, the shortest first; at least one. The work after the first is bounded."""
    search = _Search(graph, kind)
    least = _LEAST.get(kind.name.removesuffix(kind.level), 2)
    found: dict[frozenset[int], Cycle] = {}
    limit = len(graph) * 2 + 1
    for source, targets, step in search.starts():
        enough = sum(len(cycle.steps) == least for cycle in found.values()) >= EXAMPLES
        if enough or (found and search.work > _WORK):
            break
        cycle = search.back(source, targets, step, limit)
        if cycle is not None:
            limit = min(limit, len(cycle.steps))
            found.setdefault(frozenset(cycle.transactions), cycle)
    first, *others = sorted(found.values(), key=lambda cycle: len(cycle.steps))[:EXAMPLES]
    return [first, *(cycle for cycle in others if len(cycle.steps) <= _LONG)]


def _following(edges: DependencyEdges, count: int) -> list[list[int]]:
    order = np.argsort(edges.source, kind="stable")
    starts = np.searchsorted(edges.source[order], np.arange(count + 1)).tolist()
    targets = edges.target[order].tolist()
    return [targets[starts[at] : starts[at + 1]] for at in range(count)]


class _Search:
    """A state is twice a transaction, plus 1 if an rw led there and that matters."""

    def __init__(self, graph: Graph, kind: Kind) -> None:
        self.graph, self.kind, self.work = graph, kind, 0
        name = kind.name.removesuffix(kind.level)
        self.name = name
        self.adjacent = name != "G-nonadjacent"
        self.free = kind.free.tolist()
        data = [("ww", graph.ww)] if name == "G0" else [("ww", graph.ww), ("wr", graph.wr)]
        self.data = [(step, _following(edges, len(graph))) for step, edges in data]
        self.reads: dict[int, list[int]] = defaultdict(list)
        if name in ("G-nonadjacent", "G2-item"):
            for number in np.flatnonzero(kind.live).tolist():
                self.reads[int(graph.rw.reader[number])].append(number)
        self.process = graph.process.tolist()
        self.completed = graph.completed.tolist()
        self.begun = np.argsort(graph.invoked, kind="stable").tolist()
        self.invoked = graph.invoked[self.begun].tolist()
        self.by_process: dict[int, list[int]] = defaultdict(list)
        for txn in self.begun if kind.level else ():
            self.by_process[self.process[txn]].append(txn)
        self.turn = {txn: turn for line in self.by_process.values() for turn, txn in enumerate(line)}

    def starts(self) -> Iterator[tuple[int, list[int], str]]:
        """Charged dependencies: where each begins, where it leads, and its step."""
        rw = self.graph.rw
        edges = {"G0": ("ww", self.graph.ww), "G1c": ("wr", self.graph.wr)}.get(self.name)
        for number in self.kind.core.tolist():
            if edges is not None:
                yield int(edges[1].source[number]), [int(edges[1].target[number])], edges[0]
            else:
                reader = int(rw.reader[number])
                yield reader, self._overwriters(number, reader), "rw"

    def _overwriters(self, number: int, reader: int) -> list[int]:
        writers = self.graph.rw.writers(int(self.graph.rw.version[number]))
        return [writer for writer, _ in writers if writer != reader and self.free[writer]]

    def back(self, source: int, targets: list[int], step: str, limit: int) -> Cycle | None:
        """The shortest cycle of at most `limit` steps that leads from source to one of the targets and back."""
        led = 0 if self.adjacent else 1
        came: dict[int, tuple[int, str]] = {target * 2 + led: (-1, step) for target in targets}
        frontier, length, goal = list(came), 1, source * 2
        self.ahead = len(self.begun)
        self.turns = {process: len(line) for process, line in self.by_process.items()}
        self.spread: dict[int, int] = {}
        while frontier and length < limit:
            length += 1
            reached: list[int] = []
            for state in frontier:
                for following, how in self._steps(state):
                    if following not in came:
                        came[following] = (state, how)
                        reached.append(following)
            self.work += len(reached) + len(frontier)
            if goal in came:
                return self._cycle(goal, came)
            frontier = reached
        return None

    def _steps(self, state: int) -> Iterator[tuple[int, str]]:
        txn, free = state >> 1, self.free
        for how, following in self.data:
            for each in following[txn]:
                if free[each]:
                    yield each * 2, how
        if self.adjacent or not state & 1:
            yield from self._overwritten(txn)
        if not self.kind.level:
            return
        # Anything later in the same order was already reached from an earlier transaction.
        line, turn = self.by_process[self.process[txn]], self.turn[txn] + 1
        for each in line[turn : self.turns[self.process[txn]]]:
            if free[each]:
                yield each * 2, "process"
        self.turns[self.process[txn]] = min(turn, self.turns[self.process[txn]])
        if self.kind.level == "-realtime" and self.completed[txn] != FOREVER:
            after = bisect_right(self.invoked, self.completed[txn])
            for each in self.begun[after : self.ahead]:
                if free[each]:
                    yield each * 2, "realtime"
            self.ahead = min(after, self.ahead)

    def _overwritten(self, txn: int) -> Iterator[tuple[int, str]]:
        for number in self.reads.get(txn, ()):
            version = int(self.graph.rw.version[number])
            # The first reader leads to all writers but itself. A second can add only the first, and a third nothing.
            first = self.spread.setdefault(version, txn)
            if first == txn:
                following = self._overwriters(number, txn)
            elif first >= 0:
                self.spread[version] = -1
                following = [first] if first in self._overwriters(number, txn) else []
            else:
                following = []
            for each in following:
                yield each * 2 + (0 if self.adjacent else 1), "rw"

    def _cycle(self, goal: int, came: dict[int, tuple[int, str]]) -> Cycle:
        transactions: list[int] = []
        steps: list[str] = []
        state = goal
        while state >= 0:
            state_before, how = came[state]
            steps.append(how)
            transactions.append(state >> 1)
            state = state_before
        # Walked backwards: the goal is the source, and each step leads from the transaction before.
        transactions = [transactions[0], *reversed(transactions[1:])]
        return _simple(Cycle(tuple(transactions), tuple(reversed(steps))))


def _simple(cycle: Cycle) -> Cycle:
    """The cycle; or if it meets a transaction twice, a part that does not, without two rw in a row if it had none."""
    seen: dict[int, int] = {}
    for at, txn in enumerate(cycle.transactions):
        if txn not in seen:
            seen[txn] = at
            continue
        begin = seen[txn]
        parts = [
            Cycle(cycle.transactions[begin:at], cycle.steps[begin:at]),
            Cycle(cycle.transactions[at:] + cycle.transactions[:begin], cycle.steps[at:] + cycle.steps[:begin]),
        ]
        return _simple(min(filter(_apart, parts), key=lambda part: len(part.steps)))
    return cycle


def _apart(cycle: Cycle) -> bool:
    return ("rw", "rw") not in zip(cycle.steps, cycle.steps[1:] + cycle.steps[:1], strict=True)
