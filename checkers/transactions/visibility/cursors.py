"""Cursor stability: nobody else writes a key between a transaction's read of it and its own write.

1. G-cursor: a transaction read a version and wrote a later one of the same key, and between the two is another's. So in
   every order of the versions, who read a key and wrote it comes before all others that wrote later than what it read.
2. These anti-dependencies, with ww and wr, must not be circular. Those of transactions that only read a key are left
   out: what they saw may be overwritten at any time.
3. What a transaction had written itself it reads so (`own-write-unseen`), as Adya's histories have it.

Adya, Weak Consistency (1999), section 4.2.2 (PL-CS).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.transactions.dependencies import Analysis, AntiDependencies, DependencyEdges
from splitbrain.checkers.transactions.micro_operations import Flags, Transactions


def of_updates(transactions: Transactions, analysis: Analysis) -> Analysis:
    """The dependencies, all reads counted, with the anti-dependencies of those only that wrote what they had read."""
    t, reads, rw = transactions, analysis.reads, analysis.rw
    writes = np.flatnonzero(t.write)
    written = np.unique(t.txn[writes] * len(t.keys) + t.key[writes])

    def updated(txn: Integers, read: Integers) -> Flags:
        return np.isin(txn * len(t.keys) + t.key[read], written)

    kept = updated(rw.reader, rw.read)
    reader, read, version = rw.reader[kept], rw.read[kept], rw.version[kept]
    if t.model == "rw-register":
        # The dependencies of registers count a transaction's first read of a key only, and here any may be of null.
        null = (reads.writer < 0) & updated(reads.reader, reads.read)
        reader = np.concatenate((reader, reads.reader[null]))
        read = np.concatenate((read, reads.read[null]))
        version = np.concatenate((version, len(t.txn) + t.key[reads.read[null]]))
    of_some = reads.writer >= 0
    wr = DependencyEdges.between(
        reads.writer[of_some], reads.reader[of_some], reads.shown[of_some], reads.read[of_some], len(t)
    )
    of_some &= updated(reads.reader, reads.read)
    return replace(
        analysis,
        wr=wr,
        rw=AntiDependencies.between(reader, read, version, rw.first, rw.writer, rw.write),
        unordered=replace(analysis.unordered, reader=reads.reader[of_some], version=reads.shown[of_some]),
    )
