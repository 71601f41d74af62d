"""Bad patterns: what reads of registers with distinct writes can't show if the history is causally consistent.

See `causal_consistency` for the rules. Sessions order their own writes. So of each session only the last write of the
key before a read matters; the earlier ones add nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from splitbrain.checkers.algorithms.predecessors import PredecessorTable
from splitbrain.checkers.causal.edges import CausalEdges
from splitbrain.checkers.causal.past import Pasts, pasts
from splitbrain.checkers.causal.pattern_finding import Level, PatternFinding
from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.versions.distinct_writes import INITIAL, STRAY, DistinctWrites


@dataclass(frozen=True)
class OverwrittenReads:
    """Reads, and for each the latest write of its key before it, which should not exist."""

    read: Integers
    write: Integers

    def __len__(self) -> int:
        return len(self.read)


@dataclass(frozen=True)
class Causality:
    """The operations, their order and their pasts.

    reads: reads of a write or of null. writes: each session's writes, by key. sources: the write that each read
    returned.
    """

    ops: DistinctWrites
    reads: Integers
    writes: PredecessorTable
    sources: dict[int, Sequence[int]]
    pasts: Pasts

    @classmethod
    def among(cls, ops: DistinctWrites) -> Causality:
        """The causality among operations. O(rows * sessions)."""
        wrote = np.flatnonzero(~ops.read)
        read = np.flatnonzero(ops.read & (ops.version >= 0))
        sources: dict[int, Sequence[int]] = {
            row: (version,) for row, version in zip(read.tolist(), ops.version[read].tolist(), strict=True)
        }
        return cls(
            ops,
            np.flatnonzero(ops.read & (ops.version != STRAY)),
            PredecessorTable(ops.session[wrote] * len(ops.columns.keys) + ops.key[wrote], wrote),
            sources,
            pasts(ops.session, ops.sessions, sources),
        )

    def order(self) -> CausalEdges:
        return CausalEdges.causal(self.ops.session, self.sources)

    def overwritten(self) -> tuple[OverwrittenReads, OverwrittenReads]:
        """WriteCOInitRead and WriteCORead. O(reads * sessions * log n)."""
        ops, found = self.ops, np.full(len(self.ops), -1)
        for reads, write in self._before(self.reads, self.pasts):
            version = ops.version[reads]
            missed = version == INITIAL
            others = np.flatnonzero(~missed & (write != version))
            missed[others] = self.pasts.precedes(version[others], write[others], ops.session)
            found[reads[missed]] = np.maximum(found[reads[missed]], write[missed])
        read = np.flatnonzero(found >= 0)
        initial = ops.version[read] == INITIAL
        return OverwrittenReads(read[initial], found[read[initial]]), OverwrittenReads(
            read[~initial], found[read[~initial]]
        )

    def conflicts(self) -> CausalEdges:
        """CF, without the edges that CO implies anyway. O(reads * sessions * log n)."""
        return self._conflicts(self.reads, self.pasts)

    def happened_before(self, session: int) -> tuple[CausalEdges, bool, OverwrittenReads]:
        """HB of a session: the edges that it has besides CO, whether they close a cycle (CyclicHB), and else its
        WriteHBInitReads.

        O(rounds * rows * sessions). Each round adds what follows from the one before. Where nothing is wrong, the first
        round finds nothing to add.
        """
        ops, known = self.ops, self.pasts
        mine = self.reads[ops.session[self.reads] == session]
        sources, more = dict(self.sources), CausalEdges.joined(())
        while not known.circular:
            new = self._conflicts(mine, known)
            if not len(new):
                break
            more = CausalEdges.joined((more, new))
            for source, target in zip(new.source.tolist(), new.target.tolist(), strict=True):
                sources[target] = (*sources.get(target, ()), source)
            known = pasts(ops.session, ops.sessions, sources)
        latest = np.full(len(ops), -1)
        if known.circular:
            return more, True, OverwrittenReads(latest[:0], latest[:0])
        for reads, write in self._before(mine[ops.version[mine] == INITIAL], known):
            latest[reads] = np.maximum(latest[reads], write)
        read = np.flatnonzero(latest >= 0)
        return more, False, OverwrittenReads(read, latest[read])

    def _conflicts(self, reads: Integers, known: Pasts) -> CausalEdges:
        ops = self.ops
        parts = []
        for some, write in self._before(reads[ops.version[reads] >= 0], known):
            version = ops.version[some]
            misplaced = write != version
            misplaced[misplaced] = ~known.precedes(write[misplaced], version[misplaced], ops.session)
            pairs, first = np.unique(write[misplaced] * len(ops) + version[misplaced], return_index=True)
            parts.append(CausalEdges.conflicts(pairs // len(ops), pairs % len(ops), some[misplaced][first]))
        return CausalEdges.joined(parts)

    def _before(self, reads: Integers, known: Pasts) -> Iterator[tuple[Integers, Integers]]:
        """By session: the reads that a write of their key by that session precedes, and the last such write."""
        ops = self.ops
        for session in range(ops.sessions):
            seen = known.clock[reads, session].astype(np.int64)
            some, seen = reads[seen >= 0], seen[seen >= 0]
            write = self.writes.before(session * len(ops.columns.keys) + ops.key[some], seen + 1)
            yield some[write >= 0], write[write >= 0]


def judge(ops: DistinctWrites, level: Level) -> PatternFinding:
    """Search for the bad patterns of a level. O(n * sessions * log n) for cc and ccv, and the rounds of each session
    for cm.
    """
    written = np.isin(ops.key, ops.key[~ops.read])
    finding = PatternFinding(int(ops.read.sum()), int((ops.read & written).sum()), int((~ops.read).sum()))
    stray = np.flatnonzero(ops.read & (ops.version == STRAY))
    if finding.note("ThinAirRead", len(stray)):
        row = int(stray[0])
        text = f"{ops.describe(row)}, which no write had written there that may have happened"
        finding.witness = CausalEdges.joined(()).witness(ops, "ThinAirRead", text, row)
    known = Causality.among(ops)
    if known.pasts.circular:
        cyclic = known.order().on_cycles(len(ops))
        if finding.note("CyclicCO", len(set(cyclic.source.tolist()))):
            _note_cycle(finding, ops, "CyclicCO", cyclic, "operations came before themselves")
        return finding
    finding.note("CyclicCO", 0)
    initial, overwritten = known.overwritten()
    if finding.note("WriteCOInitRead", len(initial)):
        _note_overwritten(finding, ops, "WriteCOInitRead", known.order(), initial)
    if finding.note("WriteCORead", len(overwritten)):
        _note_overwritten(finding, ops, "WriteCORead", known.order(), overwritten)
    if finding.found or level == "cc":
        return finding
    if level == "ccv":
        conflicts = CausalEdges.joined((known.order(), known.conflicts())).on_cycles(len(ops))
        if finding.note("CyclicCF", len(set(conflicts.source.tolist()))):
            _note_cycle(finding, ops, "CyclicCF", conflicts, "no one order of the writes explains every read")
        return finding
    finding.note("CyclicHB", 0)
    finding.note("WriteHBInitRead", 0)
    for session in range(ops.sessions):
        more, circular, late = known.happened_before(session)
        finding.counts["CyclicHB"] += circular
        finding.counts["WriteHBInitRead"] += len(late)
        if finding.witness is None and (circular or len(late)):
            process = ops.process(int(np.flatnonzero(ops.session == session)[0]))
            why = f"no order of the writes explains what process {process} read"
            edges = CausalEdges.joined((known.order(), more))
            if circular:
                _note_cycle(finding, ops, "CyclicHB", edges.on_cycles(len(ops)), why)
            else:
                read, write = int(late.read[0]), int(late.write[0])
                path = edges.path(write, read)
                text = f"{why}: {ops.describe(write)}; {'; '.join(path.clauses(ops))}"
                finding.witness = path.witness(ops, "WriteHBInitRead", text)
    return finding


def _note_cycle(finding: PatternFinding, ops: DistinctWrites, kind: str, cyclic: CausalEdges, why: str) -> None:
    cycle = cyclic.shortest_cycle()
    text = f"{why}: {ops.describe(int(cycle.source[0]))}; {'; '.join(cycle.clauses(ops))}"
    finding.witness = cycle.witness(ops, kind, text)


def _note_overwritten(
    finding: PatternFinding, ops: DistinctWrites, kind: str, order: CausalEdges, what: OverwrittenReads
) -> None:
    read, write = int(what.read[0]), int(what.write[0])
    got = int(ops.version[read])
    path = order.path(write, read)
    text = f"{ops.describe(write)}; then {'; then '.join(path.clauses(ops))}"
    if got == INITIAL:
        text += ": the write is causally before that read"
    else:
        path = CausalEdges.joined((order.path(got, write), path))
        text += f", though {ops.value(got)} is causally before {ops.value(write)}, and that before this read"
    finding.witness = path.witness(ops, kind, text, read)
