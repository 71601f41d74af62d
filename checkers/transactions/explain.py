"""Explaining a cycle: as a paragraph for people, and as nodes and edges.

1. The transactions of a cycle are named T1, T2, ... in its order.
2. Each step says why one must precede the next. They can't all: that is the contradiction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitbrain.checkers.histories.prose import count, seconds
from splitbrain.checkers.transactions import wording
from splitbrain.checkers.transactions.anomalies import MEANING
from splitbrain.checkers.transactions.dependencies import Analysis, DependencyEdges, Example
from splitbrain.checkers.transactions.graph import Graph
from splitbrain.checkers.transactions.micro_operations import Transactions
from splitbrain.checkers.transactions.shortest import Cycle

_SHOWN = 12  # Transactions of a cycle in a paragraph; the data has more.
_DRAWN = 200


def explain(name: str, cycle: Cycle, graph: Graph, analysis: Analysis, transactions: Transactions) -> Example:
    """The cycle as an example of that anomaly."""
    steps = _Steps(graph, analysis, transactions)
    numbers = [int(graph.transactions[txn]) for txn in cycle.transactions]
    size = len(numbers)
    edges = []
    # If the cycle is longer than what is drawn: the edges between transactions that are.
    for at in range(size if size <= _DRAWN else _DRAWN - 1):
        following = (at + 1) % size
        edge = steps.why(cycle.steps[at], cycle.transactions[at], cycle.transactions[following], at + 1, following + 1)
        edges.append({"from": f"T{at + 1}", "to": f"T{following + 1}", "type": cycle.steps[at], **edge})
    meaning = _meaning(name, cycle)
    lines = [f"{name} ({meaning}): {count(size, 'transaction')}, each of which must come before the next."]
    for at in range(min(size, _SHOWN)):
        lines.append(
            f"T{at + 1} is {wording.who(transactions, numbers[at])}: {wording.what(transactions, numbers[at])}."
        )
    if size > _SHOWN:
        lines.append(f"{count(size - _SHOWN, 'more transaction')} follow, which the data has.")
    for at, edge in enumerate(edges[:_SHOWN]):
        last = at == size - 1
        lines.append(f"{'But ' if last else ''}{edge['from']} comes before {edge['to']}: {edge['why']}.")
    if size > _SHOWN:
        lines.append(f"And so on, until T{size} comes before T1.")
    lines.append("They can't all be true: a contradiction.")
    nodes = [{"name": f"T{at + 1}", **wording.node(transactions, txn)} for at, txn in enumerate(numbers[:_DRAWN])]
    data = {"nodes": nodes, "edges": edges, "length": size}
    return Example(" ".join(lines), tuple(numbers[:_DRAWN]), data)


def _meaning(name: str, cycle: Cycle) -> str:
    """What the anomaly is, in a line. If one transaction overwrote what the other came to read only afterwards, that is
    a stale read.
    """
    match sorted(cycle.steps):
        case ["realtime", "rw"]:
            return "a stale read: what overwrote it was over before the reader began"
        case ["process", "rw"]:
            return "a stale read: the reader's own process had overwritten it before"
        case _:
            return MEANING[name]


class _Steps:
    def __init__(self, graph: Graph, analysis: Analysis, transactions: Transactions) -> None:
        self.graph, self.analysis, self.t = graph, analysis, transactions

    def why(self, step: str, source: int, target: int, first: int, second: int) -> dict[str, Any]:
        """Why one transaction precedes the other: key, values, and a sentence. first, second: their numbers in the
        cycle.
        """
        one, two = f"T{first}", f"T{second}"
        match step:
            case "ww":
                by, of = self._micro_operations(self.graph.ww, source, target)
                return self._ww(by, of, one, two)
            case "wr":
                by, of = self._micro_operations(self.graph.wr, source, target)
                return self._wr(by, of, one, two)
            case "rw":
                return self._rw(*self._anti_dependency(source, target), one, two)
            case "process":
                process = int(self.graph.process[source])
                return {"process": process, "why": f"process {process} ran {one} and then {two}"}
            case _:
                ended, began = (
                    int(self.t.columns.time[at]) for at in (self.graph.completed[source], self.graph.invoked[target])
                )
                why = f"{one} was over at {seconds(ended)}, before {two} began at {seconds(began)}"
                return {"ended_ns": ended, "began_ns": began, "why": why}

    def _micro_operations(self, edges: DependencyEdges, source: int, target: int) -> tuple[int, int]:
        at = int(np.flatnonzero((edges.source == source) & (edges.target == target))[0])
        return int(edges.by[at]), int(edges.of[at])

    def _anti_dependency(self, source: int, target: int) -> tuple[int, int]:
        rw = self.graph.rw
        for number in np.flatnonzero(rw.reader == source).tolist():
            for writer, write in rw.writers(int(rw.version[number])):
                if writer == target:
                    return int(rw.read[number]), write
        raise AssertionError("a cycle has a step that is no anti-dependency")

    def _about(self, at: int) -> tuple[str, str]:
        return wording.key(self.t, int(self.t.key[at])), wording.value(self.t.value[at])

    def _ww(self, by: int, of: int, one: str, two: str) -> dict[str, Any]:
        (key, earlier), (_, later) = self._about(by), self._about(of)
        if self.t.model == "list-append":
            why = f"{two} appended {later} to {key} after the {earlier} of {one}"
        else:
            known = self.analysis.why(by, of)
            why = f"{two} wrote {later} to {key} over the {earlier} of {one}{known}"
        return {"key": self.t.keys[self.t.key[by]], "value": self.t.value[by], "next": self.t.value[of], "why": why}

    def _wr(self, by: int, of: int, one: str, two: str) -> dict[str, Any]:
        key, written = self._about(by)
        how = "appended" if self.t.model == "list-append" else "wrote"
        read = f" as {wording.read(self.t, of)}" if self.t.model == "list-append" else ""
        why = f"{two} read {key}{read}, with the {written} that {one} {how}"
        return {"key": self.t.keys[self.t.key[by]], "value": self.t.value[by], "why": why}

    def _rw(self, read: int, write: int, one: str, two: str) -> dict[str, Any]:
        key, written = self._about(write)
        returned = wording.read(self.t, read)
        if self.t.model == "list-append":
            why = f"{one} read {key} as {returned}, without the {written} that {two} appended"
        else:
            why = f"{one} read {key} as {returned}, which the {written} of {two} came after"
        seen = self.t.value[read]
        seen = seen[-1] if isinstance(seen, list | tuple) and seen else None if self.t.model == "list-append" else seen
        return {"key": self.t.keys[self.t.key[write]], "value": seen, "next": self.t.value[write], "why": why}
