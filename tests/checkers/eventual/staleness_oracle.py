"""The oracle of staleness: for each read, the acknowledged writes that it missed.

Slow, plain, and sharing nothing with the checker.
"""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.versions.register_oracle import ENDLESS, Covers, ops_of


def distinct_missed(history: History) -> list[tuple[int, Any, int, int]]:
    """For each read: its invocation, its key, how many writes it missed, and how stale it was, in ns."""
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
