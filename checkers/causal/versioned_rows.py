"""Causal consistency of versioned registers: a read covers every write of its key that is causally before it.

See `causal_consistency` for the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splitbrain.checkers.causal.edges import CausalEdges
from splitbrain.checkers.causal.past import Pasts, pasts
from splitbrain.checkers.causal.pattern_finding import Pattern, PatternFinding
from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.histories.history import Operation
from splitbrain.checkers.histories.prose import at, key_name, listing
from splitbrain.checkers.versions.reads import KeyReads, VersionedReads
from splitbrain.checkers.versions.writes import Versions


@dataclass(frozen=True)
class VersionedRows:
    """Puts and `ok` reads in the order of their invocations, a row each.

    named: the ids that each returned or had seen.
    """

    operations: Sequence[Operation]
    named: Sequence[tuple[int, ...]]
    versions: Versions

    @classmethod
    def of(cls, versions: Versions) -> VersionedRows:
        every = [(write.operation, write.seen or ()) for write in versions.writes.values()]
        every += versions.reads
        every.sort(key=lambda pair: pair[0].invocation.index)
        return cls([operation for operation, _ in every], [ids for _, ids in every], versions)

    def __len__(self) -> int:
        return len(self.operations)

    @cached_property
    def invoked(self) -> Integers:
        return np.array([operation.invocation.index for operation in self.operations], dtype=np.int64)

    @cached_property
    def session(self) -> Integers:
        processes = np.array([operation.process for operation in self.operations], dtype=np.int64)
        return np.unique(processes, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def sessions(self) -> int:
        return int(self.session.max()) + 1 if len(self) else 0

    @cached_property
    def sources(self) -> dict[int, Sequence[int]]:
        """What each row directly follows: the writes that it returned or had seen, without itself (a retried put)."""
        row = {invoked: at_ for at_, invoked in enumerate(self.invoked.tolist())}
        writes = self.versions.writes
        found: dict[int, Sequence[int]] = {}
        for at_, (operation, ids) in enumerate(zip(self.operations, self.named, strict=True)):
            known = [row[writes[id_].invoked] for id_ in ids if self.versions.known(id_, operation.key)]
            if operation.f == "put":
                known = [source for source in known if source != at_]
            if known:
                found[at_] = tuple(known)
        return found

    def pasts(self) -> Pasts:
        return pasts(self.session, self.sessions, self.sources)

    def order(self) -> CausalEdges:
        return CausalEdges.causal(self.session, self.sources)

    def describe(self, row: int) -> str:
        operation, name = self.operations[row], key_name(self.operations[row].key)
        who, moment = f"process {operation.process}", at(operation.invocation)
        if operation.f == "read":
            return f"{who} read {listing(self.named[row], limit=10) or 'nothing'} from {name} at {moment}"
        had = f", having seen {listing(self.named[row], limit=10)}," if self.named[row] else ""
        return f"{who}{had} put {operation.invocation.value['write']} to {name} at {moment}"

    def events(self, rows: set[int]) -> tuple[int, ...]:
        some = [self.operations[row] for row in rows]
        return tuple(sorted({event.index for o in some for event in (o.invocation, o.completion) if event}))

    def as_data(self, row: int) -> dict[str, Any]:
        operation, read = self.operations[row], self.operations[row].f == "read"
        value = list(self.named[row][:100]) if read else operation.invocation.value
        index, time = operation.invocation.index, operation.invocation.time
        who = {"f": operation.f, "process": operation.process, "key": operation.key}
        return {**who, "value": value, "index": index, "time": time}


def judge(versions: Versions) -> PatternFinding:
    """Search for the bad patterns of versioned registers. O((puts + reads) * (sessions + chains))."""
    rows = VersionedRows.of(versions)
    shown = {id_ for _, siblings in versions.reads for id_ in siblings}
    happened = [write for write in versions.writes.values() if write.outcome == "ok" or write.id in shown]
    written = {write.key for write in happened}
    finding = PatternFinding(len(versions.reads), sum(read.key in written for read, _ in versions.reads), len(happened))
    strays = [row for row in range(len(rows)) if _thin_air(rows, row)]
    if finding.note("ThinAirRead", len(strays)):
        text = f"{rows.describe(strays[0])}; no put of {listing(_thin_air(rows, strays[0]))} there may have happened"
        finding.witness = CausalEdges.joined(()).witness(rows, "ThinAirRead", text, strays[0])
    known = rows.pasts()
    if known.circular:
        cyclic = rows.order().on_cycles(len(rows))
        if finding.note("CyclicCO", len(set(cyclic.source.tolist()))):
            cycle = cyclic.shortest_cycle()
            text = f"operations came before themselves: {'; '.join(cycle.clauses(rows))}"
            finding.witness = cycle.witness(rows, "CyclicCO", text)
        return finding
    finding.note("CyclicCO", 0)
    reads = VersionedReads.of(versions)
    found: list[tuple[int, int]] = []
    for key_reads in reads.by_key.values():
        missed, maybe = _missing(rows, known, key_reads)
        finding.unprovable += int((maybe & (missed < 0)).sum())
        place = np.searchsorted(rows.invoked, key_reads.invoked)
        put = np.searchsorted(rows.invoked, key_reads.put_invoked)
        found += [(int(place[read]), int(put[missed[read]])) for read in np.flatnonzero(missed >= 0).tolist()]
    found.sort()
    empty = [pair for pair in found if not rows.named[pair[0]]]
    some = [pair for pair in found if rows.named[pair[0]]]
    both: tuple[tuple[Pattern, list[tuple[int, int]]], ...] = (("WriteCOInitRead", empty), ("WriteCORead", some))
    for pattern, pairs in both:
        if finding.note(pattern, len(pairs)):
            read, write = pairs[0]
            path = rows.order().path(write, read)
            id_ = rows.operations[write].invocation.value["write"]
            text = (
                f"{rows.describe(write)}; then {'; then '.join(path.clauses(rows))}: neither {id_} nor what had seen it"
            )
            finding.witness = path.witness(rows, pattern, text)
    return finding


def _thin_air(rows: VersionedRows, row: int) -> list[int]:
    """The ids that a read returned although no put of them to that key may have happened."""
    operation, versions = rows.operations[row], rows.versions
    if operation.f != "read":
        return []
    ids = rows.named[row]
    return [id_ for id_ in ids if not versions.known(id_, operation.key) or versions.writes[id_].outcome == "fail"]


def _missing(
    rows: VersionedRows, known: Pasts, key_reads: KeyReads
) -> tuple[Integers, np.ndarray[Any, np.dtype[np.bool_]]]:
    """For each read of a key: a write that is causally before it and certainly not covered, or -1; and whether one may
    be.
    """
    missed, maybe = np.full(len(key_reads.reads), -1), np.zeros(len(key_reads.reads), dtype=bool)
    reads, puts = np.searchsorted(rows.invoked, key_reads.invoked), np.searchsorted(rows.invoked, key_reads.put_invoked)
    possible = key_reads.possible
    writer = rows.session[puts[possible]]
    order = np.argsort(writer, kind="stable")
    for some in np.split(order, np.flatnonzero(np.diff(writer[order])) + 1) if len(order) else []:
        needed = np.maximum.accumulate(key_reads.order.chain_prefixes(possible[some]), axis=0)
        seen = known.clock[reads, writer[some[0]]]
        last = np.searchsorted(puts[possible[some]], seen, side="right") - 1
        asked = np.flatnonzero(last >= 0)
        some_lack, some_may = key_reads.order.missing(
            key_reads.clock[asked], key_reads.horizon[asked], needed[last[asked]]
        )
        fewer = (some_lack >= 0) & ((missed[asked] < 0) | (some_lack < missed[asked]))
        missed[asked[fewer]] = some_lack[fewer]
        maybe[asked] |= some_may
    return missed, maybe
