"""Staleness: how far behind the reads were, in versions and in time.

There are two kinds of history: registers with distinct writes (`write` and `read`, see `distinct_writes`) and versioned
registers (`put` and `read`, several siblings at once, see `writes`). Only `ok` reads and acknowledged (`ok`) writes
count. Before and after are the order of events; durations are by the clock of the history.

1. A read missed a write of its key if that was acknowledged before the read was invoked, and is newer than what the
   read returned:
   - registers with distinct writes: if the write was invoked only after the write that the read returned was over:
     after its acknowledgement, or after the end of another read that returned it. Writes that overlap are concurrent:
     either may be newer, so neither is missed. To null every write is newer.
   - versioned registers: if the read didn't cover it: it returned neither the write nor one that had (transitively)
     seen it. What the read may cover, through a write that does not say what it had seen, isn't missed
     (`version_order`).
2. k-staleness: how many writes a read missed. t-staleness: the time from the first acknowledgement among these to the
   invocation of the read; 0 if it missed none. Both are lower bounds: no read is said to be staler than it certainly
   was. A read is k-fresh if it missed at most k writes, t-fresh if its t-staleness is at most t; stale if it missed
   any.
3. A stray is a read of a value that no write wrote to its key, or only a failed one. It is counted and not judged. An
   id that no client put covers nothing.
4. With `max_k` or `max_t_ms`: invalid if a read was staler. Without, a description, and valid.
5. With `quiet_s`, only what overlapping quorums promise while nothing fails counts: `quiet_times` says which reads are
   judged, and which of the missed writes they had to show.
6. Unknown if no read was judged, or if no write was acknowledged. Where writes had seen one another in a circle there
   is no newer or older: unknown (and `causal` calls it invalid).

An eventually consistent store promises no bound. Bailis and others state what to expect of one as two probabilities:
that a read begun t after a write's acknowledgement returns it or a newer one, and that a read returns one of the last k
versions. These are `t_fresh` and `k_fresh`; theirs count the newest version as the first, so k-fresh here is their k +
1.

Sources: Bailis, Venkataraman, Franklin, Hellerstein, Stoica, "Probabilistically bounded staleness for practical partial
quorums" (VLDB 2012), sections 2 and 3. Golab, Li, Shah, "Analyzing consistency properties for fun and profit" (PODC
2011), for the end of a write being that of the first operation that shows it (zones).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from splitbrain.checkers.algorithms.dominance import below
from splitbrain.checkers.algorithms.quantiles import percentile, quantiles_ms
from splitbrain.checkers.eventual.quiet_times import QuietTimes
from splitbrain.checkers.histories.columns import FOREVER, NEMESIS_PROCESS, OK, Columns, Integers
from splitbrain.checkers.histories.faults import first_fault
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import at, count, key_name, key_names, literal, milliseconds
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness
from splitbrain.checkers.versions.distinct_writes import STRAY, DistinctWrites
from splitbrain.checkers.versions.reads import VersionedReads, is_versioned
from splitbrain.checkers.versions.version_order import Circular
from splitbrain.checkers.versions.writes import Versions, completion_index

_BUCKETS = 200
_LISTED = 100
_K = (0, 1, 2, 3, 5, 10, 20, 50, 100)
_T_MS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000)
_PERCENTS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


@dataclass(frozen=True)
class Missed:
    """What reads missed; all of one length.

    read: event index of the invocation. key: code. number: of writes missed. since: event index of the acknowledgement
    of the first of them, or -1.
    """

    read: Integers
    key: Integers
    number: Integers
    since: Integers

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int, int]]) -> Missed:
        """From rows of read, key, number and since (FOREVER if nothing was missed), in any order."""
        table = np.array(sorted(rows), dtype=np.int64).reshape(-1, 4)
        return cls(table[:, 0], table[:, 1], table[:, 2], np.where(table[:, 2] > 0, table[:, 3], -1))

    def ages_ns(self, columns: Columns) -> Integers:
        """t-staleness of each."""
        ages = columns.time[self.read] - columns.time[np.maximum(self.since, 0)]
        return np.where(self.since >= 0, np.maximum(ages, 0), 0)


@needs_real_time
def check(
    history: History,
    *,
    max_k: Annotated[int, Meta(ge=0)] | None = None,
    max_t_ms: Annotated[float, Meta(ge=0)] | None = None,
    quiet_s: Annotated[float, Meta(ge=0)] | None = None,
    until_fault: tuple[str, ...] = (),
) -> Verdict:
    """Measure how stale reads were, by the rules above.

    max_k: so many writes may a read miss. max_t_ms: milliseconds that a read may be stale. None: as many as it likes.
    quiet_s: judge by rule 5, and after so many seconds without a fault it is quiet. until_fault: families of faults
    that the promise does not cover, such as "wipe": only reads that were over before the first of them are judged.
    Evidence: `registers` ("versioned" or "distinct writes"), `reads` judged, `excused` (by rule 5), `stale` ones,
    `strays`, `writes` acknowledged, `k` and `t_ms` (quantiles over all reads), `stale_t_ms` (over the stale ones),
    `k_fresh` and `t_fresh` [[k or t in ms, share of reads]], `keys` {key: {reads, stale, max_k, max_t_ms}} (of 100
    keys, stalest first, if there are more), `over_time` [[bucket's start in ms, reads, stale, max_k, max_t_ms]] (at
    most 200).
    Raises HistoryError for a value of the wrong shape or an operation that such registers don't have.
    O(n log n), of versioned registers times the chains of a key (`version_order`); with `quiet_s` O(reads * writes) of
    each key.
    """
    strays = 0
    end, quiet = first_fault(history, until_fault), None if quiet_s is None else QuietTimes.of(history, quiet_s)
    if is_versioned(history):
        kind, f = "versioned", "put"
        try:
            reads = VersionedReads.of(Versions.of(history).until(end))
            columns = history.columns
            missed = _of_versions(reads, columns) if quiet is None else _versions_in_quiet(reads, columns, quiet)
            total = sum(len(of.reads) for of in reads.by_key.values())
        except Circular as problem:
            return Verdict.unknown(f"nothing is newer or older: {problem}", registers=kind)
    else:
        kind, f = "distinct writes", "write"
        registers = DistinctWrites.of(history.until(end))
        history, columns = registers.history, registers.columns
        strays = int((registers.version == STRAY).sum())
        missed = _of_distinct(registers) if quiet is None else _distinct_in_quiet(registers, quiet)
        total = int(registers.read.sum()) - strays
    code = columns.fs.index(f) if f in columns.fs else -1
    writes = int(((columns.f == code) & (columns.type == OK) & (columns.process != NEMESIS_PROCESS)).sum())
    evidence: dict[str, Any] = {"registers": kind, "reads": len(missed.read), "writes": writes, "strays": strays}
    evidence |= {} if quiet is None else {"excused": total - len(missed.read)}
    if not len(missed.read) or not writes:
        what = "no read was judged" if writes else "no write was acknowledged"
        return Verdict.unknown(f"{what}, so nothing can be stale", **evidence)
    ages = missed.ages_ns(columns)
    evidence |= _figures(missed, ages, columns)
    worst_k, worst_t = int(np.argmax(missed.number)), int(np.argmax(ages))
    most, longest = int(missed.number[worst_k]), milliseconds(int(ages[worst_t]))
    complaints, worst = [], -1
    if max_k is not None and most > max_k:
        complaints.append(f"a read missed {count(most, 'acknowledged write')}, more than the {max_k:,} allowed")
        worst = worst_k
    if max_t_ms is not None and int(ages[worst_t]) > max_t_ms * 1e6:
        complaints.append(f"a read was {longest:,} ms stale, more than the {max_t_ms:,} ms allowed")
        worst = worst_t if worst < 0 else worst
    if complaints:
        witness = _witness(history, missed, worst, int(ages[worst]))
        return Verdict.invalid("; ".join(complaints), witness, **evidence)
    stale = evidence["stale"]
    when = "" if quiet is None else " in quiet times"
    reason = f"{stale:,} of {count(len(missed.read), 'read')}{when} stale" + (
        f": at most {count(most, 'write')} missed, {longest:,} ms at most" if stale else ""
    )
    return Verdict.valid(reason, **evidence)


def _of_distinct(of: DistinctWrites) -> Missed:
    """O(n log n)."""
    over = of.completed.copy()
    shown = np.flatnonzero(of.read & (of.version >= 0))
    np.minimum.at(over, of.version[shown], of.completed[shown])
    reads = np.flatnonzero(of.read & (of.version != STRAY))
    wrote = np.flatnonzero(of.acknowledged)
    after = np.where(of.version[reads] >= 0, over[np.maximum(of.version[reads], 0)], -1)
    # Keys side by side, so that one table serves all: a key's writes are those from its own offset to the next.
    span = len(of.columns.time) + 1
    order = np.lexsort((of.invoked[wrote], of.key[wrote]))
    wrote = wrote[order]
    places = of.key[wrote] * span + of.invoked[wrote]
    begin = np.searchsorted(places, of.key[reads] * span + np.minimum(after, span - 1), side="right")
    end = np.searchsorted(places, (of.key[reads] + 1) * span, side="left")
    number, since = below(of.completed[wrote], of.key[wrote], begin, end, of.invoked[reads])
    return Missed(of.invoked[reads], of.key[reads], number, since)


def _distinct_in_quiet(of: DistinctWrites, quiet: QuietTimes) -> Missed:
    """O(reads * writes) of each key."""
    times, over = of.columns.time, of.completed.copy()
    shown = np.flatnonzero(of.read & (of.version >= 0))
    np.minimum.at(over, of.version[shown], of.completed[shown])
    rows: list[tuple[int, int, int, int]] = []
    for code, key in enumerate(of.columns.keys):
        wrote = np.flatnonzero(of.acknowledged & (of.key == code))
        invoked, ended = of.invoked[wrote], of.completed[wrote]
        settled = quiet.settled(times[invoked], times[ended])
        reads = np.flatnonzero(of.read & (of.key == code) & (of.version != STRAY))
        reads = reads[quiet.judged(times[of.invoked[reads]], times[of.completed[reads]], key)]
        for read in reads.tolist():
            after = over[of.version[read]] if of.version[read] >= 0 else -1
            begun = int(of.invoked[read])
            missed = (invoked > after) & (ended < begun)
            missed &= quiet.must_show(int(times[begun]), times[invoked], settled)
            rows.append((begun, code, int(missed.sum()), int(ended[missed].min(initial=FOREVER))))
    return Missed.of(rows)


def _versions_in_quiet(reads: VersionedReads, columns: Columns, quiet: QuietTimes) -> Missed:
    """O(reads * writes) of each key."""
    times, codes = columns.time, {key: code for code, key in enumerate(columns.keys)}
    rows: list[tuple[int, int, int, int]] = []
    for key, of in reads.by_key.items():
        order, promised = of.order, of.promised
        invoked, ended = of.put_invoked[promised], _integers(order.writes[at].ended for at in promised.tolist())
        settled = quiet.settled(times[invoked], times[ended])
        completed = _integers(completion_index(read) for read in of.reads)
        for row in np.flatnonzero(quiet.judged(times[of.invoked], times[completed], key)).tolist():
            begun = int(of.invoked[row])
            uncovered = order.position[promised] > of.clock[row][order.chain[promised]]
            # What came too late to be covered by a write that does not say what it had seen.
            missed = uncovered & (order.not_before[promised] >= of.horizon[row]) & (ended < begun)
            missed &= quiet.must_show(int(times[begun]), times[invoked], settled)
            rows.append((begun, codes[key], int(missed.sum()), int(ended[missed].min(initial=FOREVER))))
    return Missed.of(rows)


def _integers(numbers: Iterable[int]) -> Integers:
    return np.fromiter(numbers, dtype=np.int64)


def _of_versions(reads: VersionedReads, columns: Columns) -> Missed:
    """O(reads * chains * log n)."""
    codes = {key: code for code, key in enumerate(columns.keys)}
    parts = []
    for key, of in reads.by_key.items():
        order = of.order
        ended = np.array([w.ended if w.outcome == "ok" else FOREVER for w in order.writes], dtype=np.int64)
        number, since = np.zeros(len(of.reads), dtype=np.int64), np.full(len(of.reads), -1, dtype=np.int64)
        for chain, members in enumerate(order.members):
            # What came too late to be covered by a write that does not say what it had seen.
            sure = np.searchsorted(order.not_before[members], of.horizon, side="left")
            begin = np.maximum(of.clock[:, chain] + 1, sure)
            group, end = np.zeros_like(members), np.full_like(begin, len(members))
            some, first = below(ended[members], group, np.minimum(begin, end), end, of.invoked)
            number += some
            earlier = (first >= 0) & ((since < 0) | (first < since))
            since[earlier] = first[earlier]
        parts.append(Missed(of.invoked, np.full(len(of.reads), codes[key], dtype=np.int64), number, since))
    none = np.zeros(0, dtype=np.int64)
    names = ("read", "key", "number", "since")
    joined = [np.concatenate([none, *(getattr(part, name) for part in parts)]) for name in names]
    by_read = np.argsort(joined[0], kind="stable")
    return Missed(*(part[by_read] for part in joined))


def _figures(missed: Missed, ages: Integers, columns: Columns) -> dict[str, Any]:
    total, numbers, ordered = len(ages), np.sort(missed.number), np.sort(ages)
    bounds_ns = np.array(_T_MS, dtype=np.int64) * 1_000_000
    stale = missed.number > 0
    return {
        "stale": int(stale.sum()),
        "k": {name: percentile(numbers, percent) for name, percent in _PERCENTS.items()},
        "t_ms": quantiles_ms(ages),
        "stale_t_ms": quantiles_ms(ages[stale]),
        "k_fresh": _shares(_K, np.searchsorted(numbers, _K, side="right"), total),
        "t_fresh": _shares(_T_MS, np.searchsorted(ordered, bounds_ns, side="right"), total),
        "keys": _by_key(missed, ages, columns),
        "over_time": _over_time(missed, ages, columns),
    }


def _shares(bounds: Sequence[int], within: Any, total: int) -> list[list[float]]:
    return [[bound, round(number / total, 6)] for bound, number in zip(bounds, within.tolist(), strict=True)]


def _grouped(group: Integers, missed: Missed, ages: Integers) -> list[tuple[int, int, int, int, int]]:
    """By group, ascending: its number, reads, stale ones, most missed, longest in ns."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    reads = np.diff(starts, append=len(order))
    stale = np.add.reduceat((missed.number[order] > 0).astype(np.int64), starts)
    most, longest = (np.maximum.reduceat(part[order], starts) for part in (missed.number, ages))
    columns = (group[order][starts], reads, stale, most, longest)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _by_key(missed: Missed, ages: Integers, columns: Columns) -> dict[str, Any]:
    every = sorted(_grouped(missed.key, missed, ages), key=lambda each: (-each[3], -each[4], each[0]))
    names = key_names(columns.keys)
    return {
        names[columns.keys[key]]: {"reads": reads, "stale": stale, "max_k": k, "max_t_ms": milliseconds(t)}
        for key, reads, stale, k, t in every[:_LISTED]
    }


def _over_time(missed: Missed, ages: Integers, columns: Columns) -> list[list[float]]:
    """By intervals of the run of equal length, those with a read."""
    moments = columns.time[missed.read]
    start = int(moments.min())
    width = (int(moments.max()) - start) // _BUCKETS + 1
    groups = _grouped((moments - start) // width, missed, ages)
    return [
        [milliseconds(start + bucket * width), reads, stale, k, milliseconds(t)]
        for bucket, reads, stale, k, t in groups
    ]


def _witness(history: History, missed: Missed, worst: int, age_ns: int) -> Witness:
    columns = history.columns
    read, since = int(missed.read[worst]), int(missed.since[worst])
    acknowledged = history.events[since]
    operations = columns.operations
    place = int(np.searchsorted(operations.invoked, read))
    answered = history.events[int(operations.completed[place])]
    wrote = int(operations.invoked[np.flatnonzero(operations.completed == since)[0]])
    number = int(missed.number[worst])
    what = columns.value[wrote]
    what = what["write"] if "put" in columns.fs else what
    name = key_name(columns.keys[missed.key[worst]])
    more = f" and {count(number - 1, 'write')} acknowledged after it" if number > 1 else ""
    text = (
        f"process {acknowledged.process} was told at {at(acknowledged)} that {literal(what)} was written to {name}; "
        f"process {answered.process}, asking {milliseconds(age_ns):,} ms later at {at(history.events[read])}, read "
        f"{literal(answered.value)}, which misses that{more}"
    )
    data = {"kind": "stale", "key": columns.keys[missed.key[worst]], "k": number, "t_ms": milliseconds(age_ns)}
    return Witness(text, tuple(sorted({wrote, since, read, answered.index})), data)
