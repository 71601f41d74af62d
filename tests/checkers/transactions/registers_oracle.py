"""Brute force, from the definitions: what follows from the values of registers."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import networkx as nx

from tests.checkers.transactions.txns import Graph, Txn, keys_of, lost_updates

INITIAL = ("initial",)


def registers(txns: list[Txn], keys_are: str) -> Graph:
    ok = [txn for txn in txns if txn.outcome == "ok"]
    put_null_for_the_initial(txns)
    writer = {(key, value): txn for txn in txns for name, key, value in txn.mops if name == "w"}
    reads = [(txn, key, value) for txn in ok for name, key, value in txn.mops if name == "r"]
    seen = {writer[key, value].number for _, key, value in reads if (key, value) in writer}
    graph = Graph({txn.number for txn in txns if txn.outcome == "ok" or (txn.outcome == "info" and txn.number in seen)})
    counts = graph.counts
    for txn, key, value in reads:
        counts["garbage-read"] += value is not None and (key, value) not in writer
        if (key, value) in writer:
            by = writer[key, value]
            counts["G1a"] += by.outcome == "fail"
            counts["G1b"] += by is not txn and by.writes(key)[-1] != value
    for txn in ok:
        counts["internal"] += any(
            name == "r" and (before := [v for _, k, v in txn.mops[:place] if k == key]) and before[-1] != value
            for place, (name, key, value) in enumerate(txn.mops)
        )
        counts["future-read"] += any(
            name == "r" and ("w", key, value) in txn.mops[place:] for place, (name, key, value) in enumerate(txn.mops)
        )
    counts["lost-update"] = lost_updates(ok, lambda value: INITIAL if value is None else value)
    committed = [txn for txn in txns if txn.number in graph.committed]
    for key in keys_of(txns):
        order = _version_order(committed, key, keys_are, counts)
        by = {value: txn.number for txn in committed for value in txn.writes(key)}
        first = {value for value in by if not any(two == value and one in by for one, two in order)}
        order |= {(INITIAL, value) for value in first}
        for one, two in order:
            if one in by and two in by:
                graph.ww.add((by[one], by[two]))
        for txn in committed:
            found = _found(txn, key)
            if found is None or not found[1]:
                continue
            version = found[0]
            if version in by:
                graph.wr.add((by[version], txn.number))
            graph.rw[txn.number, (key, version)] |= {by[two] for one, two in order if one == version and two in by}
    for pair, following in graph.rw.items():
        following.discard(pair[0])
    return graph


def put_null_for_the_initial(txns: list[Txn]) -> None:
    """Put null for the value that a key can have started as, if there is one."""
    for key in keys_of(txns):
        written = {value for txn in txns for value in txn.writes(key)}
        read = {value for txn in txns if txn.outcome == "ok" for name, k, value in txn.mops if (name, k) == ("r", key)}
        odd = read - written
        done = min((txn.ended for txn in txns if txn.outcome == "ok" and txn.writes(key)), default=float("inf"))
        readers = [txn for txn in txns if txn.outcome == "ok" and any(("r", key, value) in txn.mops for value in odd)]
        if len(odd) != 1 or odd == {None} or any(txn.began > done for txn in readers):
            continue
        mine = [[(name, value) for name, k, value in txn.mops if k == key] for txn in readers]
        (value,) = odd
        if all(set(each[: each[::-1].index(("r", value)) * -1 or None]) == {("r", value)} for each in mine):
            for txn in readers:
                txn.mops = [(n, k, None if (n, k, v) == ("r", key, value) else v) for n, k, v in txn.mops]


def _found(txn: Txn, key: Any) -> tuple[Any, bool] | None:
    """What it found on the key, and whether by reading it. None if it did not meet the key, or nobody knows."""
    mine = [(name, value) for name, k, value in txn.mops if k == key]
    if not mine:
        return None
    if mine[0][0] == "r" and txn.outcome == "ok":
        return (INITIAL if mine[0][1] is None else mine[0][1]), True
    return (txn.writes(key)[0], False) if txn.writes(key) else None


def _left(txn: Txn, key: Any) -> Any:
    found = _found(txn, key)
    return txn.writes(key)[-1] if txn.writes(key) else found and found[0]


def _version_order(committed: list[Txn], key: Any, keys_are: str, counts: Counter[str]) -> set[tuple[Any, Any]]:
    met = [txn for txn in committed if _found(txn, key) is not None]
    found = {txn.number: _found(txn, key)[0] for txn in met}  # type: ignore[index]
    left = {txn.number: _left(txn, key) for txn in met}
    rules: list[set[tuple[Any, Any]]] = [set()] if keys_are == "own" else [set(), set()]
    for txn in met:
        rules[0] |= set(itertools.pairwise(txn.writes(key)))
        if keys_are != "own" and _found(txn, key)[1] and txn.writes(key):  # type: ignore[index]
            rules[1].add((found[txn.number], txn.writes(key)[0]))
    if keys_are in ("sequential", "linearizable"):
        rules.append(set())
        for process in {txn.process for txn in met}:
            for one, two in itertools.pairwise(txn for txn in met if txn.process == process):
                rules[-1].add((left[one.number], found[two.number]))
    if keys_are == "linearizable":
        before = {(left[one.number], found[two.number]) for one in met for two in met if one.ended < two.began} - {
            (version, version) for version in [*found.values(), *left.values()]
        }
        versions = {version for pair in before for version in pair}
        if nx.is_directed_acyclic_graph(nx.DiGraph(list(before))):
            before = {
                (one, two)
                for one, two in before
                if not any((one, v) in before and (v, two) in before for v in versions - {one, two})
            }
        rules.append(before)
    everything = {(INITIAL, version) for version in [*found.values(), *left.values()]}
    order: set[tuple[Any, Any]] = set()
    for rule in rules:
        rule = {(one, two) for one, two in rule if one != two}
        circles = nx.DiGraph([(one, two) for one, two in everything | order | rule if one != two])
        if not nx.is_directed_acyclic_graph(circles):
            counts["cyclic-versions"] += 1
            break
        order |= rule
    return order
