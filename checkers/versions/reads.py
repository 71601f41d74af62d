"""Reads of versioned registers, and the versions that each covered.

1. Reads are not required to return a failed put. If one does, `lost-writes` reports it as a phantom. What the failed
   put had seen, if its completion says so, counts as covered.
2. A read may return an id that nobody put to its key. That id is not required of later reads either, and leaves open
   what the read covered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from splitbrain.checkers.histories.columns import NEMESIS_PROCESS, OK, Integers
from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.versions.distinct_writes import refuse_others
from splitbrain.checkers.versions.version_order import Clocks, VersionOrder, version_orders
from splitbrain.checkers.versions.writes import Versions


@dataclass(frozen=True)
class KeyReads:
    """The `ok` reads of one key, in the order of their invocations.

    reads, siblings: each read and the ids that it returned. clock, horizon: what each covered (`version_order`).
    required: the clock of the versions it returned, without failed puts; later reads have to cover them.
    process, invoked: the client process and the invocation's event index of each read.
    number: its index among all reads of the history, which are sorted by process and then by invocation.
    put_process, put_invoked: the same of the order's writes. promised: the writes that were `ok`. possible: those that
    did not fail.
    """

    key: Key
    order: VersionOrder
    reads: Sequence[Operation]
    siblings: Sequence[tuple[int, ...]]
    clock: Clocks
    horizon: Integers
    required: Clocks
    process: Integers
    invoked: Integers
    number: Integers
    put_process: Integers
    put_invoked: Integers
    promised: Integers
    possible: Integers


@dataclass(frozen=True)
class VersionedReads:
    """Read index for every key that was put to. `process[i]` is the client process of read i."""

    versions: Versions
    by_key: Mapping[Key, KeyReads]
    process: Integers

    @classmethod
    def of(cls, versions: Versions) -> VersionedReads:
        """Index the reads. O((writes + reads) * chains). Raises Circular."""
        known = version_orders(versions)
        returned_by: dict[Key, list[tuple[Operation, tuple[int, ...]]]] = {key: [] for key in known}
        for read, siblings in versions.reads:
            if read.key in returned_by:
                returned_by[read.key].append((read, siblings))
        every = [(read.process, read.invocation.index) for returned in returned_by.values() for read, _ in returned]
        number_of = {index: at for at, (_, index) in enumerate(sorted(every))}
        by_key = {key: _of_key(key, known[key], returned, number_of) for key, returned in returned_by.items()}
        return cls(versions, by_key, np.array([process for process, _ in sorted(every)], dtype=np.int64))


def is_versioned(history: History) -> bool:
    """Whether the history's registers are versioned: they have puts or, where nothing is written, a read returned a
    list.

    O(n). Raises HistoryError for an operation that belongs to neither kind of register.
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
    key: Key, order: VersionOrder, returned: Sequence[tuple[Operation, tuple[int, ...]]], number_of: Mapping[int, int]
) -> KeyReads:
    reads, siblings = [read for read, _ in returned], [ids for _, ids in returned]
    clock, horizon = order.cover(siblings)
    outcomes = [write.outcome for write in order.writes]
    required = np.full_like(clock, -1)
    for at, ids in enumerate(siblings):
        for id_ in ids:
            write = order.number.get(id_)
            if write is not None and outcomes[write] != "fail":
                chain = order.chain[write]
                required[at, chain] = max(required[at, chain], order.position[write])
    return KeyReads(
        key,
        order,
        reads,
        siblings,
        clock,
        horizon,
        required,
        _integers([read.process for read in reads]),
        _integers([read.invocation.index for read in reads]),
        _integers([number_of[read.invocation.index] for read in reads]),
        _integers([write.operation.process for write in order.writes]),
        _integers([write.invoked for write in order.writes]),
        _integers([at for at, outcome in enumerate(outcomes) if outcome == "ok"]),
        _integers([at for at, outcome in enumerate(outcomes) if outcome != "fail"]),
    )


def _integers(numbers: Sequence[int]) -> Integers:
    return np.array(numbers, dtype=np.int64)
