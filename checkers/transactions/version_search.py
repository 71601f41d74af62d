"""The search for an order of versions that explains a history: a SAT solver makes the choices, cycles refute them.

1. A choice that `polygraph` has not forced is a variable.
2. The solver makes all choices at once, at first as one order of the nodes has it. If they leave no cycle, that is an
   order.
3. Otherwise each cycle that is found becomes a clause: not all of the choices on it. A cycle of no choice at all, or
   clauses that can't all be satisfied, mean that there is no order.
4. Every clause follows from the history, so the answer is right whenever it comes. If the budget ends before, it is not
   known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from pysat.solvers import Solver

from splitbrain.checkers.algorithms.quickxplain import pruned
from splitbrain.checkers.histories.prose import listing
from splitbrain.checkers.transactions import wording
from splitbrain.checkers.transactions.dependencies import Example, Unordered
from splitbrain.checkers.transactions.micro_operations import Transactions
from splitbrain.checkers.transactions.polygraph import Contradiction, Edge, Polygraph, cyclic_nodes

_NARROWED_MAX = 1000  # Of more versions it takes too long to find the few that have no order.
_SHOWN = 8
_CYCLES = 64  # Of one component, so many cycles are refuted at once.


def some_order(polygraph: Polygraph, watch: Callable[[str], None], *, rounds: int | None = None) -> bool | None:
    """Whether the versions have an order. Makes the forced choices of the polygraph.

    watch: is told what goes on now and then, and may raise to stop it. rounds: so often the solver may be asked; None
    if it may be asked until it is known, as the answer is otherwise.
    """
    try:
        polygraph.saturate(watch)
        place = polygraph.order()
    except Contradiction:
        return False
    choices = polygraph.choices
    if not choices:
        return True
    with Solver("glucose4") as solver:
        solver.set_phases(
            [number if place[one[0][0]] < place[one[0][1]] else -number for number, (one, _) in enumerate(choices, 1)]
        )
        solver.add_clause([1, -1])
        for number in range(1, len(choices) + 1):
            solver.add_clause([number, -number])
        while solver.solve():
            watch(f"an order of {len(choices):,} pairs of versions that are not forced")
            made = {abs(literal): literal for literal in solver.get_model() or ()}
            clauses = _refutations(polygraph, [made.get(number, number) for number in range(1, len(choices) + 1)])
            if not clauses:
                return True
            if rounds is not None:
                rounds -= 1
                if rounds < 0:
                    return None
            for clause in clauses:
                solver.add_clause(clause)
    return False


def disputed(unordered: Unordered, explained: Callable[[Unordered], bool]) -> Unordered:
    """A few versions that have no order among each other; all, if there are too many to look for them.

    explained: whether some order of such versions explains the history. It does not for all of them.
    """

    def only(some: Sequence[int]) -> Unordered:
        kept = np.array(some, dtype=np.int64)
        return replace(
            unordered, key=unordered.key[kept], writer=unordered.writer[kept], written=unordered.written[kept]
        )

    if len(unordered.written) > _NARROWED_MAX:
        return unordered
    return only(pruned(range(len(unordered.written)), lambda some: not explained(only(some))))


def _refutations(polygraph: Polygraph, made: list[int]) -> list[list[int]]:
    """The choices on cycles that those made leave, as clauses; none if they leave none."""
    edges: dict[Edge, int] = {}
    for literal in made:
        one, two = polygraph.choices[abs(literal) - 1]
        edges.update(dict.fromkeys(one if literal > 0 else two, literal))
    edges.update(dict.fromkeys(polygraph.fixed, 0))
    source, target = (np.array(ends, dtype=np.int64) for ends in zip(*edges, strict=True))
    component = cyclic_nodes(polygraph.size, source, target)
    inside = np.flatnonzero((component[source] >= 0) & (component[source] == component[target]))
    following: dict[int, list[int]] = {}
    for one, two in zip(source[inside].tolist(), target[inside].tolist(), strict=True):
        following.setdefault(one, []).append(two)
    clauses: set[tuple[int, ...]] = set()
    begun: dict[int, int] = {}
    for one, two in zip(source[inside].tolist(), target[inside].tolist(), strict=True):
        label = int(component[one])
        if not edges[one, two] or begun.get(label, 0) >= _CYCLES:
            continue
        begun[label] = begun.get(label, 0) + 1
        path = _path(following, two, one)
        steps = [(one, two), *pairwise(path)]
        clauses.add(tuple(sorted({-edges[step] for step in steps if edges[step]})))
    return [list(clause) for clause in sorted(clauses)]


def _path(following: dict[int, list[int]], begin: int, end: int) -> list[int]:
    """The nodes of a shortest path within a component."""
    came = {begin: begin}
    ahead = deque([begin])
    while end not in came:
        node = ahead.popleft()
        for each in following[node]:
            if each not in came:
                came[each] = node
                ahead.append(each)
    path = [end]
    while path[-1] != begin:
        path.append(came[path[-1]])
    return path[::-1]


def without_order(transactions: Transactions, versions: Unordered) -> Example:
    """Versions that have no order, as an example: who wrote them."""
    t, lines = transactions, []
    for key in dict.fromkeys(versions.key.tolist()):
        writers = versions.writer[versions.key == key].tolist()
        shown = listing([f"{wording.who(t, txn)}: {wording.what(t, txn)}" for txn in writers], _SHOWN)
        lines.append(f"Of {wording.key(t, key)}, by {shown}.")
    text = " ".join(["no-order: these versions of a key can't be put in any order without a cycle.", *lines[:_SHOWN]])
    return wording.example(t, text, versions.writer[: _SHOWN**2].tolist())
