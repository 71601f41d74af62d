"""The oracle of session guarantees: the definitions, by trying every order of the versions.

Slow, plain, and sharing nothing with the checker.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.versions.register_oracle import Covers, Op, closure, happened, ops_of, writer


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
    verdict = "violated" if violations + contradictory else "unknown" if unprovable or not demands else "held"
    return {
        "verdict": verdict,
        "checked": len(demands),
        "violations": violations,
        "contradictory": contradictory,
        "unprovable": unprovable,
        "assumed": crossed and not violations and not mutual and own_orders,
    }


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
        verdict = (
            "violated"
            if counts["violations"]
            else "unknown"
            if counts["unprovable"] or not counts["checked"]
            else "held"
        )
        found[name] = {"verdict": verdict, **counts}
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
