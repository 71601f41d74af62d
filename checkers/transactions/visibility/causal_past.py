"""Causal consistency: a transaction saw all that led to it, by reads and, if they count, by sessions.

1. The transactions are put in *chains*, each of which saw the one before it. A chain is a session, or several one after
   the other: one that begins when it has seen the last transaction of another takes that over, so that clients which
   crash and are replaced cost nothing. Without sessions any transaction may go on from any that it saw.
2. Of each transaction and chain it is noted how far along the chain it saw: O(nk) for n transactions and k chains.
3. Then for each read and chain the last writer of the key that was seen is found by bisection. Earlier ones precede it.
   Those that the read's writer itself saw are left out: that they come before it is known.
4. The memory that rule 2 needs is told to the budget as it grows.

Møldrup and Pavlogiannis, AWDIT (PLDI 2025), section 4.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.transactions.graph import Pairs, components
from splitbrain.checkers.transactions.visibility.commit_order import ROWS, CommitOrder, Forced, Watch, joined

_CHAINS = 16  # To begin with.
_PAUSE = 20_000  # So many transactions from one look at the budget to the next.


class CausalPast:
    """chain, step: by transaction, its chain and where it stands there. saw: by transaction and chain, the last step
    that it saw, itself included; -1 for none. Of those that are not committed, none.
    """

    def __init__(self, order: CommitOrder, watch: Callable[[str, int], None], *, sessions: bool) -> None:
        """watch: is told the stage and the bytes held, and may raise. What came before must not be circular."""
        self.order = order
        self.chain, self.step = np.full(order.size, -1), np.full(order.size, -1)
        parts = [order.read_from, *([order.sessions] if sessions else [])]
        source, target = (np.concatenate(ends) for ends in zip(*parts, strict=True))
        before = np.full(order.size, -1)
        followed = np.zeros(order.size, bool)
        if sessions:
            before[order.sessions[1]] = order.sessions[0]
            followed[order.sessions[0]] = True
        by_target = np.argsort(target, kind="stable")
        sources = source[by_target]
        first = np.searchsorted(target[by_target], np.arange(order.size + 1)).tolist()
        chain, step = self.chain, self.step
        saw: NDArray[np.int32] = np.full((order.size, _CHAINS), -1, np.int32)
        ends = np.full(_CHAINS, -2, np.int32)  # How far each chain goes; of one that can't be taken over, -2.
        last = [-1] * _CHAINS  # The last transaction of each.
        length = [0] * _CHAINS
        chains = 0
        previous, has_next = before.tolist(), followed.tolist()
        for count, txn in enumerate(_sorted(order, (source, target))):
            if not count % _PAUSE:
                watch("what led to what", saw.nbytes)
            begin, end = first[txn], first[txn + 1]
            row = saw[txn]
            if end - begin == 1:
                row[:] = saw[sources[begin]]
            elif end > begin:
                saw[sources[begin:end]].max(axis=0, out=row)
            at = int(chain[previous[txn]]) if previous[txn] >= 0 else -1
            if at < 0 or last[at] != previous[txn]:
                free = int((row == ends).argmax())
                at = free if row[free] == ends[free] else -1
            if at < 0:
                if chains == saw.shape[1]:
                    watch("what led to what", 3 * saw.nbytes)
                    saw = np.concatenate((saw, np.full_like(saw, -1)), axis=1)
                    ends = np.concatenate((ends, np.full_like(ends, -2)))
                    last, length = last + [-1] * chains, length + [0] * chains
                    row = saw[txn]
                at, chains = chains, chains + 1
            chain[txn], step[txn], last[at] = at, length[at], txn
            row[at] = length[at]
            ends[at] = -2 if has_next[txn] else length[at]
            length[at] += 1
        self.saw = saw[:, : max(1, chains)]

    def forced(self, watch: Watch) -> Forced:
        """What follows from all that a transaction saw."""
        order = self.order
        chains, longest = self.saw.shape[1], order.size + 1
        txn, key = order.written // order.keys, order.written % order.keys
        code = (key * chains + self.chain[txn]) * longest + self.step[txn]
        by_code = np.argsort(code)
        code, txn = code[by_code], txn[by_code]
        groups = np.unique(code // longest)  # Which chains have writers of which keys.
        by_key = np.searchsorted(groups, np.arange(order.keys + 1) * chains)
        sizes = np.diff(by_key)[order.key]
        found = [Forced.none()]
        total = np.cumsum(sizes)
        begin = 0
        while begin < len(sizes):
            watch("what was seen")
            held = int(total[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(total, held + ROWS, side="right")))
            part = sizes[begin:end]
            read = np.repeat(np.arange(begin, end), part)
            inner = np.arange(len(read)) - np.repeat(np.cumsum(part) - part, part)
            group = groups[by_key[order.key[read]] + inner]
            chain, reader, writer = group % chains, order.reader[read], order.writer[read]
            until = self.saw[reader, chain] - (self.chain[reader] == chain)
            place = np.searchsorted(code, group * longest + until, side="right") - 1
            some = np.flatnonzero((until >= 0) & (place >= 0))
            some = some[code[place[some]] // longest == group[some]]
            seen = txn[place[some]]
            read, writer, chain = read[some], writer[some], chain[some]
            known = (writer >= 0) & (self.saw[writer, chain] >= self.step[seen])
            found.append(order.forced(seen[~known], read[~known]))
            begin = end
        return joined(*found)


def _sorted(order: CommitOrder, edges: Pairs) -> list[int]:
    """The committed transactions in an order that the edges allow."""
    labels = components(order.size, edges)
    for rank in (labels, -labels):
        if (rank[edges[0]] < rank[edges[1]]).all():
            every: Integers = np.argsort(rank, kind="stable")
            return [txn for txn in every.tolist() if order.committed[txn]]
    raise AssertionError("components are numbered along the edges or against them")
