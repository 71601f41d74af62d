"""What `lost_versions` must say: every path of "seen" is walked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import Op, concluding_reads, disagreed, final_reads, ops


def seen_by(op: Op) -> list[int] | None:
    value = op.comp.value if op.comp else None
    return value.get("seen") if isinstance(value, dict) else None


def reaches(puts: Mapping[int, Op], later: int, earlier: int, key: object, path: tuple[int, ...] = ()) -> bool:
    """Whether `later` is `earlier` or had seen it, by walking every path there is."""
    if later not in puts or puts[later].inv.key != key or later in path:
        return False
    if later == earlier:
        return True
    return any(reaches(puts, id_, earlier, key, (*path, later)) for id_ in seen_by(puts[later]) or ())


def lost_versions(history: History) -> dict[str, Any]:
    puts = {op.inv.value["write"]: op for op in ops(history, "put")}
    reads = [op for op in ops(history, "read") if op.outcome == "ok"]
    final = final_reads(history)
    fates = {"lost": 0, "surviving": 0, "superseded": 0, "unprovable": 0, "never_read": 0}
    missing = vanished = 0
    for id_, put in puts.items():
        if put.outcome == "fail":
            continue
        key = put.inv.key
        mine = [op for op in final if op.inv.key == key]
        siblings = {sibling for op in concluding_reads(history, key) if op.comp for sibling in op.comp.value}

        def stands(some: Iterable[int], key: object = key, id_: int = id_, put: Op = put) -> str:
            if any(reaches(puts, sibling, id_, key) for sibling in some):
                return "surely"
            vague = [u for u in puts if seen_by(puts[u]) is None and any(reaches(puts, s, u, key) for s in some)]
            return "maybe" if any(put.inv.index < puts[u].end for u in vague) else "no"

        if put.outcome == "info":
            shown = [op for op in reads if op.inv.key == key and op.comp and id_ in op.comp.value]
            before = any(all(op.end < word.inv.index for word in concluding_reads(history, key)) for op in shown)
            vanished += bool(mine) and before and stands(siblings) == "no"
            continue
        stances = [stands(op.comp.value) for op in concluding_reads(history, key) if op.comp]
        if not mine:
            fates["never_read"] += 1
        elif stands(siblings) == "no":
            fates["lost"] += 1
        elif stands(siblings) == "maybe" or ("maybe" in stances and "no" not in stances):
            fates["unprovable"] += 1
        else:
            fates["surviving" if id_ in siblings else "superseded"] += 1
            missing += "no" in stances
    met = {(op.inv.key, id_) for op in reads if op.comp for id_ in op.comp.value}
    met |= {(op.inv.key, id_) for mine, op in puts.items() for id_ in seen_by(op) or () if id_ != mine}
    impossible = [(key, id_) for key, id_ in met if id_ not in puts or puts[id_].inv.key != key]
    phantom = [pair for pair in met if pair not in impossible and puts[pair[1]].outcome == "fail"]
    figures = {
        **fates,
        "missing": missing,
        "vanished": vanished,
        "phantom": len(phantom),
        "unexpected": len(impossible),
    }
    if fates["lost"] or phantom or impossible:
        return {"verdict": "invalid", **figures}
    doubtful = not any(op.outcome == "ok" for op in puts.values()) or fates["never_read"] or fates["unprovable"]
    doubtful = doubtful or vanished
    return {"verdict": disagreed(history, missing, "unknown" if doubtful else "valid"), **figures}
