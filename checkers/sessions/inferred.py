"""Session guarantees of registers with distinct writes, whose order has to be inferred.

See `guarantees` for the rules; the words here are theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitbrain.checkers.algorithms.cycles import on_cycle, shortest_cycle
from splitbrain.checkers.algorithms.predecessors import Latest
from splitbrain.checkers.histories.columns import FOREVER, Integers
from splitbrain.checkers.sessions.guarantee_finding import Finding, Guarantee
from splitbrain.checkers.verdict import Witness
from splitbrain.checkers.versions.distinct_writes import INITIAL, STRAY, DistinctWrites

_SHOWN = 20


@dataclass(frozen=True)
class Demands:
    """Each: the read must not be older than the write `least`. since: the row that makes it so. All are rows."""

    read: Integers
    least: Integers
    since: Integers


@dataclass(frozen=True)
class Known:
    """What is known of the versions' order: `source` is older than `target`, since `since` shows it."""

    source: Integers
    target: Integers
    since: Integers

    @classmethod
    def of(cls, of: DistinctWrites) -> Known:
        """What each session had written to or read from a key is older than the next that it writes there."""
        group = of.session * len(of.columns.keys) + of.key
        order = np.lexsort((np.arange(len(of)), group))
        following = np.full(len(of) + 1, -1)
        following[:-1] = np.where(of.read[order], -1, order)
        # From the last to the first: the next write at or after each place, if it is of the same group.
        place = np.where(following >= 0, np.arange(len(of) + 1), len(of))
        nearest = np.minimum.accumulate(place[::-1])[::-1]
        upcoming = nearest[1:]
        there = upcoming < len(of)
        there[there] = group[order[upcoming[there]]] == group[order[there]]
        since, target = order[there], following[upcoming[there]]
        source = of.version[since]
        kept = source >= 0
        return cls(source[kept], target[kept], since[kept])

    def __len__(self) -> int:
        return len(self.source)

    def joined(self, other: Known) -> Known:
        both = (self.source, other.source), (self.target, other.target), (self.since, other.since)
        return Known(*map(np.concatenate, both))

    def only(self, which: NDArray[np.bool_]) -> Known:
        return Known(self.source[which], self.target[which], self.since[which])


def demands(of: DistinctWrites, guarantee: Guarantee) -> Demands:
    """What a guarantee demands of each read. O(n log n); the latter two O(sessions * n log n)."""
    keys = len(of.columns.keys)
    reads = np.flatnonzero(of.read)
    told = np.flatnonzero(of.read & (of.version >= 0))
    wrote = np.flatnonzero(~of.read)
    group = of.session * keys + of.key
    written, returned = Latest(group[wrote], wrote), Latest(group[told], told)
    match guarantee:
        case "read your writes":
            since = written.before(group[reads], reads)
            return _demands(of, reads, since, since)
        case "monotonic reads":
            since = returned.before(group[reads], reads)
            return _demands(of, reads, since, since)
        case _:
            table = written if guarantee == "monotonic writes" else returned
            parts = []
            for session, some, seen in _sightings(of):
                parts.append(_demands(of, some, table.before(session * keys + of.key[some], seen), seen))
            return Demands(
                *(
                    np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0, dtype=np.int64)])
                    for name in ("read", "least", "since")
                )
            )


def _demands(of: DistinctWrites, reads: Integers, by: Integers, since: Integers) -> Demands:
    """Demands of reads by the row `by` each, a write or a read of one; -1 demands nothing."""
    there = by >= 0
    return Demands(reads[there], of.version[by[there]], since[there])


def _sightings(of: DistinctWrites) -> Iterable[tuple[int, Integers, Integers]]:
    """By session whose writes were read: the reads after that, by their session, and the last write seen before."""
    reads = np.flatnonzero(of.read)
    reads = reads[np.argsort(of.session[reads], kind="stable")]
    reader, version = of.session[reads], of.version[reads]
    ends = np.searchsorted(reader, reader, side="right")
    hits = np.flatnonzero(version >= 0)
    hits = hits[np.argsort(of.session[version[hits]], kind="stable")]
    writer = of.session[version[hits]]
    span = len(of) + 1
    for some in np.split(hits, np.flatnonzero(np.diff(writer)) + 1) if len(hits) else []:
        first = some[np.unique(reader[some], return_index=True)[1]]
        lengths = ends[first] - first
        segment = np.repeat(np.arange(len(first)), lengths)
        places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[segment]
        seen = np.zeros(len(reads), dtype=np.int64)
        seen[some] = version[some] + 1
        latest = np.maximum.accumulate(segment * span + seen[places]) - segment * span - 1
        # Seen before: by the reads before this one.
        earlier = segment[1:] == segment[:-1]
        yield int(of.session[version[some[0]]]), reads[places[1:][earlier]], latest[:-1][earlier]


def judge(of: DistinctWrites, guarantee: Guarantee) -> Finding:
    """What became of a guarantee. O(n log n) and, where versions can't be ordered, the stretch of them between each
    read's version and what was demanded of it."""
    known, asked = Known.of(of), demands(of, guarantee)
    version = of.version[asked.read]
    broken, crossed = version == INITIAL, np.zeros(len(version), dtype=bool)
    placed = np.flatnonzero((version >= 0) & (version != asked.least))
    pairs, first, position = np.unique(
        asked.least[placed] * len(of) + version[placed], return_index=True, return_inverse=True
    )
    # Every demand says that one version is older than another.
    said = Known(asked.least[placed[first]], version[placed[first]], asked.read[placed[first]])
    edges = known.joined(said)
    looped = on_cycle(len(of), edges.source, edges.target)
    suspect = np.flatnonzero(looped[len(known) :])
    if len(suspect):
        older, crossing = np.zeros(len(pairs), dtype=bool), np.zeros(len(pairs), dtype=bool)
        older[suspect] = _older(of, known, said.target[suspect], said.source[suspect])
        edges = known.joined(said.only(~older))
        looped = on_cycle(len(of), edges.source, edges.target)
        crossing[~older] = looped[len(known) :]
        broken[placed], crossed[placed] = older[position], crossing[position]
    mutual = np.zeros(0, dtype=np.int64)
    if guarantee == "writes follow reads":
        mutual = np.flatnonzero(on_cycle(len(of), known.source, known.target) & of.read[known.since])
    witness = None
    if broken.any():
        which = np.flatnonzero(broken)
        witness = _broken_witness(of, guarantee, asked, int(which[np.argmin(asked.read[which])]))
    elif len(mutual):
        witness = _mutual_witness(of, known, int(mutual[np.argmin(known.since[mutual])]))
    elif crossed.any():
        looping = len(known) + np.flatnonzero(looped[len(known) :])
        edge = int(looping[np.argmin(edges.since[looping])])
        witness = _crossed_witness(of, guarantee, edges, looped, edge, len(known))
    strays = int((version == STRAY).sum())
    assumed = bool(crossed.any()) and not broken.any() and not len(mutual)
    assumed = assumed and not _by_one_session(of, known, asked, np.flatnonzero(crossed))
    return Finding(len(version), int(broken.sum()), int(crossed.sum()) + len(mutual), strays, witness, assumed)


def _by_one_session(of: DistinctWrites, known: Known, asked: Demands, crossed: Integers) -> bool:
    """Whether what one session alone demands is contradictory already. O(sessions * n)."""
    session = of.session[asked.read[crossed]]
    for each in np.unique(session).tolist():
        some = crossed[session == each]
        said = Known(asked.least[some], of.version[asked.read[some]], asked.read[some])
        edges = known.joined(said)
        if on_cycle(len(of), edges.source, edges.target)[len(known) :].any():
            return True
    return False


def _older(of: DistinctWrites, known: Known, versions: Integers, least: Integers) -> NDArray[np.bool_]:
    """Whether each version is known to be older than what is the least allowed."""
    before: dict[int, list[int]] = {}
    for source, target in zip(known.source.tolist(), known.target.tolist(), strict=True):
        before.setdefault(target, []).append(source)
    depth = _depths(len(of), known)
    found = np.zeros(len(versions), dtype=bool)
    for at_, (wanted, start) in enumerate(zip(versions.tolist(), least.tolist(), strict=True)):
        reached, ahead = {start}, [start]
        while ahead and not found[at_]:
            for source in before.get(ahead.pop(), ()):
                if source == wanted:
                    found[at_] = True
                # Nothing that is less deep than the wanted version has it among its elders.
                elif source not in reached and depth[source] >= depth[wanted]:
                    reached.add(source)
                    ahead.append(source)
    return found


def _depths(rows: int, known: Known) -> list[int]:
    """A number for each row, never less than that of an older one; those on a circle may be of any."""
    after: dict[int, list[int]] = {}
    awaited = np.bincount(known.target, minlength=rows).tolist()
    for source, target in zip(known.source.tolist(), known.target.tolist(), strict=True):
        after.setdefault(source, []).append(target)
    depth = [0] * rows
    ahead = [row for row in range(rows) if not awaited[row]]
    for row in ahead:
        for target in after.get(row, ()):
            depth[target] = max(depth[target], depth[row] + 1)
            awaited[target] -= 1
            if not awaited[target]:
                ahead.append(target)
    for row in range(rows):
        if awaited[row]:
            depth[row] = rows
    return depth


def _broken_witness(of: DistinctWrites, guarantee: Guarantee, asked: Demands, which: int) -> Witness:
    read, least, since = (int(part[which]) for part in (asked.read, asked.least, asked.since))
    got = int(of.version[read])
    what = f"{of.value(least)}"
    rows = {read, least, since} | ({got} if got >= 0 else set())
    match guarantee:
        case "read your writes":
            opening = of.told(least)
        case "monotonic reads":
            opening = of.told(since)
        case "monotonic writes":
            rows.add(_reader(of, since, read, int(of.session[read])))
            opening = f"{of.told(least)}, and later {_clause(of, since)}, which process {of.process(read)} had read"
        case _:
            reader = _reader(of, least, since, int(of.session[since]))
            rows |= {reader, _reader(of, since, read, int(of.session[read]))}
            opening = f"{of.told(reader)}, and later {_clause(of, since)}, which process {of.process(read)} had read"
    end = "" if got == INITIAL else f", which is older than {what}, for whoever wrote {what} had known it"
    text = f"{opening}; then {of.told(read)}{end}"
    return _witness(of, guarantee, text, rows, {"demanded": of.as_data(least), "read": of.as_data(read)})


def _clause(of: DistinctWrites, row: int) -> str:
    return of.told(row).split(" ", 2)[2]


def _reader(of: DistinctWrites, version: int, before: int, session: int) -> int:
    """The session's last read of the version before a row."""
    mine = np.flatnonzero(of.read & (of.session == session) & (of.version == version))
    return int(mine[mine < before][-1])


def _mutual_witness(of: DistinctWrites, known: Known, edge: int) -> Witness:
    if known.source[edge] == known.target[edge]:
        read, write = int(known.since[edge]), int(known.target[edge])
        text = f"{of.told(read)}, and only then {_clause(of, write)} itself"
        return _witness(of, "writes follow reads", text, {read, write}, {})
    return _crossed_witness(
        of, "writes follow reads", known, on_cycle(len(of), known.source, known.target), edge, len(known.source)
    )


def _crossed_witness(
    of: DistinctWrites, guarantee: Guarantee, edges: Known, looped: NDArray[np.bool_], edge: int, known: int
) -> Witness:
    some = np.flatnonzero(looped)
    cycle = some[shortest_cycle(edges.source[some], edges.target[some], int(np.flatnonzero(some == edge)[0]))]
    parts, rows = [], set()
    for each in cycle.tolist():
        older, newer, since = int(edges.source[each]), int(edges.target[each]), int(edges.since[each])
        rows |= {older, newer, since}
        why = of.told(newer) if each < known else of.told(since)
        had = f"knew {of.value(older)}" if each < known else f"must have seen {of.value(older)}"
        parts.append(f"{why} and {had} by then, so {of.value(older)} is older than {of.value(newer)}")
    text = f"no order of the versions allows this: {'; '.join(parts[:_SHOWN])}"
    return _witness(of, guarantee, text, rows, {"cycle": [of.as_data(int(edges.source[each])) for each in cycle[:100]]})


def _witness(of: DistinctWrites, guarantee: Guarantee, text: str, rows: set[int], data: dict[str, Any]) -> Witness:
    assert all(of.invoked[row] < FOREVER for row in rows)
    return Witness(text, of.events(rows), {"kind": guarantee, **data})
