"""Lists that transactions append to: the order of each key's versions.

1. The order of a key's versions is its longest read (of several, the earliest). Every other read must be a prefix of
   it. One that isn't shows an incompatible order; then only the writer of its last element counts, and the writer right
   after that element in the longest read.
2. If an element is in a read twice, the first place counts.
3. Elements of aborted transactions, and those that nobody wrote, are skipped: the versions on both sides become
   neighbours. (Elle leaves a gap there.)
4. Appends of committed transactions that no read shows come after the longest read, in no known order.
5. Two elements are the same if they are the same JSON: true is not 1.

Kingsbury and Alvaro, Elle (VLDB 2020), sections 3 and 4; elle/list_append.clj.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from splitbrain.checkers.histories.columns import INFO, OK, Integers
from splitbrain.checkers.transactions.micro_operations import Flags, Transactions, codes, plain

ABSENT = -1


@dataclass(frozen=True)
class Reads:
    """The known reads: for each its micro-operation, its key, the list (elements as codes), and its length."""

    at: Integers
    key: Integers
    lists: list[list[Any]]
    length: Integers


class Lists:
    """The order of versions of each key, and where its reads stand in it.

    writes, reads: appends, by micro-operation, and known reads.
    orders: by key, the elements of its longest read. longest: the number of that read.
    start, order_key, order_write, first: all orders in one sequence. Where each begins, and for each element its key,
    its append (ABSENT if there is none), and whether this is its first place.
    prefix: by read, whether it is a prefix of its key's order. odd: those that are not. odd_writes: the appends they
    show.
    committed: by transaction.
    versions: appends of committed transactions in the orders, one key after the other. version_start: where each key's
    begin. unseen: their other appends, by key.
    after: by read, how many versions precede it, over all keys. placed: whether that is known.
    """

    def __init__(self, transactions: Transactions) -> None:
        self.t = transactions
        self.writes = np.flatnonzero(transactions.write)
        at = np.flatnonzero(transactions.known)
        # Null becomes an empty list. Tuples become lists, since they equal no list.
        lists: list[list[Any]] = [transactions.value[each] or [] for each in at.tolist()]
        if not set(map(type, lists)) <= {list}:
            lists = [list(each) for each in lists]
        if not plain(chain.from_iterable(lists)):
            lists = [codes(each) for each in lists]
        length = np.fromiter(map(len, lists), np.int64, len(lists))
        self.reads = Reads(at, transactions.key[at], lists, length)
        self._order()
        self._compare()
        self._place()

    def _order(self) -> None:
        """The longest read of each key, its elements in one sequence, and the writer of each."""
        reads, keys = self.reads, len(self.t.keys)
        by_length = np.lexsort((-np.arange(len(reads.at)), reads.length, reads.key))
        last = np.flatnonzero(np.diff(reads.key[by_length], append=-1))
        self.longest = np.full(keys, -1)
        self.longest[reads.key[by_length[last]]] = by_length[last]
        self.orders = [reads.lists[at] if at >= 0 else [] for at in self.longest.tolist()]
        written = codes([self.t.value[at] for at in self.writes.tolist()])
        flat = list(chain.from_iterable(self.orders))
        self.table = {value: code for code, value in enumerate(dict.fromkeys(chain(written, flat)))}
        lengths = np.fromiter(map(len, self.orders), np.int64, keys)
        self.start = np.concatenate(([0], np.cumsum(lengths)))
        self.order_key = np.repeat(np.arange(keys), lengths)
        self.span = len(self.table) + 1
        names = np.fromiter(map(self.table.__getitem__, written), np.int64, len(written))
        names += self.t.key[self.writes] * self.span
        self.by_name = np.argsort(names, kind="stable")
        self.names = names[self.by_name]
        again = np.flatnonzero(np.diff(self.names) == 0)
        if len(again):
            at = int(self.writes[self.by_name[again + 1].min()])
            self.t.refuse(at, "an element is appended to a key once")
        of = np.fromiter(map(self.table.__getitem__, flat), np.int64, len(flat)) + self.order_key * self.span
        self.order_write = self._writers(of)
        _, first = np.unique(of, return_index=True)
        self.first = np.zeros(len(flat), bool)
        self.first[first] = True

    def _writers(self, names: Integers) -> Integers:
        """The writes of these elements (key and code in one number), or ABSENT."""
        if not len(self.names):
            return np.full(len(names), ABSENT)
        place = np.minimum(np.searchsorted(self.names, names), len(self.names) - 1)
        return np.where(self.names[place] == names, self.writes[self.by_name[place]], ABSENT)

    def _writer(self, key: int, element: Any) -> int:
        code = self.table.get(element)
        return ABSENT if code is None else int(self._writers(np.array([key * self.span + code]))[0])

    def _compare(self) -> None:
        """Which reads are prefixes of the longest; for the others, the writes that they show."""
        reads, orders = self.reads, self.orders
        prefix = [
            order is read or order[: len(read)] == read
            for read, order in zip(reads.lists, map(orders.__getitem__, reads.key.tolist()), strict=True)
        ]
        self.odd = [at for at, good in enumerate(prefix) if not good]
        self.prefix = np.array(prefix, dtype=bool)
        self.odd_writes = {
            at: [self._writer(int(reads.key[at]), element) for element in reads.lists[at]] for at in self.odd
        }
        t, seen = self.t, np.zeros(len(self.t), bool)
        seen[t.txn[self.order_write[self.order_write >= 0]]] = True
        for writes in self.odd_writes.values():
            for write in writes:
                if write >= 0:
                    seen[t.txn[write]] = True
        self.committed: Flags = (t.outcome == OK) | ((t.outcome == INFO) & seen)

    def _place(self) -> None:
        """Where in the order of committed versions each read stands."""
        t, reads = self.t, self.reads
        writer = self.order_write
        counts = self.first & (writer >= 0)
        counts[counts] = self.committed[t.txn[writer[counts]]]
        self.versions = writer[counts]
        before = np.concatenate(([0], np.cumsum(counts)))
        self.version_start = before[self.start]
        effective = reads.length.copy()
        for at in self.odd:
            order, read = self.orders[reads.key[at]], reads.lists[at]
            effective[at] = order.index(read[-1]) + 1 if read[-1] in order else ABSENT
        self.placed = effective >= 0
        shown = np.zeros(len(t.txn), bool)
        shown[writer[writer >= 0]] = True
        for writes in self.odd_writes.values():
            shown[[write for write in writes if write >= 0]] = True
        unseen = self.writes[~shown[self.writes] & self.committed[t.txn[self.writes]]]
        self.unseen = unseen[np.argsort(t.key[unseen], kind="stable")]
        # How many committed versions precede a read, over all keys.
        self.after = before[self.start[reads.key] + np.maximum(effective, 0)]
