"""What the commit order of a history must have, as edges between transactions.

1. Nodes are committed transactions. Edges: dependencies (ww, wr), the order of sessions, and *forced* ones, from a
   writer that a transaction saw to the one that it read instead (`promises`, rule 2).
2. If it read a key as it began, nobody's write comes before that. The edge then leads from the reader to the writer
   that it saw, and closes a cycle.
3. To find the forced edges, whoever a transaction saw is joined with its reads by key, over the fewer of the one's
   writes and the other's reads: O(n^1.5) for n micro-operations. Of a session only its last writer of a key matters,
   since earlier ones precede that one.

Møldrup and Pavlogiannis, AWDIT: An Optimal Weak Database Isolation Tester (PLDI 2025).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.transactions.dependencies import Analysis
from splitbrain.checkers.transactions.graph import Pairs, components
from splitbrain.checkers.transactions.micro_operations import Flags, Transactions

ROWS = 4_000_000  # So many rows of a join are held at once.
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Forced:
    """Forced edges. source, target: transactions, a read's writer or, by rule 2, its reader and what it saw.

    seen: by edge, the writer that was seen. read: the number of the foreign read that says so.
    """

    source: Integers
    target: Integers
    seen: Integers
    read: Integers

    @classmethod
    def none(cls) -> Forced:
        nobody = np.zeros(0, np.int64)
        return cls(nobody, nobody, nobody, nobody)

    def __len__(self) -> int:
        return len(self.source)


class CommitOrder:
    """transactions, analysis: of the history. size: of nodes, which are transactions by their number.

    reader, at, key, writer: foreign reads. written: (transaction, key) of all writes, as sorted numbers. place: by
    transaction, where it stands if sessions are put one after the other.
    """

    def __init__(self, transactions: Transactions, analysis: Analysis) -> None:
        t, self.analysis = transactions, analysis
        self.t, self.size, self.keys = t, len(transactions), len(transactions.keys)
        self.committed = analysis.committed
        reads = analysis.reads
        self.reader, self.at, self.writer = reads.reader, reads.read, reads.writer
        self.key = t.key[reads.read]
        writes = np.flatnonzero(t.write & self.committed[t.txn])
        self.written = np.unique(t.txn[writes] * self.keys + t.key[writes])
        self.in_sessions = np.lexsort((t.invoked, t.process))
        self.in_sessions = self.in_sessions[self.committed[self.in_sessions]]
        self.place = np.full(self.size, -1)
        self.place[self.in_sessions] = np.arange(len(self.in_sessions))

    @cached_property
    def sessions(self) -> Pairs:
        """From each transaction to the next one of its process."""
        one, two = self.in_sessions[:-1], self.in_sessions[1:]
        next_ = self.t.process[one] == self.t.process[two]
        return one[next_], two[next_]

    @cached_property
    def read_from(self) -> Pairs:
        """wr of every read, repeated ones too: from the writer to the reader, each pair once."""
        some = self.writer >= 0
        pair = np.unique(self.writer[some] * self.size + self.reader[some])
        return pair // self.size, pair % self.size

    def base(self, *, sessions: bool) -> list[Pairs]:
        """What comes before what, whatever was seen."""
        ww = (self.analysis.ww.source, self.analysis.ww.target)
        return [ww, self.read_from, *([self.sessions] if sessions else [])]

    def circular(self, forced: Forced, *, sessions: bool) -> Integers:
        """By transaction, the component that it shares with others; -1 if it shares none."""
        labels = components(self.size, *self.base(sessions=sessions), (forced.source, forced.target))
        return np.where(np.bincount(labels)[labels] > 1, labels, -1)

    def directly(self, watch: Watch, *, earlier: bool) -> Forced:
        """What follows from whom a transaction read from. earlier: only if it had, before the read in question."""
        some = np.flatnonzero(self.writer >= 0)
        # Reads are in their order, so the first of each pair is the earliest.
        pair, first = np.unique(self.reader[some] * self.size + self.writer[some], return_index=True)
        reader, seen, since = pair // self.size, pair % self.size, self.at[some[first]]
        reads, sought = self._reads_by_key()
        by_writer = np.searchsorted(self.written, np.arange(self.size + 1) * self.keys)
        by_reader = np.searchsorted(sought, np.arange(self.size + 1) * self.keys)
        writes_of, reads_of = np.diff(by_writer)[seen], np.diff(by_reader)[reader]
        found = []
        fewer = writes_of <= reads_of
        for some, offset in _expanded(np.flatnonzero(fewer), writes_of[fewer]):
            watch("what was seen")
            key = self.written[by_writer[seen[some]] + offset] % self.keys
            wanted = reader[some] * self.keys + key
            begin, end = (np.searchsorted(sought, wanted, side=side) for side in ("left", "right"))
            for inner, more in _expanded(np.arange(len(some)), end - begin):
                found.append((some[inner], reads[begin[inner] + more]))
        for some, offset in _expanded(np.flatnonzero(~fewer), reads_of[~fewer]):
            watch("what was seen")
            read = reads[by_reader[reader[some]] + offset]
            has = self.wrote(seen[some], self.key[read])
            found.append((some[has], read[has]))
        pairs, read = _gathered(found)
        kept = self.writer[read] != seen[pairs]
        if earlier:
            kept &= since[pairs] < self.at[read]
        return self.forced(seen[pairs[kept]], read[kept])

    def within_sessions(self) -> Forced:
        """What follows from a session so far: its last writer of a key before a read of it."""
        _, process = np.unique(self.t.process, return_inverse=True)

        def code(txn: Integers, key: Integers) -> Integers:
            return (process[txn] * self.keys + key) * (self.size + 1)

        txn, key = self.written // self.keys, self.written % self.keys
        group = code(txn, key)
        order = np.argsort(group + self.place[txn])
        group, txn = group[order], txn[order]
        mine = code(self.reader, self.key)
        last = np.searchsorted(group + self.place[txn], mine + self.place[self.reader]) - 1
        has = np.flatnonzero(last >= 0)
        has = has[group[last[has]] == mine[has]]
        seen = txn[last[has]]
        other = seen != self.writer[has]
        return self.forced(seen[other], has[other])

    def forced(self, seen: Integers, read: Integers) -> Forced:
        """The edges of reads whose transaction saw another writer of the key."""
        began = self.writer[read] < 0
        source = np.where(began, self.reader[read], seen)
        target = np.where(began, seen, self.writer[read])
        _, once = np.unique(source * self.size + target, return_index=True)
        return Forced(source[once], target[once], seen[once], read[once])

    def wrote(self, txn: Integers, key: Integers) -> Flags:
        """Whether each transaction wrote the key."""
        wanted = txn * self.keys + key
        if not len(self.written):
            return np.zeros(len(wanted), bool)
        place = np.minimum(np.searchsorted(self.written, wanted), len(self.written) - 1)
        found: Flags = self.written[place] == wanted
        return found

    def _reads_by_key(self) -> Pairs:
        """Foreign reads by transaction and key, of equal ones the last; and their (transaction, key) as a number."""
        pair = self.reader * self.keys + self.key
        order = np.lexsort((self.at, self.writer, pair))
        last = np.ones(len(order), bool)
        last[:-1] = (np.diff(pair[order]) != 0) | (np.diff(self.writer[order]) != 0)
        order = order[last]
        return order, pair[order]


def joined(*parts: Forced) -> Forced:
    """All of these edges."""
    return Forced(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("source", "target", "seen", "read"))
    )


def _expanded(numbers: Integers, sizes: Integers) -> Iterator[Pairs]:
    """Each number as often as its size, with 0, 1, ... beside it; in parts of about `ROWS`."""
    total = np.cumsum(sizes)
    begin = 0
    while begin < len(numbers):
        held = int(total[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(total, held + ROWS, side="right")))
        part = sizes[begin:end]
        starts = np.cumsum(part) - part
        yield np.repeat(numbers[begin:end], part), np.arange(int(part.sum())) - np.repeat(starts, part)
        begin = end


def _gathered(found: list[Pairs]) -> Pairs:
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *(one for one, _ in found)]), np.concatenate([none, *(two for _, two in found)])
