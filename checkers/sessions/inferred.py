"""Session guarantees of registers with distinct writes, where the order of versions is inferred.

See `guarantees` for the rules and the terms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitbrain.checkers.algorithms.cycles import on_cycle, shortest_cycle
from splitbrain.checkers.algorithms.predecessors import PredecessorTable
from splitbrain.checkers.histories.columns import FOREVER, Integers
from splitbrain.checkers.sessions.guarantee_finding import Guarantee, GuaranteeFinding
from splitbrain.checkers.verdict import Witness
from splitbrain.checkers.versions.distinct_writes import INITIAL, STRAY, DistinctWrites

_SHOWN = 20


@dataclass(frozen=True)
class VersionDemands:
    """Each entry: the read must not be older than the write `least`, because of the row `since`. All three are rows."""

    read: Integers
    least: Integers
    since: Integers


@dataclass(frozen=True)
class KnownOrder:
    """The known part of the version order: the write `source` is older than the write `target`, as the row `since`
    shows.
    """

    source: Integers
    target: Integers
    since: Integers

    @classmethod
    def of(cls, ops: DistinctWrites) -> KnownOrder:
        """Whatever a session had written to or read from a key is older than its next write of that key."""
        group = ops.session * len(ops.columns.keys) + ops.key
        order = np.lexsort((np.arange(len(ops)), group))
        following = np.full(len(ops) + 1, -1)
        following[:-1] = np.where(ops.read[order], -1, order)
        # Scanned backwards: the next write at or after each place, if it is of the same group.
        place = np.where(following >= 0, np.arange(len(ops) + 1), len(ops))
        nearest = np.minimum.accumulate(place[::-1])[::-1]
        upcoming = nearest[1:]
        there = upcoming < len(ops)
        there[there] = group[order[upcoming[there]]] == group[order[there]]
        since, target = order[there], following[upcoming[there]]
        source = ops.version[since]
        kept = source >= 0
        return cls(source[kept], target[kept], since[kept])

    def __len__(self) -> int:
        return len(self.source)

    def joined(self, other: KnownOrder) -> KnownOrder:
        both = (self.source, other.source), (self.target, other.target), (self.since, other.since)
        return KnownOrder(*map(np.concatenate, both))

    def only(self, which: NDArray[np.bool_]) -> KnownOrder:
        return KnownOrder(self.source[which], self.target[which], self.since[which])


def demands(ops: DistinctWrites, guarantee: Guarantee) -> VersionDemands:
    """What a guarantee demands of each read. O(n log n); the last two guarantees O(sessions * n log n)."""
    keys = len(ops.columns.keys)
    reads = np.flatnonzero(ops.read)
    returned_writes = np.flatnonzero(ops.read & (ops.version >= 0))
    wrote = np.flatnonzero(~ops.read)
    group = ops.session * keys + ops.key
    written, returned = PredecessorTable(group[wrote], wrote), PredecessorTable(group[returned_writes], returned_writes)
    match guarantee:
        case "read your writes":
            since = written.before(group[reads], reads)
            return _demands(ops, reads, since, since)
        case "monotonic reads":
            since = returned.before(group[reads], reads)
            return _demands(ops, reads, since, since)
        case _:
            table = written if guarantee == "monotonic writes" else returned
            parts = []
            for session, some, seen in _last_seen_writes(ops):
                parts.append(_demands(ops, some, table.before(session * keys + ops.key[some], seen), seen))
            return VersionDemands(
                *(
                    np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0, dtype=np.int64)])
                    for name in ("read", "least", "since")
                )
            )


def _demands(ops: DistinctWrites, reads: Integers, by: Integers, since: Integers) -> VersionDemands:
    """Demands of reads, each by the row `by`: a write, or a read of one. -1 demands nothing."""
    there = by >= 0
    return VersionDemands(reads[there], ops.version[by[there]], since[there])


def _last_seen_writes(ops: DistinctWrites) -> Iterable[tuple[int, Integers, Integers]]:
    """For each session whose writes were read: the reads after that, and the last write seen before each."""
    reads = np.flatnonzero(ops.read)
    reads = reads[np.argsort(ops.session[reads], kind="stable")]
    reader, version = ops.session[reads], ops.version[reads]
    ends = np.searchsorted(reader, reader, side="right")
    hits = np.flatnonzero(version >= 0)
    hits = hits[np.argsort(ops.session[version[hits]], kind="stable")]
    writer = ops.session[version[hits]]
    span = len(ops) + 1
    for some in np.split(hits, np.flatnonzero(np.diff(writer)) + 1) if len(hits) else []:
        first = some[np.unique(reader[some], return_index=True)[1]]
        lengths = ends[first] - first
        segment = np.repeat(np.arange(len(first)), lengths)
        places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[segment]
        seen = np.zeros(len(reads), dtype=np.int64)
        seen[some] = version[some] + 1
        latest = np.maximum.accumulate(segment * span + seen[places]) - segment * span - 1
        # Only reads before this one count.
        earlier = segment[1:] == segment[:-1]
        yield int(ops.session[version[some[0]]]), reads[places[1:][earlier]], latest[:-1][earlier]


def judge(ops: DistinctWrites, guarantee: Guarantee) -> GuaranteeFinding:
    """The finding of one guarantee.

    O(n log n). Where versions can't be ordered, also the number of versions between the one that a read returned and
    the one demanded of it.
    """
    known, asked = KnownOrder.of(ops), demands(ops, guarantee)
    version = ops.version[asked.read]
    broken, crossed = version == INITIAL, np.zeros(len(version), dtype=bool)
    placed = np.flatnonzero((version >= 0) & (version != asked.least))
    pairs, first, position = np.unique(
        asked.least[placed] * len(ops) + version[placed], return_index=True, return_inverse=True
    )
    # Every demand says that one version is older than another.
    demanded = KnownOrder(asked.least[placed[first]], version[placed[first]], asked.read[placed[first]])
    edges = known.joined(demanded)
    cyclic = on_cycle(len(ops), edges.source, edges.target)
    suspect = np.flatnonzero(cyclic[len(known) :])
    if len(suspect):
        older, crossing = np.zeros(len(pairs), dtype=bool), np.zeros(len(pairs), dtype=bool)
        older[suspect] = _older(ops, known, demanded.target[suspect], demanded.source[suspect])
        edges = known.joined(demanded.only(~older))
        cyclic = on_cycle(len(ops), edges.source, edges.target)
        crossing[~older] = cyclic[len(known) :]
        broken[placed], crossed[placed] = older[position], crossing[position]
    mutual = np.zeros(0, dtype=np.int64)
    if guarantee == "writes follow reads":
        mutual = np.flatnonzero(on_cycle(len(ops), known.source, known.target) & ops.read[known.since])
    witness = None
    if broken.any():
        which = np.flatnonzero(broken)
        witness = _broken_witness(ops, guarantee, asked, int(which[np.argmin(asked.read[which])]))
    elif len(mutual):
        witness = _mutual_witness(ops, known, int(mutual[np.argmin(known.since[mutual])]))
    elif crossed.any():
        looping = len(known) + np.flatnonzero(cyclic[len(known) :])
        edge = int(looping[np.argmin(edges.since[looping])])
        witness = _crossed_witness(ops, guarantee, edges, cyclic, edge, len(known))
    strays = int((version == STRAY).sum())
    assumed = bool(crossed.any()) and not broken.any() and not len(mutual)
    assumed = assumed and not _by_one_session(ops, known, asked, np.flatnonzero(crossed))
    return GuaranteeFinding(len(version), int(broken.sum()), int(crossed.sum()) + len(mutual), strays, witness, assumed)


def _by_one_session(ops: DistinctWrites, known: KnownOrder, asked: VersionDemands, crossed: Integers) -> bool:
    """Whether the demands of a single session contradict one another already. O(sessions * n)."""
    session = ops.session[asked.read[crossed]]
    for each in np.unique(session).tolist():
        some = crossed[session == each]
        demanded = KnownOrder(asked.least[some], ops.version[asked.read[some]], asked.read[some])
        edges = known.joined(demanded)
        if on_cycle(len(ops), edges.source, edges.target)[len(known) :].any():
            return True
    return False


def _older(ops: DistinctWrites, known: KnownOrder, versions: Integers, least: Integers) -> NDArray[np.bool_]:
    """Whether each version is known to be older than the least one allowed."""
    before: dict[int, list[int]] = {}
    for source, target in zip(known.source.tolist(), known.target.tolist(), strict=True):
        before.setdefault(target, []).append(source)
    depth = _depths(len(ops), known)
    found = np.zeros(len(versions), dtype=bool)
    for at_, (wanted, start) in enumerate(zip(versions.tolist(), least.tolist(), strict=True)):
        reached, ahead = {start}, [start]
        while ahead and not found[at_]:
            for source in before.get(ahead.pop(), ()):
                if source == wanted:
                    found[at_] = True
                # A version that is less deep than the wanted one can't be newer than it.
                elif source not in reached and depth[source] >= depth[wanted]:
                    reached.add(source)
                    ahead.append(source)
    return found


def _depths(rows: int, known: KnownOrder) -> list[int]:
    """A number for each row, never less than that of an older one. Rows on a cycle may have any."""
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


def _broken_witness(ops: DistinctWrites, guarantee: Guarantee, asked: VersionDemands, which: int) -> Witness:
    read, least, since = (int(part[which]) for part in (asked.read, asked.least, asked.since))
    got = int(ops.version[read])
    what = f"{ops.value(least)}"
    rows = {read, least, since} | ({got} if got >= 0 else set())
    match guarantee:
        case "read your writes":
            opening = ops.describe(least)
        case "monotonic reads":
            opening = ops.describe(since)
        case "monotonic writes":
            rows.add(_reader(ops, since, read, int(ops.session[read])))
            opening = (
                f"{ops.describe(least)}, and later {_clause(ops, since)}, which process {ops.process(read)} had read"
            )
        case _:
            reader = _reader(ops, least, since, int(ops.session[since]))
            rows |= {reader, _reader(ops, since, read, int(ops.session[read]))}
            opening = (
                f"{ops.describe(reader)}, and later {_clause(ops, since)}, which process {ops.process(read)} had read"
            )
    end = "" if got == INITIAL else f", which is older than {what}, for whoever wrote {what} had known it"
    text = f"{opening}; then {ops.describe(read)}{end}"
    return _witness(ops, guarantee, text, rows, {"demanded": ops.as_data(least), "read": ops.as_data(read)})


def _clause(ops: DistinctWrites, row: int) -> str:
    return ops.describe(row).split(" ", 2)[2]


def _reader(ops: DistinctWrites, version: int, before: int, session: int) -> int:
    """The session's last read of the version before a row."""
    mine = np.flatnonzero(ops.read & (ops.session == session) & (ops.version == version))
    return int(mine[mine < before][-1])


def _mutual_witness(ops: DistinctWrites, known: KnownOrder, edge: int) -> Witness:
    if known.source[edge] == known.target[edge]:
        read, write = int(known.since[edge]), int(known.target[edge])
        text = f"{ops.describe(read)}, and only then {_clause(ops, write)} itself"
        return _witness(ops, "writes follow reads", text, {read, write}, {})
    return _crossed_witness(
        ops, "writes follow reads", known, on_cycle(len(ops), known.source, known.target), edge, len(known.source)
    )


def _crossed_witness(
    ops: DistinctWrites, guarantee: Guarantee, edges: KnownOrder, cyclic: NDArray[np.bool_], edge: int, known: int
) -> Witness:
    some = np.flatnonzero(cyclic)
    cycle = some[shortest_cycle(edges.source[some], edges.target[some], int(np.flatnonzero(some == edge)[0]))]
    parts, rows = [], set()
    for each in cycle.tolist():
        older, newer, since = int(edges.source[each]), int(edges.target[each]), int(edges.since[each])
        rows |= {older, newer, since}
        why = ops.describe(newer) if each < known else ops.describe(since)
        had = f"knew {ops.value(older)}" if each < known else f"must have seen {ops.value(older)}"
        parts.append(f"{why} and {had} by then, so {ops.value(older)} is older than {ops.value(newer)}")
    text = f"no order of the versions allows this: {'; '.join(parts[:_SHOWN])}"
    return _witness(
        ops, guarantee, text, rows, {"cycle": [ops.as_data(int(edges.source[each])) for each in cycle[:100]]}
    )


def _witness(ops: DistinctWrites, guarantee: Guarantee, text: str, rows: set[int], data: dict[str, Any]) -> Witness:
    assert all(ops.invoked[row] < FOREVER for row in rows)
    return Witness(text, ops.events(rows), {"kind": guarantee, **data})
