"""Dependencies of transactions that append to lists, from the order of versions (`list_versions`).

1. ww: to the writer of the next version; from the last version that was read, to all writers whose appends no read
   shows.
2. wr: from the writer of the last version that a read shows.
3. rw: from a reader to the writer of the version after; from a reader of the whole list, to those that no read shows.
4. Every read counts, including a read of what the transaction itself appended.
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
from splitbrain.checkers.transactions.lists.list_anomalies import findings
from splitbrain.checkers.transactions.lists.list_versions import ABSENT, Lists
from splitbrain.checkers.transactions.micro_operations import Transactions


def analyse(transactions: Transactions) -> Analysis:
    """Dependencies, and the anomalies other than cycles. O(elements read), in numpy.

    Raises HistoryError for an element that was appended twice to a key.
    """
    lists = Lists(transactions)
    t, reads, versions = transactions, lists.reads, lists.versions
    version_key = t.key[versions]
    # Neighbours in the order of one key.
    neighbours = np.flatnonzero(version_key[1:] == version_key[:-1]) if len(versions) else np.zeros(0, np.int64)
    unseen = lists.unseen
    unseen = unseen[np.unique(t.key[unseen] * len(t) + t.txn[unseen], return_index=True)[1]]
    ended = np.flatnonzero(np.diff(lists.version_start))
    final = np.full(len(t.keys), ABSENT)
    final[ended] = versions[lists.version_start[ended + 1] - 1]
    after_final = unseen[final[t.key[unseen]] >= 0]
    by = np.concatenate((versions[neighbours], final[t.key[after_final]]))
    of = np.concatenate((versions[neighbours + 1], after_final))
    ww = DependencyEdges.between(t.txn[by], t.txn[of], by, of, len(t))

    shown = lists.placed & (lists.after > lists.version_start[reads.key])
    by = versions[lists.after[shown] - 1]
    of = reads.at[shown]
    odd = [at for at in lists.odd if not lists.placed[at] and lists.odd_writes[at][-1] >= 0]
    odd = [at for at in odd if lists.committed[t.txn[lists.odd_writes[at][-1]]]]
    by = np.concatenate((by, np.array([lists.odd_writes[at][-1] for at in odd], dtype=np.int64)))
    of = np.concatenate((of, reads.at[odd]))
    wr = DependencyEdges.between(t.txn[by], t.txn[of], by, of, len(t))

    # Versions by what comes right after them: one version each, then for each key all unseen appends.
    lasts = np.searchsorted(t.key[unseen], np.arange(len(t.keys) + 1))
    first = np.concatenate((np.arange(len(versions)), len(versions) + lasts))
    overwrites = np.concatenate((versions, unseen))
    at_end = lists.after == lists.version_start[reads.key + 1]
    version = np.where(at_end, len(versions) + reads.key, lists.after)
    kept = np.flatnonzero(lists.placed)
    rw = AntiDependencies.between(
        t.txn[reads.at[kept]], reads.at[kept], version[kept], first, t.txn[overwrites], overwrites
    )
    # Their order matters to snapshots only: no two writers of a key overlap. Nobody read them.
    none = np.zeros(0, np.int64)
    unordered = Unordered(t.key[unseen], t.txn[unseen], unseen, none, none)
    last = versions[np.maximum(lists.after[kept] - 1, 0)] if len(versions) else np.zeros(len(kept), np.int64)
    foreign = ForeignReads.of(
        t, reads.at[kept], np.where(lists.after[kept] > lists.version_start[reads.key[kept]], last, ABSENT)
    )
    return Analysis(lists.committed, ww, wr, rw, unordered, foreign, findings(lists))
