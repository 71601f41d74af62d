"""Why no order of beginnings and commits explains what was read, if no choice is involved: a cycle of both, in words.

1. Prefix consistency: a transaction sees what was committed before it began, all of it and nothing else. Unlike in
   snapshot isolation, two that overlap may write the same key.
2. Each step of the cycle is a beginning or a commit that must come before the next one (`polygraph`, rule 1).
"""

from __future__ import annotations

import numpy as np

from splitbrain.checkers.histories.prose import count
from splitbrain.checkers.transactions import wording
from splitbrain.checkers.transactions.dependencies import Example
from splitbrain.checkers.transactions.graph import Graph
from splitbrain.checkers.transactions.micro_operations import Transactions
from splitbrain.checkers.transactions.polygraph import Polygraph, cyclic_nodes
from splitbrain.checkers.transactions.visibility.violations import path

_STARTS = 40
_SHOWN = 12


def cycle_of(transactions: Transactions, graph: Graph, polygraph: Polygraph) -> Example | None:
    """A short cycle of the edges that every order has; None if they have none. polygraph: of the graph's snapshots."""
    source, target = (np.array(ends, dtype=np.int64) for ends in zip(*sorted(polygraph.fixed), strict=True))
    component = cyclic_nodes(polygraph.size, source, target)
    inside = np.flatnonzero((component[source] >= 0) & (component[source] == component[target]))
    if not len(inside):
        return None
    following: dict[int, list[int]] = {}
    edges = list(zip(source[inside].tolist(), target[inside].tolist(), strict=True))
    for one, two in edges:
        following.setdefault(one, []).append(two)
    # Whoever did not see another is on every cycle: all other edges follow the order of commits.
    unseen = [(one, two) for one, two in edges if one < len(graph)]
    found = [each for one, two in unseen[:_STARTS] if (each := path(following, two, one)) is not None]
    helped = polygraph.size - len(graph)
    nodes = [node for node in min(found, key=len) if node < len(graph) or node >= helped]
    return _described(transactions, graph, nodes, helped)


def _described(t: Transactions, graph: Graph, nodes: list[int], helped: int) -> Example:
    numbers = [int(graph.transactions[node if node < helped else node - helped]) for node in nodes]
    names = {txn: f"T{at}" for at, txn in enumerate(dict.fromkeys(numbers), 1)}
    several = count(len(names), "transaction")
    lines = [f"no-order: {several}, and no order of their beginnings and commits gives each of them what it saw."]
    lines += [f"{name} is {wording.who(t, txn)}: {wording.what(t, txn)}." for txn, name in list(names.items())[:_SHOWN]]
    edges = []
    for at, (node, txn) in enumerate(zip(nodes, numbers, strict=True)):
        after, other = nodes[(at + 1) % len(nodes)], numbers[(at + 1) % len(nodes)]
        if txn == other:
            continue
        one, two = names[txn], names[other]
        match node >= helped, after >= helped:
            case True, False:
                kind, why = "saw", f"{one} had committed before {two} began, for {two} saw it"
            case False, True:
                kind, why = "unseen", f"{one} began before {two} committed, for {one} did not see what {two} wrote"
            case _:
                kind, why = "ww", f"{one} committed before {two}, which left a later version"
        edges.append({"from": one, "to": two, "type": kind, "why": why})
    lines += [f"{edge['why']}." for edge in edges[:_SHOWN]]
    lines.append("They can't all be true: a contradiction.")
    shown = [{"name": name, **wording.node(t, txn)} for txn, name in names.items()]
    return Example(" ".join(lines), tuple(names), {"nodes": shown, "edges": edges, "length": len(names)})
