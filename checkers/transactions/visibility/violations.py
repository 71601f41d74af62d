"""Which promise is broken, and the explanation: a cycle in what the commit order must have.

1. If a promise is broken, weaker ones are tried, and the anomaly is named after the weakest that is broken.
   `-process` after the name: the order of a session is needed.
2. Each component of transactions that must precede each other is one occurrence. A shortest cycle shows it, of those
   that begin with one of its first forced edges.
3. A step of it that is forced names the reader, what it read, and how it had seen the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.histories.prose import count, listing
from splitbrain.checkers.transactions import wording
from splitbrain.checkers.transactions.anomalies import MEANING
from splitbrain.checkers.transactions.dependencies import EXAMPLES, Analysis, AnomalyFinding, Example, finding
from splitbrain.checkers.transactions.micro_operations import Transactions
from splitbrain.checkers.transactions.visibility.causal_past import CausalPast
from splitbrain.checkers.transactions.visibility.commit_order import CommitOrder, Forced, joined
from splitbrain.checkers.transactions.visibility.promises import Promise, weaker

_STARTS = 40  # So many cycles of a component are tried for the shortest.
_STEPS = 200_000  # And so many transactions are looked at for them.
_SHOWN = 12

Watch = Callable[[str, int], None]


def broken(order: CommitOrder, promise: Promise, watch: Watch) -> tuple[str, AnomalyFinding] | None:
    """The anomaly that breaks the promise and its occurrences, or None if it is kept.

    watch: is told what goes on and the bytes held, and may raise to stop it. O(n^1.5) in micro-operations, O(nk) for
    the past of n transactions in k sessions.
    """
    if promise.seen != "nothing" and len(order.analysis.reads.own_unseen):
        return "own-write-unseen", own_unseen(order.t, order.analysis)
    if not promise.sessions and promise.seen == "past":
        steps = weaker(promise)
    else:
        # Without sessions the past may take far more memory than with them, and is not what was asked for.
        steps = [each for each in weaker(promise) if each.seen != "past" or each == promise]
    if _circular(order, promise, watch) is None:
        return None
    for step in steps:
        shown = _circular(order, step, watch)
        if shown is not None:
            return _found(order, step, *shown)
    raise AssertionError("a promise was broken and then was not")


def _circular(order: CommitOrder, promise: Promise, watch: Watch) -> tuple[Forced, Integers] | None:
    """The forced edges and the components of the promise, if it is broken."""

    def stage(name: str) -> None:
        watch(name, 0)

    forced = Forced.none()
    match promise.seen:
        case "earlier reads":
            forced = order.directly(stage, earlier=True)
        case "transactions":
            forced = order.directly(stage, earlier=False)
            forced = joined(forced, order.within_sessions()) if promise.sessions else forced
        case "past":
            labels = order.circular(forced, sessions=promise.sessions)
            if (labels >= 0).any():
                return forced, labels  # Weaker promises are broken, and there is no past.
            forced = CausalPast(order, watch, sessions=promise.sessions).forced(stage)
        case "nothing":
            pass
    labels = order.circular(forced, sessions=promise.sessions)
    return (forced, labels) if (labels >= 0).any() else None


def _found(order: CommitOrder, promise: Promise, forced: Forced, labels: Integers) -> tuple[str, AnomalyFinding]:
    cycles = [_Cycle(order, promise, forced, labels, label) for label in np.unique(labels[labels >= 0])[:EXAMPLES]]
    names = [cycle.name() for cycle in cycles]
    total = len(np.unique(labels[labels >= 0]))
    # If any does without sessions, all that it rules out is ruled out.
    name = min(names, key=len)
    cycles.sort(key=lambda cycle: cycle.name() != name)
    examples = [cycle.example() for cycle in cycles]
    return name, AnomalyFinding(total, "groups of transactions", examples)


class _Cycle:
    """A shortest cycle of one component: transactions, and for each step to the next its kind; of a forced step its
    number among the forced edges.
    """

    def __init__(self, order: CommitOrder, promise: Promise, forced: Forced, labels: Integers, label: int) -> None:
        self.order, self.promise, self.forced, self.t = order, promise, forced, order.t
        ww, wr, *sessions = order.base(sessions=promise.sessions)
        following: dict[int, list[int]] = {}
        kind: dict[tuple[int, int], tuple[str, int]] = {}
        parts = [("wr", wr), ("ww", ww), *(("process", each) for each in sessions)]
        starts: list[tuple[int, int]] = []
        for name, (source, target) in [*parts, ("forced", (forced.source, forced.target))]:
            inside = np.flatnonzero((labels[source] == label) & (labels[target] == label))
            for number, one, two in zip(inside.tolist(), source[inside].tolist(), target[inside].tolist(), strict=True):
                if (one, two) not in kind and one != two:
                    kind[one, two] = name, number
                    following.setdefault(one, []).append(two)
                    if name == "forced":
                        starts.append((one, two))
        tries = max(1, min(_STARTS, _STEPS // max(1, len(following))))
        paths = [path(following, two, one) for one, two in (starts or list(kind))[:tries]]
        self.transactions = min((each for each in paths if each is not None), key=len)
        turn = [*self.transactions[1:], self.transactions[0]]
        self.steps = [kind[one, two] for one, two in zip(self.transactions, turn, strict=True)]
        self.names: dict[int, str] = {}
        self.ways = {
            number: self._way(number) for name, number in self.steps if name == "forced" and promise.seen != "nothing"
        }
        for txn in [*self.transactions, *(each for way in self.ways.values() for each in way)]:
            self.names.setdefault(txn, f"T{len(self.names) + 1}")

    def _way(self, number: int) -> list[int]:
        """How a reader saw a writer: from the one to the other, by reads and sessions."""
        order, seen, read = self.order, int(self.forced.seen[number]), int(self.forced.read[number])
        reader = int(order.reader[read])
        if self.promise.seen != "past":
            return [seen, reader]
        parts = [order.read_from, *([order.sessions] if self.promise.sessions else [])]
        following: dict[int, list[int]] = {}
        for source, target in parts:
            for one, two in zip(source.tolist(), target.tolist(), strict=True):
                following.setdefault(one, []).append(two)
        found = path(following, seen, reader)
        assert found is not None
        return found

    def name(self) -> str:
        """The anomaly's name; `-process` only if the cycle needs it."""
        kinds = {name for name, _ in self.steps}
        by_session = "process" in kinds or any(
            self._by_process(one, two) for way in self.ways.values() for one, two in pairwise(way)
        )
        name = self.promise.anomaly.removesuffix("-process")
        return name + ("-process" if by_session else "")

    def _by_process(self, one: int, two: int) -> bool:
        """Whether only the session leads from the one to the other."""
        order = self.order
        return not ((order.writer == one) & (order.reader == two)).any()

    def example(self) -> Example:
        t, name = self.t, self.name()
        size = len(self.transactions)
        lines = [f"{name} ({MEANING[name]}): {count(size, 'transaction')}, each of which must come before the next."]
        involved = list(self.names)
        lines += [f"{self.names[txn]} is {wording.who(t, txn)}: {wording.what(t, txn)}." for txn in involved[:_SHOWN]]
        edges = []
        for at, one in enumerate(self.transactions):
            two = self.transactions[(at + 1) % size]
            kind, why = self._why(at, one, two)
            edges.append({"from": self.names[one], "to": self.names[two], "type": kind, "why": why})
            if at < _SHOWN:
                but = "But " if at == size - 1 else ""
                lines.append(f"{but}{self.names[one]} comes before {self.names[two]}: {why}.")
        lines.append("They can't all be true: a contradiction.")
        nodes = [{"name": self.names[txn], **wording.node(t, txn)} for txn in involved]
        data: dict[str, Any] = {"nodes": nodes, "edges": edges, "length": size}
        return Example(" ".join(lines), tuple(involved), data)

    def _why(self, at: int, one: int, two: int) -> tuple[str, str]:
        t, order, (kind, number) = self.t, self.order, self.steps[at]
        first, second = self.names[one], self.names[two]
        match kind:
            case "wr":
                read = int(np.flatnonzero((order.writer == one) & (order.reader == two))[0])
                return "wr", f"{second} read {self._read(read)}, which {first} wrote"
            case "ww":
                ww = self.order.analysis.ww
                edge = int(np.flatnonzero((ww.source == one) & (ww.target == two))[0])
                key = wording.key(t, int(t.key[ww.of[edge]]))
                mine, its = (wording.value(t.value[int(each)]) for each in (ww.by[edge], ww.of[edge]))
                return "ww", f"{first} wrote {mine} to {key}, and {second} then {its}"
            case "process":
                return "process", f"process {t.process[one]} ran {first} and then {second}"
            case _:
                return self._forced(number, first, second)

    def _forced(self, number: int, first: str, second: str) -> tuple[str, str]:
        order, read = self.order, int(self.forced.read[number])
        way = self.ways[number]
        seen, reader = self.names[way[0]], self.names[int(order.reader[read])]
        how = self._saw(way, read)
        key = wording.key(self.t, int(order.key[read]))
        if order.writer[read] < 0:
            return "rw", f"{reader} read {self._read(read)}, as it began, which {seen} overwrote, though {how}"
        return "saw", f"{reader} read {self._read(read)} from {second}, though {how}, which wrote {key} too"

    def _saw(self, way: list[int], read: int) -> str:
        order, (seen, *between, reader) = self.order, way
        names = self.names
        if between:
            return f"it had seen {names[seen]} by way of {listing([names[each] for each in between])}"
        some = np.flatnonzero((order.writer == seen) & (order.reader == reader))
        if not len(some):
            return f"its own process had run {names[seen]} before"
        when = " by then" if self.promise.seen == "earlier reads" and some[0] < read else ""
        return f"it had read {self._read(int(some[0]))} from {names[seen]}{when}"

    def _read(self, read: int) -> str:
        at = int(self.order.at[read])
        return f"{wording.key(self.t, int(self.t.key[at]))} as {wording.read(self.t, at)}"


def own_unseen(transactions: Transactions, analysis: Analysis) -> AnomalyFinding:
    """The reads of a key that its own transaction had just written, but not so."""
    return finding(analysis.reads.own_unseen.tolist(), "reads", lambda at: _own_unseen(transactions, at))


def _own_unseen(transactions: Transactions, at: int) -> Example:
    t = transactions
    reader, key = int(t.txn[at]), wording.key(t, int(t.key[at]))
    text = (
        f"own-write-unseen: {wording.who(t, reader)} wrote {wording.value(t.value[int(t.own_before[at])])} to {key}, "
        f"and then read it as {wording.read(t, at)}"
    )
    return wording.example(t, text, [reader], key=t.keys[t.key[at]])


def path(following: dict[int, list[int]], begin: int, end: int) -> list[int] | None:
    """The nodes of a shortest path."""
    came = {begin: begin}
    ahead = deque([begin])
    while ahead and end not in came:
        node = ahead.popleft()
        for each in _unmet(following.get(node, ()), came):
            came[each] = node
            ahead.append(each)
    if end not in came:
        return None
    found = [end]
    while found[-1] != begin:
        found.append(came[found[-1]])
    return found[::-1]


def _unmet(nodes: Iterable[int], met: dict[int, int]) -> list[int]:
    return [each for each in dict.fromkeys(nodes) if each not in met]
