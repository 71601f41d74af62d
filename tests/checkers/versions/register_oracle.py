"""What oracles of registers start from: operations, closures, and what versions cover.

Slow, plain, and sharing nothing with the checkers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from splitbrain.checkers.histories.history import History

ENDLESS = 10**9


@dataclass(eq=False)
class Op:
    """An operation. value: written or read; ids for a read of siblings. seen: None if unknown."""

    process: int
    f: str
    key: Any
    value: Any
    invoked: int
    ended: int
    outcome: str
    time: int
    end_time: int
    seen: list[int] | None = None


def ops_of(history: History) -> list[Op]:
    found: list[Op] = []
    opened: dict[Any, Op] = {}
    for event in history.events:
        if event.type == "invoke":
            value = event.value["write"] if event.f == "put" else event.value
            op = Op(event.process, event.f, event.key, value, event.index, ENDLESS, "info", event.time, 0)  # type: ignore[arg-type]
            opened[event.process] = op
            found.append(op)
        else:
            op = opened[event.process]
            op.outcome, op.ended, op.end_time = event.type, event.index, event.time
            if event.f == "read":
                op.value = event.value
            if event.f == "put":
                op.seen = event.value.get("seen")
    return [op for op in found if op.f != "read" or op.outcome == "ok"]


def closure(pairs: Iterable[tuple[int, int]], nodes: int) -> list[list[bool]]:
    """Floyd and Warshall's."""
    reach = [[False] * nodes for _ in range(nodes)]
    for a, b in pairs:
        reach[a][b] = True
    for k in range(nodes):
        for i in range(nodes):
            for j in range(nodes):
                reach[i][j] = reach[i][j] or (reach[i][k] and reach[k][j])
    return reach


def happened(ops: Sequence[Op]) -> list[Op]:
    """Reads, and the writes that are `ok` or `info` and read."""
    return [
        op
        for op in ops
        if op.f == "read"
        or op.outcome == "ok"
        or (op.outcome == "info" and any(r.f == "read" and r.key == op.key and r.value == op.value for r in ops))
    ]


def writer(ops: Sequence[Op], read: Op) -> Op | None:
    return next((w for w in ops if w.f == "write" and w.key == read.key and w.value == read.value), None)


class Covers:
    """What versions cover, by sets."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.puts = {op.value: op for op in ops if op.f == "put"}

    def known(self, id_: int, key: Any) -> bool:
        return id_ in self.puts and self.puts[id_].key == key

    def ids(self, ids: Iterable[int], key: Any) -> set[int]:
        found = {id_ for id_ in ids if self.known(id_, key)}
        while True:
            more = {s for id_ in found for s in self.puts[id_].seen or () if self.known(s, key)} | found
            if more == found:
                return found
            found = more

    def horizon(self, ids: Iterable[int], key: Any) -> int:
        """Before which anything may be covered."""
        if any(not self.known(id_, key) for id_ in ids):
            return 1 << 62
        open_ = [
            self.puts[id_].ended if self.puts[id_].ended != ENDLESS else 1 << 62
            for id_ in self.ids(ids, key)
            if self.puts[id_].seen is None or any(not self.known(s, key) for s in self.puts[id_].seen or ())
        ]
        return max(open_, default=-1)

    def says(self, ids: Iterable[int], key: Any, wanted: int) -> str:
        if wanted in self.ids(ids, key):
            return "yes"
        born = max(self.puts[id_].invoked for id_ in self.ids([wanted], key))
        return "perhaps" if born < self.horizon(ids, key) else "no"

    @property
    def circular(self) -> bool:
        return any(
            s != id_ and id_ in self.ids([s], put.key)
            for id_, put in self.puts.items()
            for s in put.seen or ()
            if self.known(s, put.key)
        )
