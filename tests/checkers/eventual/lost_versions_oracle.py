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
    puts = {op.inv.value["write"]: op for op in ops(history, "put", "delete")}
    tombs = [id_ for id_, op in puts.items() if op.inv.f == "delete" and op.outcome != "fail"]
    reads = [op for op in ops(history, "read") if op.outcome == "ok"]
    final = final_reads(history)
    fates = {"lost": 0, "surviving": 0, "superseded": 0, "deleted": 0, "unprovable": 0, "never_read": 0}
    missing = vanished = 0
    resurrected = set()

    def stands(some: Iterable[int], id_: int) -> str:
        """Whether versions cover a write: themselves, what they had seen, what they may have seen."""
        put, key = puts[id_], puts[id_].inv.key
        if any(reaches(puts, sibling, id_, key) for sibling in some):
            return "surely"
        vague = [u for u in puts if seen_by(puts[u]) is None and any(reaches(puts, s, u, key) for s in some)]
        return "maybe" if any(put.inv.index < puts[u].end for u in vague) else "no"

    def buried(id_: int, read: Op) -> str:
        """Whether tombstones that a read can't show may have taken the write from it."""
        return stands([t for t in tombs if puts[t].inv.key == read.inv.key and puts[t].inv.index < read.end], id_)

    for id_, put in puts.items():
        if put.outcome == "fail":
            continue
        key = put.inv.key
        words = [op for op in concluding_reads(history, key) if op.comp]
        siblings = {sibling for op in words if op.comp for sibling in op.comp.value}
        under = {buried(id_, op) for op in words}
        if put.outcome == "info":
            shown = [op for op in reads if op.inv.key == key and op.comp and id_ in op.comp.value]
            before = any(all(op.end < word.inv.index for word in words) for op in shown)
            vanished += bool(words) and before and stands(siblings, id_) == "no" and under == {"no"}
        elif not [op for op in final if op.inv.key == key]:
            fates["never_read"] += 1
        elif put.inv.f == "delete":
            back = [[s for s in op.comp.value if s != id_ and reaches(puts, id_, s, key)] for op in words if op.comp]
            resurrected |= {s for some in back for s in some}
            if all(back):
                fates["lost"] += 1
            else:
                missing += any(back)
                fates["superseded" if stands(siblings, id_) == "surely" else "surviving"] += 1
        else:
            # What each concluding read says: it covers the write, it may lack it rightly, or it should have it.
            said = []
            for op in words:
                shows = stands(op.comp.value, id_) if op.comp else "no"
                said.append("no" if shows == buried(id_, op) == "no" else shows if shows == "surely" else "maybe")
            whole = stands(siblings, id_)
            if whole == "surely":
                if "maybe" in said and "no" not in said:
                    fates["unprovable"] += 1
                else:
                    fates["surviving" if id_ in siblings else "superseded"] += 1
                    missing += "no" in said
            elif "surely" in under:
                fates["deleted"] += 1
            else:
                fates["unprovable" if whole == "maybe" or "maybe" in under else "lost"] += 1
    met = {(op.inv.key, id_) for op in reads if op.comp for id_ in op.comp.value}
    strange = {pair for pair in met if pair[1] in puts and puts[pair[1]].inv.f == "delete"}
    met -= strange
    met |= {(op.inv.key, id_) for mine, op in puts.items() for id_ in seen_by(op) or () if id_ != mine}
    impossible = strange | {(key, id_) for key, id_ in met if id_ not in puts or puts[id_].inv.key != key}
    phantom = [(key, id_) for key, id_ in met if (key, id_) not in impossible - strange and puts[id_].outcome == "fail"]
    figures = {
        **fates,
        "missing": missing,
        "vanished": vanished,
        "resurrected": len(resurrected),
        "phantom": len(phantom),
        "unexpected": len(impossible),
    }
    if fates["lost"] or phantom or impossible:
        return {"verdict": "invalid", **figures}
    doubtful = not any(op.outcome == "ok" for op in puts.values()) or fates["never_read"] or fates["unprovable"]
    doubtful = doubtful or vanished
    return {"verdict": disagreed(history, missing, "unknown" if doubtful else "valid"), **figures}
