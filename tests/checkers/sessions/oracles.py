"""Oracles of weak consistency: the definitions, by trying everything. Slow, plain, and sharing nothing with the checkers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from splitbrain.checkers.histories.history import History

ENDLESS = 10**9


@dataclass(eq=False)
class Op:
    """An operation that may tell something. value: written or read; ids for a read of siblings. seen: None if unknown."""

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


# Registers with distinct writes


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


def distinct_sessions(history: History) -> dict[str, dict[str, Any]]:
    ops = happened(ops_of(history))
    writes = [op for op in ops if op.f == "write"]
    number = {id(w): at for at, w in enumerate(writes)}

    def version(op: Op) -> Op | None:
        return op if op.f == "write" else writer(ops, op)

    known: list[tuple[int, int, Op]] = []
    for w in writes:
        mine = [op for op in ops if op.process == w.process and op.key == w.key and op.invoked < w.invoked]
        last = max((op.invoked for op in mine if op.f == "write"), default=-1)
        for op in mine:
            # Each operation on the key counts towards the session's next write only.
            if op.invoked >= last and version(op) is not None:
                known.append((number[id(version(op))], number[id(w)], op))
    older = closure([(a, b) for a, b, _ in known], len(writes))
    demands: dict[str, list[tuple[Op, Op]]] = {name: [] for name in ("ryw", "mr", "mw", "wfr")}
    for r in [op for op in ops if op.f == "read"]:
        before = [op for op in ops if op.process == r.process and op.invoked < r.invoked]
        own = [w for w in before if w.f == "write" and w.key == r.key]
        if own:
            demands["ryw"].append((r, own[-1]))
        got = [version(op) for op in before if op.f == "read" and op.key == r.key]
        if [v for v in got if v is not None]:
            demands["mr"].append((r, [v for v in got if v is not None][-1]))
        seen = [version(op) for op in before if op.f == "read"]
        for process in {w.process for w in seen if w is not None}:
            latest = max(w.invoked for w in seen if w is not None and w.process == process)
            past = [op for op in ops if op.process == process and op.key == r.key and op.invoked < latest]
            wrote = [op for op in past if op.f == "write"]
            returned = [v for op in past if op.f == "read" and (v := version(op)) is not None]
            if wrote:
                demands["mw"].append((r, wrote[-1]))
            if returned:
                demands["wfr"].append((r, returned[-1]))
    return {name: _judged(name, some, known, older, writes, number, ops) for name, some in demands.items()}


def _judged(
    name: str,
    demands: list[tuple[Op, Op]],
    known: list[tuple[int, int, Op]],
    older: list[list[bool]],
    writes: list[Op],
    number: dict[int, int],
    ops: list[Op],
) -> dict[str, Any]:
    violations = unprovable = 0
    rest: list[tuple[int, int]] = []
    by_session: dict[int, list[tuple[int, int]]] = {}
    for r, least in demands:
        got = writer(ops, r)
        if r.value is None:
            violations += 1
        elif got is None:
            unprovable += 1
        elif got is not least and older[number[id(got)]][number[id(least)]]:
            violations += 1
        else:
            rest.append((number[id(least)], number[id(got)]))
            by_session.setdefault(r.process, []).append(rest[-1])
    edges = [(a, b) for a, b, _ in known] + [(a, b) for a, b in rest if a != b]
    reach = closure(edges, len(writes))
    contradictory = sum(a != b and reach[b][a] for a, b in rest)
    crossed = contradictory > 0
    if name == "wfr":
        contradictory += sum(op.f == "read" and older[b][a] for a, b, op in known)
    # The same by trying all orders of each key's versions, where what is known allows any.
    if not any(older[a][a] for a in range(len(writes))):
        possible = all(
            any(
                all(order.index(a) < order.index(b) for a, b in edges if a in order and b in order)
                for order in permutations([at for at, w in enumerate(writes) if w.key == key])
            )
            for key in {w.key for w in writes}
        )
        assert possible == (contradictory == 0), (name, edges)
    # Each session with an order of its own.
    alone = [[(a, b) for a, b, _ in known] + [(a, b) for a, b in some if a != b] for some in by_session.values()]
    own = [(closure(each, len(writes)), some) for each, some in zip(alone, by_session.values(), strict=True)]
    own_orders = not any(a != b and reach[b][a] for reach, some in own for a, b in some)
    mutual = name == "wfr" and any(op.f == "read" and older[b][a] for a, b, op in known)
    told = "violated" if violations + contradictory else "unknown" if unprovable or not demands else "held"
    return {
        "verdict": told,
        "checked": len(demands),
        "violations": violations,
        "contradictory": contradictory,
        "unprovable": unprovable,
        "assumed": crossed and not violations and not mutual and own_orders,
    }


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


def distinct_missed(history: History) -> list[tuple[int, Any, int, int]]:
    """Of each read (invocation, key, writes missed, ns)."""
    ops = ops_of(history)
    found = []
    for r in [op for op in ops if op.f == "read"]:
        got = [w for w in ops if w.f == "write" and w.outcome != "fail" and w.key == r.key and w.value == r.value]
        if r.value is not None and not got:
            continue
        over = -1
        if got:
            shows = [o.ended for o in ops if o.f == "read" and o.key == r.key and o.value == r.value]
            over = min([*shows, got[0].ended if got[0].outcome == "ok" else ENDLESS])
        missed = [
            w
            for w in ops
            if w.f == "write" and w.outcome == "ok" and w.key == r.key and w.invoked > over and w.ended < r.invoked
        ]
        age = r.time - min(missed, key=lambda w: w.ended).end_time if missed else 0
        found.append((r.invoked, r.key, len(missed), age))
    return found


# Versioned registers


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


def versioned_sessions(history: History) -> dict[str, dict[str, Any]] | None:
    ops = ops_of(history)
    covers = Covers(ops)
    if covers.circular:
        return None
    reads = [op for op in ops if op.f == "read" and any(p.key == op.key for p in covers.puts.values())]
    found = {}
    for name in ("ryw", "mr", "mw", "wfr"):
        counts = {"checked": 0, "violations": 0, "contradictory": 0, "unprovable": 0}
        for r in reads:
            for wanted in _wanted(name, r, reads, covers):
                said = {covers.says(r.value, r.key, id_) for id_ in wanted}
                counts["checked"] += 1
                counts["violations"] += "no" in said
                counts["unprovable"] += "no" not in said and "perhaps" in said
        told = (
            "violated"
            if counts["violations"]
            else "unknown"
            if counts["unprovable"] or not counts["checked"]
            else "held"
        )
        found[name] = {"verdict": told, **counts}
    return found


def _wanted(name: str, r: Op, reads: list[Op], covers: Covers) -> list[set[int]]:
    def put_by(process: int, before: int) -> set[int]:
        return {
            id_
            for id_, p in covers.puts.items()
            if p.process == process and p.key == r.key and p.outcome == "ok" and p.invoked < before
        }

    def read_by(process: int, before: int) -> set[int]:
        return {
            id_
            for o in reads
            if o.process == process and o.key == r.key and o.invoked < before
            for id_ in o.value
            if covers.known(id_, o.key) and covers.puts[id_].outcome != "fail"
        }

    of = put_by if name in ("ryw", "mw") else read_by
    if name in ("ryw", "mr"):
        return [some] if (some := of(r.process, r.invoked)) else []
    seen = {
        id_
        for o in reads
        if o.process == r.process and o.invoked <= r.invoked
        for id_ in covers.ids(o.value, o.key)
        if covers.puts[id_].outcome != "fail"
    }
    wanted = []
    for process in {covers.puts[id_].process for id_ in seen}:
        some: set[int] = set()
        for id_ in seen:
            if covers.puts[id_].process == process:
                some |= of(process, covers.puts[id_].invoked)
        if some:
            wanted.append(some)
    return wanted


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


def versioned_missed(history: History) -> list[tuple[int, Any, int, int]] | None:
    ops = ops_of(history)
    covers = Covers(ops)
    if covers.circular:
        return None
    found = []
    for r in [op for op in ops if op.f == "read" and any(p.key == op.key for p in covers.puts.values())]:
        missed = [
            p
            for id_, p in covers.puts.items()
            if p.outcome == "ok" and p.key == r.key and p.ended < r.invoked and covers.says(r.value, r.key, id_) == "no"
        ]
        age = r.time - min(missed, key=lambda w: w.ended).end_time if missed else 0
        found.append((r.invoked, r.key, len(missed), age))
    return found
