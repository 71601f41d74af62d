"""Transactions as the oracles read them, and the graph of what follows from their values."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.histories.history import History

Pair = tuple[int, int]


@dataclass
class Txn:
    """A transaction: micro-operations as [name, key, value] with keys and values as JSON text."""

    number: int
    process: int
    began: int
    ended: float
    outcome: str
    mops: list[tuple[str, Any, Any]] = field(default_factory=list)

    def writes(self, key: Any) -> list[Any]:
        return [value for name, k, value in self.mops if name != "r" and k == key]


def read_history(history: History) -> list[Txn]:
    found = []
    for number, operation in enumerate(history.operations):
        ok = operation.outcome == "ok"
        value = operation.completion.value if ok else operation.invocation.value
        # What crashed may take effect at any time.
        ended = operation.completion.index if operation.completion is not None and ok else float("inf")
        mops = []
        for name, key, held in value:
            if name == "r" and isinstance(held, list):
                shown: Any = tuple(json.dumps(each) for each in held)
            else:
                shown = None if held is None and name == "r" else json.dumps(held)
            mops.append((name, json.dumps(key), shown))
        found.append(Txn(number, operation.process, operation.invocation.index, ended, operation.outcome, mops))
    return found


def keys_of(txns: list[Txn]) -> list[Any]:
    return sorted({key for txn in txns for _, key, _ in txn.mops})


@dataclass
class Graph:
    """What follows from the values: edges, and anti-dependencies as (reader, version) with whoever wrote next."""

    committed: set[int]
    ww: set[Pair] = field(default_factory=set)
    wr: set[Pair] = field(default_factory=set)
    rw: dict[tuple[int, Any], set[int]] = field(default_factory=lambda: defaultdict(set))
    counts: Counter[str] = field(default_factory=Counter)


def lost_updates(ok: list[Txn], normal: Any) -> int:
    groups: Counter[Any] = Counter()
    for txn in ok:
        for key in keys_of([txn]):
            mine = [(name, value) for name, k, value in txn.mops if k == key]
            if mine[0][0] == "r" and any(name != "r" for name, _ in mine):
                groups[key, normal(mine[0][1])] += 1
    return sum(size > 1 for size in groups.values())
