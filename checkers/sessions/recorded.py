"""Session guarantees of versioned registers, whose writers record what they had seen.

See `guarantees` for the rules and the terms.
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
from splitbrain.checkers.sessions.guarantee_finding import Guarantee, GuaranteeFinding
from splitbrain.checkers.verdict import Witness
from splitbrain.checkers.versions.reads import KeyReads, VersionedReads
from splitbrain.checkers.versions.version_order import Clocks
from splitbrain.checkers.versions.writes import Write


@dataclass(frozen=True)
class Requirements:
    """What a session's operations on one key require of the operations that follow the first, the second, ... of them.

    moment: event indices of their invocations. needed: for each, the clock that it and those before it require
    together.
    """

    moment: Integers
    needed: Clocks


@dataclass(frozen=True)
class CoverDemands:
    """What each of some reads of a key must cover.

    reads: positions among the key's reads. needed: the clock that each must cover. session: the process whose
    operations require it. since: event index of the write, or the read, after which it is required.
    """

    key_reads: KeyReads
    reads: Integers
    needed: Clocks
    session: int
    since: Integers


def requirements(key_reads: KeyReads, reads: bool) -> dict[int, Requirements]:
    """By process: what its `ok` puts require, or what its reads do."""
    if reads:
        process, moment, clocks = key_reads.process, key_reads.invoked, key_reads.required
    else:
        puts = key_reads.promised
        process, moment, clocks = (
            key_reads.put_process[puts],
            key_reads.put_invoked[puts],
            key_reads.order.chain_prefixes(puts),
        )
    order = np.argsort(process, kind="stable")
    found = {}
    for some in np.split(order, np.flatnonzero(np.diff(process[order])) + 1) if len(order) else []:
        found[int(process[some[0]])] = Requirements(moment[some], np.maximum.accumulate(clocks[some], axis=0))
    return found


def judge(reads: VersionedReads, guarantee: Guarantee) -> GuaranteeFinding:
    """The finding of one guarantee. O(sessions * reads * chains)."""
    checked = violations = unprovable = 0
    first: tuple[int, CoverDemands, int, int] | None = None
    for demands in _demands(reads, guarantee):
        key_reads = demands.key_reads
        missed, maybe = key_reads.order.missing(
            key_reads.clock[demands.reads], key_reads.horizon[demands.reads], demands.needed
        )
        checked += len(demands.reads)
        unprovable += int(maybe.sum())
        broken = np.flatnonzero(missed >= 0)
        violations += len(broken)
        if len(broken):
            which = int(broken[np.argmin(key_reads.invoked[demands.reads[broken]])])
            moment = int(key_reads.invoked[demands.reads[which]])
            if first is None or moment < first[0]:
                first = moment, demands, which, int(missed[which])
    witness = _witness(reads, guarantee, *first[1:]) if first else None
    return GuaranteeFinding(checked, violations, 0, unprovable, witness)


def _demands(reads: VersionedReads, guarantee: Guarantee) -> Iterator[CoverDemands]:
    of_reads = guarantee in ("monotonic reads", "writes follow reads")
    by_key = {key: requirements(key_reads, of_reads) for key, key_reads in reads.by_key.items()}
    if guarantee in ("read your writes", "monotonic reads"):
        for key, key_reads in reads.by_key.items():
            for process, required in by_key[key].items():
                mine = np.flatnonzero(key_reads.process == process)
                yield from _asked(key_reads, process, required, mine, key_reads.invoked[mine])
        return
    for process, seen in _seen(reads):
        for key, key_reads in reads.by_key.items():
            if process in by_key[key]:
                latest = seen[key_reads.number]
                some = np.flatnonzero(latest >= 0)
                yield from _asked(key_reads, process, by_key[key][process], some, latest[some])


def _asked(
    key_reads: KeyReads, process: int, required: Requirements, reads: Integers, moment: Integers
) -> Iterator[CoverDemands]:
    """What the session's operations before each moment require of each read."""
    last = np.searchsorted(required.moment, moment, side="left") - 1
    needed = required.needed[np.maximum(last, 0)]
    there = (last >= 0) & (needed >= 0).any(axis=1)
    if there.any():
        yield CoverDemands(key_reads, reads[there], needed[there], process, moment[there])


def _seen(reads: VersionedReads) -> Iterator[tuple[int, Integers]]:
    """By process: for each read (by number) the last write of that process that the reading session had seen.

    The write is given by the event index of its invocation, or -1. A session has seen what this read or an earlier one
    of its reads covered.
    """
    reader = reads.process
    segment = np.cumsum(np.concatenate(([0], (np.diff(reader) != 0).astype(np.int64)))) if len(reader) else reader
    span = max((int(key_reads.put_invoked.max()) for key_reads in reads.by_key.values()), default=0) + 2
    places: dict[int, list[tuple[KeyReads, int, Integers]]] = {}
    for key_reads in reads.by_key.values():
        puts = key_reads.possible
        group = key_reads.put_process[puts] * max(key_reads.order.chains, 1) + key_reads.order.chain[puts]
        order = puts[np.lexsort((key_reads.order.position[puts], group))]
        group = key_reads.put_process[order] * max(key_reads.order.chains, 1) + key_reads.order.chain[order]
        for some in np.split(order, np.flatnonzero(np.diff(group)) + 1) if len(order) else []:
            entry = (key_reads, int(key_reads.order.chain[some[0]]), some)
            places.setdefault(int(key_reads.put_process[some[0]]), []).append(entry)
    for process in sorted(places):
        latest = np.full(len(reader), -1, dtype=np.int64)
        for key_reads, chain, puts in places[process]:
            reached = np.searchsorted(key_reads.order.position[puts], key_reads.clock[:, chain], side="right") - 1
            moments = np.maximum.accumulate(key_reads.put_invoked[puts])
            covered = np.where(reached >= 0, moments[np.maximum(reached, 0)], -1)
            latest[key_reads.number] = np.maximum(latest[key_reads.number], covered)
        yield process, np.maximum.accumulate(segment * span + latest) - segment * span


def _witness(reads: VersionedReads, guarantee: Guarantee, demands: CoverDemands, which: int, missing: int) -> Witness:
    key_reads = demands.key_reads
    place = int(demands.reads[which])
    read, write = key_reads.reads[place], key_reads.order.writes[missing]
    operations = [read, write.operation]
    returned = key_reads.siblings[place]
    data: dict[str, Any] = {
        "kind": guarantee,
        "key": key_reads.key,
        "process": read.process,
        "lacking": write.id,
        "read": list(returned[:100]),
    }
    name = key_name(key_reads.key)
    if guarantee == "read your writes":
        opening = f"{_put(write)} and was told that it was done"
    elif guarantee == "monotonic reads":
        earlier = _returned(key_reads, demands.session, missing, read.invocation.index)
        operations.append(earlier)
        opening = _read(earlier, name)
    else:
        since = next(w for o in reads.by_key.values() for w in o.order.writes if w.invoked == int(demands.since[which]))
        covering = _first_read_covering(reads, since, read)
        operations += [since.operation, covering]
        data["since"] = since.id
        if guarantee == "monotonic writes":
            opening = f"{_put(write)}, and after that {_put(since, False)}"
        else:
            earlier = _returned(key_reads, demands.session, missing, since.invoked)
            operations.append(earlier)
            opening = f"{_read(earlier, name)}, and after that {_put(since, False)}"
        if covering is not read:
            opening += f"; {_read(covering, key_name(covering.key))}, which covers {since.id}"
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


def _returned(key_reads: KeyReads, process: int, write: int, before: int) -> Operation:
    """The last read by that process, invoked before `before`, that returned the write."""
    id_ = key_reads.order.writes[write].id
    return next(
        read
        for read, ids in zip(reversed(key_reads.reads), reversed(key_reads.siblings), strict=True)
        if read.process == process and read.invocation.index < before and id_ in ids
    )


def _first_read_covering(reads: VersionedReads, write: Write, read: Operation) -> Operation:
    """The first read by the session of `read`, up to it, that covers the write."""
    key_reads = reads.by_key[write.key]
    number = key_reads.order.number[write.id]
    chain, position = key_reads.order.chain[number], key_reads.order.position[number]
    shows: NDArray[np.bool_] = (key_reads.clock[:, chain] >= position) & (key_reads.process == read.process)
    seen: Iterable[int] = np.flatnonzero(shows & (key_reads.invoked <= read.invocation.index)).tolist()
    return key_reads.reads[next(iter(seen))]
