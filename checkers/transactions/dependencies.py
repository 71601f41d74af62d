"""Dependencies between transactions, and the findings that are not cycles.

1. Only committed transactions count: the ok ones, and crashed ones of which an ok one read a write. Failed ones have no
   dependencies, and neither have crashed ones that nobody saw: nothing would follow from them.
2. ww: the second wrote the version after the first's. wr: the second read the first's version, or a list whose last
   element is the first's. rw (anti-dependency): the first read a version, and the second wrote the one after. No
   dependency leads from a transaction to itself.
3. Where the order is known in part, several versions may come right after one. All its readers then have rw to all of
   these. So rw is kept as two tables, (reader, version) and (version, writers). Otherwise a list with a million appends
   that nobody saw, or a million readers of an empty one, would make it quadratic.

Adya 1999, section 4.2 (direct serialization graph).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.transactions.micro_operations import Flags, Transactions

Occurrence = TypeVar("Occurrence")
ABSENT = -1
EXAMPLES = 8  # A report shows so many of each anomaly; the counts are always complete.


@dataclass(frozen=True)
class DependencyEdges:
    """ww or wr edges, from source to target, both transactions. by, of: the micro-operations of each that show it."""

    source: Integers
    target: Integers
    by: Integers
    of: Integers

    @classmethod
    def between(cls, source: Integers, target: Integers, by: Integers, of: Integers, count: int) -> DependencyEdges:
        """Each edge once, none to itself; of several equal ones the first. count: of transactions."""
        kept = np.flatnonzero(source != target)
        _, first = np.unique(source[kept] * count + target[kept], return_index=True)
        kept = kept[first]
        return cls(source[kept], target[kept], by[kept], of[kept])

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class AntiDependencies:
    """rw: the versions that were read, and who overwrote them.

    reader, read, version: by anti-dependency. The transaction, its read, and the number of the version that it read.
    first: by version, where its overwriters begin, with the total at the end.
    writer, write: by overwriter. The transaction and its write.
    """

    reader: Integers
    read: Integers
    version: Integers
    first: Integers
    writer: Integers
    write: Integers

    @classmethod
    def between(
        cls, reader: Integers, read: Integers, version: Integers, first: Integers, writer: Integers, write: Integers
    ) -> AntiDependencies:
        """Each once, and none that only the reader itself overwrote."""
        size = np.diff(first)[version]
        some = np.flatnonzero(size > 0)
        alone = (size[some] == 1) & (writer[first[version[some]]] == reader[some])
        kept = some[~alone]
        _, once = np.unique(reader[kept] * len(first) + version[kept], return_index=True)
        kept = kept[once]
        return cls(reader[kept], read[kept], version[kept], first, writer, write)

    def __len__(self) -> int:
        return len(self.reader)

    def writers(self, version: int) -> Iterator[tuple[int, int]]:
        """(transaction, write) of those who wrote right after that version."""
        part = slice(int(self.first[version]), int(self.first[version + 1]))
        return zip(self.writer[part].tolist(), self.write[part].tolist(), strict=True)


@dataclass(frozen=True)
class Example:
    """One occurrence of an anomaly.

    text: a paragraph. operations: the transactions in it, by number. data: JSON-able, for a report to draw.
    """

    text: str
    operations: tuple[int, ...]
    data: dict[str, Any]


@dataclass(frozen=True)
class AnomalyFinding:
    """How often an anomaly was found, in what unit (`reads`), and the first few occurrences."""

    count: int
    of: str
    examples: list[Example]


def finding(where: Sequence[Occurrence], of: str, describe: Callable[[Occurrence], Example]) -> AnomalyFinding:
    """The finding of these occurrences, with descriptions of the first few."""
    return AnomalyFinding(len(where), of, [describe(each) for each in where[:EXAMPLES]])


@dataclass(frozen=True)
class ForeignReads:
    """Known reads that did not return what their own transaction had written: all of them, repeated ones too.

    reader, read: by read, its transaction and its micro-operation. shown, writer: the write of what it returned, and
    who made it; ABSENT if the key was as it began. own_unseen: micro-operations that read a key, not as their
    transaction had just written it. Reads of what never was committed are left out: they are anomalies by themselves.
    """

    reader: Integers
    read: Integers
    shown: Integers
    writer: Integers
    own_unseen: Integers

    @classmethod
    def of(cls, transactions: Transactions, read: Integers, shown: Integers) -> ForeignReads:
        """The foreign ones of some reads. shown: by read, the write whose version it returned, or ABSENT."""
        t = transactions
        reader = t.txn[read]
        writer = np.where(shown >= 0, t.txn[np.maximum(shown, 0)], ABSENT)
        own = t.own_before[read]
        kept = np.flatnonzero(writer != reader)
        kept = kept[np.argsort(read[kept], kind="stable")]
        return cls(reader[kept], read[kept], shown[kept], writer[kept], np.sort(read[(own >= 0) & (own != shown)]))

    def __len__(self) -> int:
        return len(self.reader)


@dataclass(frozen=True)
class Unordered:
    """Versions whose order the dependencies leave open, at least in part.

    key, writer, written: by version, its key, the transaction that left the key at it, and its number.
    reader, version: who read which version from another transaction.
    """

    key: Integers
    writer: Integers
    written: Integers
    reader: Integers
    version: Integers

    def none(self) -> Unordered:
        """None of them."""
        nothing = self.key[:0]
        return Unordered(nothing, nothing, nothing, nothing, nothing)


@dataclass(frozen=True)
class Analysis:
    """The dependencies of a history, and its findings other than cycles.

    committed: by transaction (rule 1). unordered: the versions that may have several orders. reads: of what others
    wrote. findings: by name of the anomaly. why: how it is known that two writes are neighbours, as the end of a
    sentence; empty where there is one way only.
    """

    committed: Flags
    ww: DependencyEdges
    wr: DependencyEdges
    rw: AntiDependencies
    unordered: Unordered
    reads: ForeignReads
    findings: dict[str, AnomalyFinding] = field(default_factory=dict)
    why: Callable[[int, int], str] = lambda by, of: ""
