"""The oracle of causal consistency: the definitions, by trying every order of the operations.

Slow, plain, and sharing nothing with the checker.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.versions.register_oracle import Covers, closure, happened, ops_of, writer


def distinct_causal(history: History, level: str) -> str:
    ops = happened(ops_of(history))
    reads = [op for op in ops if op.f == "read"]
    if any(r.value is not None and writer(ops, r) is None for r in reads):
        return "invalid"
    at = {id(op): n for n, op in enumerate(ops)}
    pairs = [(at[id(a)], at[id(b)]) for a in ops for b in ops if a.process == b.process and a.invoked < b.invoked]
    pairs += [(at[id(w)], at[id(r)]) for r in reads if (w := writer(ops, r)) is not None]
    before = closure(pairs, len(ops))
    if any(before[n][n] for n in range(len(ops))):
        return "invalid"
    if not any(w.f == "write" and w.key == r.key for r in reads for w in ops):
        return "unknown"

    def explained(nodes: list[int], judged: set[int]) -> bool:
        """Whether some order of the nodes, after CO, lets the judged reads return what they did."""

        def place(left: frozenset[int], state: tuple[tuple[Any, Any], ...]) -> bool:
            if not left:
                return True
            for n in left:
                op = ops[n]
                if any(before[m][n] for m in left):
                    continue
                held = dict(state)
                if op.f == "read" and n in judged and held.get(op.key) != op.value:
                    continue
                if op.f == "write":
                    held[op.key] = op.value
                if place(left - {n}, tuple(sorted(held.items()))):
                    return True
            return False

        return place(frozenset(nodes), ())

    def past(n: int) -> list[int]:
        return [m for m in range(len(ops)) if m == n or before[m][n]]

    if level == "cc":
        good = all(
            explained([m for m in past(at[id(r)]) if ops[m].f == "write" or ops[m] is r], {at[id(r)]}) for r in reads
        )
    elif level == "cm":
        good = True
        for process in {op.process for op in ops}:
            mine = [n for n in range(len(ops)) if ops[n].process == process]
            judged = {n for n in mine if ops[n].f == "read"}
            nodes = [m for m in past(mine[-1]) if ops[m].f == "write" or m in judged]
            good = good and explained(nodes, judged)
    else:
        writes = [n for n in range(len(ops)) if ops[n].f == "write"]

        def fits(order: tuple[int, ...]) -> bool:
            if any(before[b][a] for i, a in enumerate(order) for b in order[i + 1 :]):
                return False
            for r in reads:
                visible = [n for n in order if before[n][at[id(r)]] and ops[n].key == r.key]
                if (ops[visible[-1]].value if visible else None) != r.value:
                    return False
            return True

        good = any(fits(order) for order in permutations(writes))
    return "valid" if good else "invalid"


def versioned_causal(history: History) -> tuple[str, dict[str, int]]:
    ops = ops_of(history)
    covers = Covers(ops)
    reads = [op for op in ops if op.f == "read"]
    thin = sum(
        any(not covers.known(id_, r.key) or covers.puts[id_].outcome == "fail" for id_ in r.value) for r in reads
    )
    at = {id(op): n for n, op in enumerate(ops)}
    pairs = [(at[id(a)], at[id(b)]) for a in ops for b in ops if a.process == b.process and a.invoked < b.invoked]
    for op in ops:
        for id_ in op.value if op.f == "read" else op.seen or ():
            if covers.known(id_, op.key) and covers.puts[id_] is not op:
                pairs.append((at[id(covers.puts[id_])], at[id(op)]))
    before = closure(pairs, len(ops))
    if any(before[n][n] for n in range(len(ops))):
        return "invalid", {"ThinAirRead": thin, "CyclicCO": sum(before[n][n] for n in range(len(ops)))}
    counts = {"ThinAirRead": thin, "CyclicCO": 0, "WriteCOInitRead": 0, "WriteCORead": 0}
    unprovable = 0
    for r in reads:
        must = [
            id_
            for id_, p in covers.puts.items()
            if p.key == r.key and p.outcome != "fail" and before[at[id(p)]][at[id(r)]]
        ]
        said = {covers.says(r.value, r.key, id_) for id_ in must}
        counts["WriteCORead" if r.value else "WriteCOInitRead"] += "no" in said
        unprovable += "no" not in said and "perhaps" in said
    if any(counts.values()):
        return "invalid", counts
    met = any(
        p.key == r.key and (p.outcome == "ok" or any(id_ in other.value for other in reads))
        for r in reads
        for id_, p in covers.puts.items()
    )
    return "unknown" if unprovable or not met else "valid", counts
