"""Session guarantees of versioned registers, whose writers say what they had seen.

See `guarantees` for the rules; the words here are theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.histories.history import Operation
from splitbrain.checkers.histories.prose import at, key_name, listing
from splitbrain.checkers.sessions.guarantee_finding import Finding, Guarantee
from splitbrain.checkers.verdict import Witness
from splitbrain.checkers.versions.reads import KeySightings, Sightings
from splitbrain.checkers.versions.version_order import Clocks
from splitbrain.checkers.versions.writes import Write


@dataclass(frozen=True)
class Dues:
    """What a session's operations on a key demand, in their order: of what follows the first, second, ... of them.

    moment: their invocations. needed: a clock each, what they and those before them demand together.
    """

    moment: Integers
    needed: Clocks


@dataclass(frozen=True)
class Demands:
    """Of some reads (positions in the key's) what each must cover. since: event index of the write that makes it so."""

    of: KeySightings
    reads: Integers
    needed: Clocks
    session: int
    since: Integers


def dues(of: KeySightings, reads: bool) -> dict[int, Dues]:
    """By process: what its `ok` puts demand, or what its reads do."""
    if reads:
        process, moment, clocks = of.process, of.invoked, of.due
    else:
        puts = of.promised
        process, moment, clocks = of.put_process[puts], of.put_invoked[puts], of.lineage.alone(puts)
    order = np.argsort(process, kind="stable")
    found = {}
    for some in np.split(order, np.flatnonzero(np.diff(process[order])) + 1) if len(order) else []:
        found[int(process[some[0]])] = Dues(moment[some], np.maximum.accumulate(clocks[some], axis=0))
    return found


def judge(sightings: Sightings, guarantee: Guarantee) -> Finding:
    """What became of a guarantee. O(sessions * reads * chains)."""
    checked = violations = unprovable = 0
    first: tuple[int, Demands, int, int] | None = None
    for asked in _demands(sightings, guarantee):
        of = asked.of
        lacks, perhaps = of.lineage.lacking(of.clock[asked.reads], of.horizon[asked.reads], asked.needed)
        checked += len(asked.reads)
        unprovable += int(perhaps.sum())
        broken = np.flatnonzero(lacks >= 0)
        violations += len(broken)
        if len(broken):
            which = int(broken[np.argmin(of.invoked[asked.reads[broken]])])
            moment = int(of.invoked[asked.reads[which]])
            if first is None or moment < first[0]:
                first = moment, asked, which, int(lacks[which])
    witness = _witness(sightings, guarantee, *first[1:]) if first else None
    return Finding(checked, violations, 0, unprovable, witness)


def _demands(sightings: Sightings, guarantee: Guarantee) -> Iterator[Demands]:
    of_reads = guarantee in ("monotonic reads", "writes follow reads")
    by_key = {key: dues(of, of_reads) for key, of in sightings.keys.items()}
    if guarantee in ("read your writes", "monotonic reads"):
        for key, of in sightings.keys.items():
            for process, due in by_key[key].items():
                mine = np.flatnonzero(of.process == process)
                yield from _asked(of, process, due, mine, of.invoked[mine])
        return
    for process, seen in _seen(sightings):
        for key, of in sightings.keys.items():
            if process in by_key[key]:
                latest = seen[of.number]
                some = np.flatnonzero(latest >= 0)
                yield from _asked(of, process, by_key[key][process], some, latest[some])


def _asked(of: KeySightings, process: int, due: Dues, reads: Integers, moment: Integers) -> Iterator[Demands]:
    """What the session's operations invoked before each moment demand of each read."""
    last = np.searchsorted(due.moment, moment, side="left") - 1
    needed = due.needed[np.maximum(last, 0)]
    there = (last >= 0) & (needed >= 0).any(axis=1)
    if there.any():
        yield Demands(of, reads[there], needed[there], process, moment[there])


def _seen(sightings: Sightings) -> Iterator[tuple[int, Integers]]:
    """By process: for each read (by number) the last write of that process that its session had covered, in it or in
    a read before, as the event index of its invocation, or -1."""
    reader = sightings.process
    segment = np.cumsum(np.concatenate(([0], (np.diff(reader) != 0).astype(np.int64)))) if len(reader) else reader
    span = max((int(of.put_invoked.max()) for of in sightings.keys.values()), default=0) + 2
    places: dict[int, list[tuple[KeySightings, int, Integers]]] = {}
    for of in sightings.keys.values():
        puts = of.possible
        group = of.put_process[puts] * max(of.lineage.chains, 1) + of.lineage.chain[puts]
        order = puts[np.lexsort((of.lineage.position[puts], group))]
        group = of.put_process[order] * max(of.lineage.chains, 1) + of.lineage.chain[order]
        for some in np.split(order, np.flatnonzero(np.diff(group)) + 1) if len(order) else []:
            entry = (of, int(of.lineage.chain[some[0]]), some)
            places.setdefault(int(of.put_process[some[0]]), []).append(entry)
    for process in sorted(places):
        latest = np.full(len(reader), -1, dtype=np.int64)
        for of, chain, puts in places[process]:
            reached = np.searchsorted(of.lineage.position[puts], of.clock[:, chain], side="right") - 1
            moments = np.maximum.accumulate(of.put_invoked[puts])
            covered = np.where(reached >= 0, moments[np.maximum(reached, 0)], -1)
            latest[of.number] = np.maximum(latest[of.number], covered)
        yield process, np.maximum.accumulate(segment * span + latest) - segment * span


def _witness(sightings: Sightings, guarantee: Guarantee, asked: Demands, which: int, lacking: int) -> Witness:
    of = asked.of
    place = int(asked.reads[which])
    read, write = of.reads[place], of.lineage.writes[lacking]
    operations = [read, write.operation]
    returned = of.siblings[place]
    data: dict[str, Any] = {
        "kind": guarantee,
        "key": of.key,
        "process": read.process,
        "lacking": write.id,
        "read": list(returned[:100]),
    }
    name = key_name(of.key)
    if guarantee == "read your writes":
        opening = f"{_put(write)} and was told that it was done"
    elif guarantee == "monotonic reads":
        earlier = _returned(of, asked.session, lacking, read.invocation.index)
        operations.append(earlier)
        opening = _read(earlier, name)
    else:
        since = next(
            w for o in sightings.keys.values() for w in o.lineage.writes if w.invoked == int(asked.since[which])
        )
        sight = _sight(sightings, since, read)
        operations += [since.operation, sight]
        data["since"] = since.id
        if guarantee == "monotonic writes":
            opening = f"{_put(write)}, and after that {_put(since, False)}"
        else:
            earlier = _returned(of, asked.session, lacking, since.invoked)
            operations.append(earlier)
            opening = f"{_read(earlier, name)}, and after that {_put(since, False)}"
        if sight is not read:
            opening += f"; {_read(sight, key_name(sight.key))}, which covers {since.id}"
    had = "none of which is" if len(returned) > 1 else "which is neither"
    rest = (
        f"{had} {write.id} {'or' if len(returned) > 1 else 'nor'} had seen it"
        if returned
        else f"so {write.id} is missing"
    )
    text = f"{opening}; then {_read(read, name)}, {rest}"
    events = {event.index for o in operations for event in (o.invocation, o.completion) if event}
    return Witness(text, tuple(sorted(events)), data)


def _put(write: Write, who: bool = True) -> str:
    writer = f"process {write.operation.process} " if who else ""
    return f"{writer}put {write.id} to {key_name(write.key)} at {at(write.operation.invocation)}"


def _read(read: Operation, name: str) -> str:
    assert read.completion is not None
    shown = listing(read.completion.value, limit=10) or "nothing"
    return f"process {read.process} read {shown} from {name} at {at(read.completion)}"


def _returned(of: KeySightings, process: int, write: int, before: int) -> Operation:
    """The last read by that process invoked before `before` that returned the write."""
    id_ = of.lineage.writes[write].id
    return next(
        read
        for read, ids in zip(reversed(of.reads), reversed(of.siblings), strict=True)
        if read.process == process and read.invocation.index < before and id_ in ids
    )


def _sight(sightings: Sightings, write: Write, read: Operation) -> Operation:
    """The first read by the session of `read`, up to it, that covers the write."""
    of = sightings.keys[write.key]
    number = of.lineage.number[write.id]
    chain, position = of.lineage.chain[number], of.lineage.position[number]
    shows: NDArray[np.bool_] = (of.clock[:, chain] >= position) & (of.process == read.process)
    seen: Iterable[int] = np.flatnonzero(shows & (of.invoked <= read.invocation.index)).tolist()
    return of.reads[next(iter(seen))]
