"""Bad patterns: what reads of registers with distinct writes can't show if they are causally consistent.

See `causal_consistency` for the rules. Since sessions order their writes, of each session only the last write
of the key before a read is looked at: the ones before add nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from splitbrain.checkers.algorithms.predecessors import Latest
from splitbrain.checkers.causal.edges import Edges
from splitbrain.checkers.causal.past import Pasts, pasts
from splitbrain.checkers.causal.pattern_finding import Finding, Level
from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.versions.distinct_writes import INITIAL, STRAY, DistinctWrites


@dataclass(frozen=True)
class Overwritten:
    """Reads, and for each the latest write of its key before it, of which there should be none."""

    read: Integers
    write: Integers

    def __len__(self) -> int:
        return len(self.read)


@dataclass(frozen=True)
class Causality:
    """The operations, their order and pasts. reads: those of a write or of null. writes: each session's, by key."""

    of: DistinctWrites
    reads: Integers
    writes: Latest
    sources: dict[int, Sequence[int]]
    pasts: Pasts

    @classmethod
    def among(cls, of: DistinctWrites) -> Causality:
        """O(rows * sessions)."""
        wrote = np.flatnonzero(~of.read)
        read = np.flatnonzero(of.read & (of.version >= 0))
        sources: dict[int, Sequence[int]] = {
            row: (version,) for row, version in zip(read.tolist(), of.version[read].tolist(), strict=True)
        }
        return cls(
            of,
            np.flatnonzero(of.read & (of.version != STRAY)),
            Latest(of.session[wrote] * len(of.columns.keys) + of.key[wrote], wrote),
            sources,
            pasts(of.session, of.sessions, sources),
        )

    def order(self) -> Edges:
        return Edges.causal(self.of.session, self.sources)

    def overwritten(self) -> tuple[Overwritten, Overwritten]:
        """WriteCOInitRead and WriteCORead. O(reads * sessions * log n)."""
        of, found = self.of, np.full(len(self.of), -1)
        for reads, write in self._before(self.reads, self.pasts):
            version = of.version[reads]
            missed = version == INITIAL
            others = np.flatnonzero(~missed & (write != version))
            missed[others] = self.pasts.precedes(version[others], write[others], of.session)
            found[reads[missed]] = np.maximum(found[reads[missed]], write[missed])
        read = np.flatnonzero(found >= 0)
        initial = of.version[read] == INITIAL
        return Overwritten(read[initial], found[read[initial]]), Overwritten(read[~initial], found[read[~initial]])

    def conflicts(self) -> Edges:
        """CF, but for what is causally before anyway. O(reads * sessions * log n)."""
        return self._conflicts(self.reads, self.pasts)

    def happened_before(self, session: int) -> tuple[Edges, bool, Overwritten]:
        """HB of a session: its edges, whether they have a circle (CyclicHB), and if not, its WriteHBInitReads.

        The edges are those that HB has besides CO. O(rounds * rows * sessions). A round adds what follows from the one
        before; where nothing is wrong the first finds nothing to add.
        """
        of, known = self.of, self.pasts
        mine = self.reads[of.session[self.reads] == session]
        sources, more = dict(self.sources), Edges.joined(())
        while not known.circular:
            new = self._conflicts(mine, known)
            if not len(new):
                break
            more = Edges.joined((more, new))
            for source, target in zip(new.source.tolist(), new.target.tolist(), strict=True):
                sources[target] = (*sources.get(target, ()), source)
            known = pasts(of.session, of.sessions, sources)
        latest = np.full(len(of), -1)
        if known.circular:
            return more, True, Overwritten(latest[:0], latest[:0])
        for reads, write in self._before(mine[of.version[mine] == INITIAL], known):
            latest[reads] = np.maximum(latest[reads], write)
        read = np.flatnonzero(latest >= 0)
        return more, False, Overwritten(read, latest[read])

    def _conflicts(self, reads: Integers, known: Pasts) -> Edges:
        of = self.of
        parts = []
        for some, write in self._before(reads[of.version[reads] >= 0], known):
            version = of.version[some]
            told = write != version
            told[told] = ~known.precedes(write[told], version[told], of.session)
            pairs, first = np.unique(write[told] * len(of) + version[told], return_index=True)
            parts.append(Edges.conflicts(pairs // len(of), pairs % len(of), some[told][first]))
        return Edges.joined(parts)

    def _before(self, reads: Integers, known: Pasts) -> Iterator[tuple[Integers, Integers]]:
        """By session: the reads that have a write of their key by that session before them, and the last of these."""
        of = self.of
        for session in range(of.sessions):
            seen = known.clock[reads, session].astype(np.int64)
            some, seen = reads[seen >= 0], seen[seen >= 0]
            write = self.writes.before(session * len(of.columns.keys) + of.key[some], seen + 1)
            yield some[write >= 0], write[write >= 0]


def judge(of: DistinctWrites, level: Level) -> Finding:
    """Look for the bad patterns of a level. O(n * sessions * log n) for cc and ccv, each session's rounds for cm."""
    written = np.isin(of.key, of.key[~of.read])
    finding = Finding(int(of.read.sum()), int((of.read & written).sum()), int((~of.read).sum()))
    stray = np.flatnonzero(of.read & (of.version == STRAY))
    if finding.note("ThinAirRead", len(stray)):
        row = int(stray[0])
        text = f"{of.told(row)}, which no write had written there that may have happened"
        finding.witness = Edges.joined(()).witness(of, "ThinAirRead", text, row)
    known = Causality.among(of)
    if known.pasts.circular:
        looped = known.order().looped(len(of))
        if finding.note("CyclicCO", len(set(looped.source.tolist()))):
            _note_circle(finding, of, "CyclicCO", looped, "operations came before themselves")
        return finding
    finding.note("CyclicCO", 0)
    initial, overwritten = known.overwritten()
    if finding.note("WriteCOInitRead", len(initial)):
        _note_overwritten(finding, of, "WriteCOInitRead", known.order(), initial)
    if finding.note("WriteCORead", len(overwritten)):
        _note_overwritten(finding, of, "WriteCORead", known.order(), overwritten)
    if finding.found or level == "cc":
        return finding
    if level == "ccv":
        conflicts = Edges.joined((known.order(), known.conflicts())).looped(len(of))
        if finding.note("CyclicCF", len(set(conflicts.source.tolist()))):
            _note_circle(finding, of, "CyclicCF", conflicts, "no one order of the writes explains every read")
        return finding
    finding.note("CyclicHB", 0)
    finding.note("WriteHBInitRead", 0)
    for session in range(of.sessions):
        more, circular, late = known.happened_before(session)
        finding.counts["CyclicHB"] += circular
        finding.counts["WriteHBInitRead"] += len(late)
        if finding.witness is None and (circular or len(late)):
            process = of.process(int(np.flatnonzero(of.session == session)[0]))
            why = f"no order of the writes explains what process {process} read"
            edges = Edges.joined((known.order(), more))
            if circular:
                _note_circle(finding, of, "CyclicHB", edges.looped(len(of)), why)
            else:
                read, write = int(late.read[0]), int(late.write[0])
                path = edges.path(write, read)
                text = f"{why}: {of.told(write)}; {'; '.join(path.story(of))}"
                finding.witness = path.witness(of, "WriteHBInitRead", text)
    return finding


def _note_circle(finding: Finding, of: DistinctWrites, kind: str, looped: Edges, why: str) -> None:
    circle = looped.circle()
    text = f"{why}: {of.told(int(circle.source[0]))}; {'; '.join(circle.story(of))}"
    finding.witness = circle.witness(of, kind, text)


def _note_overwritten(finding: Finding, of: DistinctWrites, kind: str, order: Edges, what: Overwritten) -> None:
    read, write = int(what.read[0]), int(what.write[0])
    got = int(of.version[read])
    path = order.path(write, read)
    text = f"{of.told(write)}; then {'; then '.join(path.story(of))}"
    if got == INITIAL:
        text += ": the write is causally before that read"
    else:
        path = Edges.joined((order.path(got, write), path))
        text += f", though {of.value(got)} is causally before {of.value(write)}, and that before this read"
    finding.witness = path.witness(of, kind, text, read)
