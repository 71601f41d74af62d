"""Brute force, from the definitions: every path and every cycle of a handful of transactions."""

from __future__ import annotations

from typing import Any

import networkx as nx

from tests.checkers.transactions.txns import Graph, Pair, Txn


def cycles(txns: list[Txn], graph: Graph) -> set[str]:
    committed = [txn for txn in txns if txn.number in graph.committed]
    nodes = [txn.number for txn in committed]
    process = {
        (one.number, two.number)
        for one in committed
        for two in committed
        if one.process == two.process and one.began < two.began
    }
    realtime = {(one.number, two.number) for one in committed for two in committed if one.ended < two.began}
    ww = {(one, two) for one, two in graph.ww if one != two}
    wr = {(one, two) for one, two in graph.wr if one != two}
    rw = {unit: writers - {unit[0]} for unit, writers in graph.rw.items()}
    done: dict[str, set[Any]] = {kind: set() for kind in ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")}
    names = set()
    for level, given in (("", set[Pair]()), ("-process", process), ("-realtime", realtime)):
        found: dict[str, set[Any]] = {}
        reached = reachable(ww | given, nodes)
        found["G0"] = {(one, two) for one, two in ww if one in reached[two]}
        dependencies = ww | wr | given
        reached = reachable(dependencies, nodes)
        found["G1c"] = {(one, two) for one, two in wr if one in reached[two]}
        found["G-single"] = {unit for unit, writers in rw.items() if any(unit[0] in reached[each] for each in writers)}
        free = {node for node in nodes if node not in reached[node]}
        inner = {(one, two) for one, two in dependencies if one in free and two in free}
        live = {
            unit: writers & free
            for unit, writers in rw.items()
            if unit[0] in free and unit not in found["G-single"] | done["G-nonadjacent"]
        }
        found["G-nonadjacent"] = _nonadjacent(inner, live)
        rest = {
            unit: writers
            for unit, writers in live.items()
            if unit not in found["G-nonadjacent"] and unit not in done["G2-item"]
        }
        edges = {(unit[0], writer) for unit, writers in rest.items() for writer in writers}
        reached = reachable(inner | edges, nodes)
        found["G2-item"] = {unit for unit, writers in rest.items() if any(unit[0] in reached[each] for each in writers)}
        for kind, those in found.items():
            if those - done[kind]:
                names.add(kind + level)
            done[kind] |= those
    return names


def reachable(edges: set[Pair], nodes: list[int]) -> dict[int, set[int]]:
    """By node, all that some path of one step or more leads to."""
    reached: dict[int, set[int]] = {node: {two for one, two in edges if one == node} for node in nodes}
    for middle in nodes:
        for node in nodes:
            if middle in reached[node]:
                reached[node] |= reached[middle]
    return reached


def _nonadjacent(inner: set[Pair], live: dict[Any, set[int]]) -> set[Any]:
    edges = {(unit[0], writer) for unit, writers in live.items() for writer in writers}
    if not edges:
        return set()
    some = nx.DiGraph(list(inner | edges))
    bad: list[set[int]] = []
    for part in nx.strongly_connected_components(some):
        if len(part) == 1:
            continue
        for cycle in nx.simple_cycles(some.subgraph(part)):
            steps = [pair not in inner for pair in zip(cycle, cycle[1:] + cycle[:1], strict=True)]
            if not any(one and two for one, two in zip(steps, steps[1:] + steps[:1], strict=True)):
                bad.append(part)
                break
    return {unit for unit, writers in live.items() for part in bad if unit[0] in part and writers & part}
