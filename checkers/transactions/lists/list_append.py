"""Dependencies of transactions that append to lists, from the order of versions (`lists`).

1. ww: to whoever wrote the next version; from the last version that was read, to all whose appends no read shows.
2. wr: from whoever wrote the last version that a read shows.
3. rw: from a reader to whoever wrote the version after; from a reader of all there is, to those no read shows.
4. Every read counts, those of what the transaction itself appended too.
"""

from __future__ import annotations

import numpy as np

from splitbrain.checkers.transactions.dependencies import Analysis, AntiDependencies, DependencyEdges
from splitbrain.checkers.transactions.lists.list_anomalies import findings
from splitbrain.checkers.transactions.lists.list_versions import NOBODY, Lists
from splitbrain.checkers.transactions.micro_operations import Transactions


def analyse(transactions: Transactions) -> Analysis:
    """Dependencies, and the anomalies that are no cycles. O(elements read), in numpy.

    Raises HistoryError for an element appended twice to a key.
    """
    lists = Lists(transactions)
    t, reads, versions = transactions, lists.reads, lists.versions
    version_key = t.key[versions]
    # An order of one key, next to each other.
    neighbours = np.flatnonzero(version_key[1:] == version_key[:-1]) if len(versions) else np.zeros(0, np.int64)
    unseen = lists.unseen
    unseen = unseen[np.unique(t.key[unseen] * len(t) + t.txn[unseen], return_index=True)[1]]
    ended = np.flatnonzero(np.diff(lists.version_start))
    final = np.full(len(t.keys), NOBODY)
    final[ended] = versions[lists.version_start[ended + 1] - 1]
    after_final = unseen[final[t.key[unseen]] >= 0]
    by = np.concatenate((versions[neighbours], final[t.key[after_final]]))
    of = np.concatenate((versions[neighbours + 1], after_final))
    ww = DependencyEdges.between(t.txn[by], t.txn[of], by, of, len(t))

    told = lists.placed & (lists.after > lists.version_start[reads.key])
    by = versions[lists.after[told] - 1]
    of = reads.at[told]
    odd = [at for at in lists.odd if not lists.placed[at] and lists.odd_writes[at][-1] >= 0]
    odd = [at for at in odd if lists.committed[t.txn[lists.odd_writes[at][-1]]]]
    by = np.concatenate((by, np.array([lists.odd_writes[at][-1] for at in odd], dtype=np.int64)))
    of = np.concatenate((of, reads.at[odd]))
    wr = DependencyEdges.between(t.txn[by], t.txn[of], by, of, len(t))

    # Versions by what comes right after them: one version each, then by key all appends nobody saw.
    lasts = np.searchsorted(t.key[unseen], np.arange(len(t.keys) + 1))
    first = np.concatenate((np.arange(len(versions)), len(versions) + lasts))
    overwrites = np.concatenate((versions, unseen))
    at_end = lists.after == lists.version_start[reads.key + 1]
    version = np.where(at_end, len(versions) + reads.key, lists.after)
    kept = np.flatnonzero(lists.placed)
    rw = AntiDependencies.between(
        t.txn[reads.at[kept]], reads.at[kept], version[kept], first, t.txn[overwrites], overwrites
    )
    return Analysis(lists.committed, ww, wr, rw, findings=findings(lists))
