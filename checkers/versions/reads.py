"""Sightings: the reads of versioned registers, and what each covered.

1. A failed put is nobody's due, even where it was read: that it was is another checker's business (`lost-writes`). What
   it had seen, if its completion says so, it covers like any other.
2. An id that nobody put to the key of the read is nobody's due either, and leaves open what the read covered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from splitbrain.checkers.histories.columns import NEMESIS_PROCESS, OK, Integers
from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.versions.distinct_writes import refuse_others
from splitbrain.checkers.versions.version_order import Clocks, Lineage, lineages
from splitbrain.checkers.versions.writes import Versions


@dataclass(frozen=True)
class KeySightings:
    """The `ok` reads of a key, in the order of their invocations.

    clock, horizon: what each covered. due: the clock of what it returned, but for failed puts. process, invoked: of
    each read. number: of each among all reads of the history, which go by process and then in order. put_process,
    put_invoked: of the lineage's writes. promised: which of those were `ok`; possible: those that had not failed.
    """

    key: Key
    lineage: Lineage
    reads: Sequence[Operation]
    siblings: Sequence[tuple[int, ...]]
    clock: Clocks
    horizon: Integers
    due: Clocks
    process: Integers
    invoked: Integers
    number: Integers
    put_process: Integers
    put_invoked: Integers
    promised: Integers
    possible: Integers


@dataclass(frozen=True)
class Sightings:
    """Those of all keys that were put to. process: of each read of theirs, by number."""

    versions: Versions
    keys: Mapping[Key, KeySightings]
    process: Integers

    @classmethod
    def of(cls, versions: Versions) -> Sightings:
        """Gather them. O((writes + reads) * chains). Raises Circular."""
        known = lineages(versions)
        apart: dict[Key, list[tuple[Operation, tuple[int, ...]]]] = {key: [] for key in known}
        for read, siblings in versions.reads:
            if read.key in apart:
                apart[read.key].append((read, siblings))
        every = [(read.process, read.invocation.index) for some in apart.values() for read, _ in some]
        place = {index: at for at, (_, index) in enumerate(sorted(every))}
        keys = {key: _of_key(key, known[key], some, place) for key, some in apart.items()}
        return cls(versions, keys, np.array([process for process, _ in sorted(every)], dtype=np.int64))


def is_versioned(history: History) -> bool:
    """Whether these are versioned registers: they have puts or, where nothing is written, a read that returned a list.

    O(n). Raises HistoryError for an operation that such registers, or those with distinct writes, don't have.
    """
    columns = history.columns
    if "put" not in columns.fs and "write" not in columns.fs:
        oks = np.flatnonzero((columns.type == OK) & (columns.process != NEMESIS_PROCESS)).tolist()
        lists = any(isinstance(columns.value[at], list) for at in oks if columns.fs[columns.f[at]] == "read")
    else:
        lists = False
    if lists or "put" in columns.fs:
        refuse_others(columns, ("put", "read"), "a versioned register")
        return True
    refuse_others(columns, ("write", "read"), "a register with distinct writes")
    return False


def _of_key(
    key: Key, lineage: Lineage, some: Sequence[tuple[Operation, tuple[int, ...]]], place: Mapping[int, int]
) -> KeySightings:
    reads, siblings = [read for read, _ in some], [ids for _, ids in some]
    clock, horizon = lineage.cover(siblings)
    outcomes = [write.outcome for write in lineage.writes]
    due = np.full_like(clock, -1)
    for at, ids in enumerate(siblings):
        for id_ in ids:
            write = lineage.number.get(id_)
            if write is not None and outcomes[write] != "fail":
                chain = lineage.chain[write]
                due[at, chain] = max(due[at, chain], lineage.position[write])
    return KeySightings(
        key,
        lineage,
        reads,
        siblings,
        clock,
        horizon,
        due,
        _integers([read.process for read in reads]),
        _integers([read.invocation.index for read in reads]),
        _integers([place[read.invocation.index] for read in reads]),
        _integers([write.operation.process for write in lineage.writes]),
        _integers([write.invoked for write in lineage.writes]),
        _integers([at for at, outcome in enumerate(outcomes) if outcome == "ok"]),
        _integers([at for at, outcome in enumerate(outcomes) if outcome != "fail"]),
    )


def _integers(numbers: Sequence[int]) -> Integers:
    return np.array(numbers, dtype=np.int64)
