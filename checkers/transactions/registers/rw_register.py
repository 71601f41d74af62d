"""Dependencies of transactions that write registers, from the known part of the version order (`register_versions`).

1. wr: from the writer of a version to a transaction that found it by reading it.
2. ww: between the writers of a version and of one that it directly precedes. rw: from a transaction that found a
   version by reading it to the writers of those that it directly precedes.
3. What a transaction reads of a key after its first read or write there concerns only itself: see `register_anomalies`.
"""

from __future__ import annotations

import numpy as np

from splitbrain.checkers.transactions.dependencies import (
    Analysis,
    AntiDependencies,
    DependencyEdges,
    ForeignReads,
    Unordered,
)
from splitbrain.checkers.transactions.micro_operations import Transactions
from splitbrain.checkers.transactions.registers.keys import Keys
from splitbrain.checkers.transactions.registers.register_anomalies import findings
from splitbrain.checkers.transactions.registers.register_versions import ABSENT, Registers

_WHY = {
    "own": ", which it had written itself",
    "wfr": ", having read it",
    "sequential": ", as one process met them in this order",
    "linearizable": ", which was there before anyone began who found the other",
}


def analyse(transactions: Transactions, keys: Keys) -> Analysis:
    """Dependencies, and the anomalies other than cycles. O(m log m), in numpy.

    keys: what is assumed of them. Raises HistoryError for a value that was written twice to a key.
    """
    registers = Registers(transactions, keys)
    t, nulls = transactions, len(transactions.txn)
    source, target = (np.concatenate(ends) for ends in zip(*registers.order.values(), strict=True))
    # The writer of each version; null, garbage and uncommitted versions have none.
    writer = np.full(registers.versions, ABSENT)
    committed = registers.writes[registers.committed[t.txn[registers.writes]]]
    writer[committed] = t.txn[committed]
    preceded = np.zeros(registers.versions, bool)
    preceded[target[writer[source] >= 0]] = True
    first = committed[~preceded[committed]]
    source, target = np.concatenate((source, nulls + t.key[first])), np.concatenate((target, first))
    written = (writer[source] >= 0) & (writer[target] >= 0)
    by, of = source[written], target[written]
    ww = DependencyEdges.between(t.txn[by], t.txn[of], by, of, len(t))

    seen = np.flatnonzero(registers.external >= 0)
    version, read = registers.external[seen], registers.read[seen]
    written_by = writer[version] >= 0
    wr = DependencyEdges.between(
        t.txn[version[written_by]], t.txn[read[written_by]], version[written_by], read[written_by], len(t)
    )

    over = np.flatnonzero(writer[target] >= 0)
    source, target = source[over], target[over]
    _, once = np.unique(source * len(t) + t.txn[target], return_index=True)
    source, target = source[once], target[once]
    begin = np.searchsorted(source, np.arange(registers.versions + 1))
    rw = AntiDependencies.between(t.txn[read], read, version, begin, t.txn[target], target)

    def why(by: int, of: int) -> str:
        for rule, (earlier, later) in registers.order.items():
            if ((earlier == by) & (later == of)).any():
                return _WHY[rule]
        return ""

    final = np.flatnonzero(registers.last_write >= 0)
    written, reading = registers.last_write[final], seen[written_by]
    unordered = Unordered(
        registers.access_key[final],
        registers.access_txn[final],
        written,
        registers.access_txn[reading],
        registers.external[reading],
    )
    shown = registers.read_version
    sure = (writer[shown] >= 0) | ((shown >= nulls) & ~registers.garbage)
    foreign = ForeignReads.of(t, registers.reads[sure], np.where(shown < nulls, shown, ABSENT)[sure])
    return Analysis(registers.committed, ww, wr, rw, unordered, foreign, findings(registers), why)
