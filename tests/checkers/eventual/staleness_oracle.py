"""The oracle of staleness: for each read, the acknowledged writes that it missed.

Slow, plain, and sharing nothing with the checker.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import actions, bands, ops
from tests.checkers.versions.register_oracle import ENDLESS, Covers, Op, ops_of


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


def _stretches(history: History) -> list[tuple[int, float]]:
    """From when to when each fault stood: from its invocation to the completion of its stop, in ns."""
    found = []
    for (start, _), band in zip(actions(history, "start"), bands(history), strict=True):
        done = band.healed is not None and "evidence" in band.healed.value
        found.append((start.time, band.healed.time if done and band.healed else float("inf")))
    return found


def missed_in_quiet(history: History, quiet_ns: int) -> dict[int, int] | None:
    """For each read that is judged, by its invocation: how many writes it missed that it had to show."""
    clients = [e for e in history.events if e.process != "nemesis" and e.f in ("put", "read")]
    mine = ops_of(SimpleNamespace(events=clients))  # type: ignore[arg-type]
    covers, faults = Covers(mine), _stretches(history)
    if covers.circular:
        return None
    polled = ops(history, "replica")
    nodes = {op.node for op in polled}

    def last_end(moment: int) -> float:
        return max((end for start, end in faults if start <= moment), default=float("-inf"))

    def settled(put: Op) -> float:
        if last_end(put.time) + quiet_ns <= put.time:
            over = put.end_time + min(quiet_ns, 5 * 10**8)
            if not any(end > put.time and start < over for start, end in faults):
                return over
        since = [put.end_time, *(end for _, end in faults if end >= put.end_time)]
        return min(s + quiet_ns for s in since if not any(e > s and b < s + quiet_ns for b, e in faults))

    def must_show(read: Op, put: Op) -> bool:
        since = last_end(read.time) + quiet_ns
        return settled(put) <= read.time or (since <= read.time and put.time >= since)

    found = {}
    for read in [op for op in mine if op.f == "read" and any(put.key == op.key for put in covers.puts.values())]:
        homes = {
            op.node
            for op in polled
            if op.inv.key == read.key and op.outcome == "ok" and op.comp and op.comp.value["home"]
        }
        sheltered = len(nodes - homes) < len(homes)
        if any(start <= read.end_time and end > read.time for start, end in faults):
            continue
        if last_end(read.time) + quiet_ns > read.time and not sheltered:
            continue
        missed = [
            put
            for id_, put in covers.puts.items()
            if put.key == read.key and put.outcome == "ok" and put.ended < read.invoked
            if covers.says(read.value, read.key, id_) == "no" and must_show(read, put)
        ]
        found[read.invoked] = len(missed)
    return found
