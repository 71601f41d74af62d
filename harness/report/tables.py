"""Tables: the report's counts.

1. Counts are of the clients' operations. The harness's own replica polls are counted separately.
2. A fact is marked good, bad or plain. Whether the run was meaningful is for the evidence checker to say.
3. Every table is bounded, and says what it leaves out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from splitbrain.checkers.histories.faults import NEVER, Span
from splitbrain.checkers.histories.history import History
from splitbrain.harness.report.columns import OUTCOMES, Booleans, Columns
from splitbrain.harness.report.divergence import Round
from splitbrain.harness.report.faults import Band, Stage
from splitbrain.harness.report.series import Sighting
from splitbrain.harness.report.timeline import cut

KEYS_LISTED = 200
CODES_LISTED = 40
MESSAGE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Fact:
    """One answer to "was the test meaningful". mark: good, bad or plain. figure: short; words: what it counts."""

    mark: Literal["good", "bad", "plain"]
    figure: str
    title: str
    words: str


def facts(history: History, table: Columns, faults: Sequence[Band], stages: Sequence[Stage]) -> list[Fact]:
    """What the test did, as far as the history tells. O(n · faults)."""
    return [
        _operations(table),
        _faults(faults),
        _under_fault(table, faults),
        _recovery(stages),
        _final_reads(table, stages),
    ]


def _operations(table: Columns) -> Fact:
    load = ~table.observing
    total, ok = int(load.sum()), int((load & (table.outcome == 0)).sum())
    polls = table.n - total
    words = f"{_share(ok, total)} acknowledged" + (f"; and {polls:,} looks at replicas" if polls else "")
    return Fact("good" if ok else "bad", f"{total:,}", "operations", words)


def _faults(faults: Sequence[Band]) -> Fact:
    if not faults:
        return Fact("plain", "none", "faults", "no fault was injected")
    took = sum(fault.effective is True for fault in faults)
    kinds = ", ".join(dict.fromkeys(fault.family for fault in faults))
    return Fact("good" if took == len(faults) else "bad", f"{took} of {len(faults)}", "faults took effect", kinds)


def _under_fault(table: Columns, faults: Sequence[Band]) -> Fact:
    under = np.zeros(table.n, dtype=np.bool_)
    for fault in faults:
        if fault.effective:
            under |= overlapped(table, fault)
    load = ~table.observing
    count = int((under & load).sum())
    words = f"{_share(count, int(load.sum()))} of all overlapped a fault that took effect"
    mark: Literal["good", "bad", "plain"] = "good" if count else "bad" if faults else "plain"
    return Fact(mark, f"{count:,}", "operations under fault", words)


def _recovery(stages: Sequence[Stage]) -> Fact:
    named = {stage.name: stage for stage in stages}
    if "recovered" in named:
        begun = named.get("recovery", named["recovered"])
        after = (named["recovered"].start_ns - begun.start_ns) / 1e9
        return Fact("good", f"{after:.2f} s", "to recover", "until the system answered again after the last heal")
    if "not-recovered" in named:
        return Fact("bad", "never", "recovered", "the system did not answer again after the last heal")
    return Fact("bad" if stages else "plain", "unknown", "recovery", "the history records no recovery")


def _final_reads(table: Columns, stages: Sequence[Stage]) -> Fact:
    begun = next((stage.start_ns for stage in stages if stage.name == "final-reads"), None)
    if begun is None:
        return Fact("bad" if stages else "plain", "none", "final reads", "the history marks no final reads")
    late = (table.start >= begun) & ~table.observing
    seen, ok = int(late.sum()), int((late & (table.outcome == 0)).sum())
    keys = len(np.unique(table.key[late & (table.outcome == 0)]))
    return Fact(
        "good" if ok and ok == seen else "bad",
        f"{ok:,} of {seen:,}",
        "final reads answered",
        f"of {keys:,} keys",
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "none"


def overlapped(table: Columns, fault: Band) -> Booleans:
    """The operations that were invoked or completed while the fault stood. O(n)."""
    return Span(table.index, np.where(table.done < 0, NEVER, table.done)).struck(fault.fault)


def fault_rows(table: Columns, faults: Sequence[Band]) -> list[dict[str, Any]]:
    """The faults with their evidence, and how the operations that overlapped each of them ended. O(n · faults)."""
    load = ~table.observing
    rows = []
    for number, fault in enumerate(faults):
        under = overlapped(table, fault) & load
        counts = np.bincount(table.outcome[under], minlength=len(OUTCOMES))
        rows.append({"number": number, "fault": fault, "under": dict(zip(OUTCOMES, counts.tolist(), strict=True))})
    return rows


def errors(history: History, table: Columns) -> tuple[list[dict[str, Any]], int]:
    """Errors by code, the most frequent first, and how many codes were left out. O(n).

    `fail` is definite: the operation certainly did not happen. `info` is indeterminate: it may have happened.
    """
    codes: dict[str, dict[str, Any]] = {}
    for operation in history.operations:
        done = operation.completion
        if done is not None and done.type == "ok":
            continue
        text = (
            "never completed: the history ends before its answer" if done is None else done.error or "(no error given)"
        )
        code = cut(text.partition(":")[0].strip(), 60)
        row = codes.setdefault(
            code,
            {
                "code": code,
                "fail": 0,
                "info": 0,
                "text": cut(text, MESSAGE_LIMIT),
                "first": operation.invocation,
            },
        )
        row[operation.outcome] += 1
        row["last"] = operation.invocation
    ranked = sorted(codes.values(), key=lambda row: -(row["fail"] + row["info"]))
    return ranked[:CODES_LISTED], max(len(ranked) - CODES_LISTED, 0)


def keys(
    table: Columns,
    implicated: Collection[str],
    sightings: Sequence[Sighting],
    rounds: Mapping[str, Sequence[Round]],
) -> tuple[list[dict[str, Any]], int]:
    """The keys with their counts, and how many were left out. Those of witnesses first, then those that still
    differ.

    O(n + keys log keys).
    """
    most: dict[str, int] = {}
    for sighting in sightings:
        most[sighting.key] = max(sighting.count, most.get(sighting.key, 0))
    load = ~table.observing
    counts = np.zeros((len(OUTCOMES), len(table.key_names)), dtype=np.int64)
    np.add.at(counts, (table.outcome[load], table.key[load]), 1)
    rows: list[dict[str, Any]] = []
    for code, name in enumerate(table.key_names):
        if name == "":
            continue
        looks = rounds.get(name, ())
        rows.append(
            {
                "key": name,
                "implicated": name in implicated,
                "operations": int(counts[:, code].sum()),
                **{outcome: int(counts[at, code]) for at, outcome in enumerate(OUTCOMES)},
                "siblings": most.get(name),
                "rounds": len(looks),
                "diverged": sum(look.state == "diverged" for look in looks),
                "last": looks[-1].distinct if looks else None,
            }
        )
    rows.sort(key=lambda row: (not row["implicated"], -(row["last"] or 0), -row["info"] - row["fail"], row["key"]))
    return rows[:KEYS_LISTED], max(len(rows) - KEYS_LISTED, 0)
