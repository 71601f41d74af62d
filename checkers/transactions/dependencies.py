"""Dependencies between transactions, and what was found wrong on the way to them.

1. Transactions that count are those that committed: the ok ones, and the crashed ones of which an ok one read a write.
   Failed ones have no dependencies, nor do crashed ones nobody saw: nothing would follow from them.
2. ww: the second wrote the version after the first's. wr: the second read the first's version, or one that has the
   first's for its last. rw (anti-dependency): the first read a version, the second wrote the one after. None leads from
   a transaction to itself.
3. A version may have several that come right after it where the order is known in part. All readers of a version have
   rw to all of these, so rw is kept as (reader, version) and (version, writers): neither a list of a million appends
   nobody saw nor a million readers of an empty one makes it quadratic.

Adya 1999, section 4.2 (direct serialization graph).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.transactions.micro_operations import Flags

Occurrence = TypeVar("Occurrence")
EXAMPLES = 8  # A report shows so many of each anomaly; the counts are always complete.


@dataclass(frozen=True)
class DependencyEdges:
    """ww or wr: from source to target, transactions; by and of: the micro-operations of each that show it."""

    source: Integers
    target: Integers
    by: Integers
    of: Integers

    @classmethod
    def between(cls, source: Integers, target: Integers, by: Integers, of: Integers, count: int) -> DependencyEdges:
        """Once each, none to itself; of several that say the same, the first. count: of transactions."""
        kept = np.flatnonzero(source != target)
        _, first = np.unique(source[kept] * count + target[kept], return_index=True)
        kept = kept[first]
        return cls(source[kept], target[kept], by[kept], of[kept])

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class AntiDependencies:
    """rw: the versions read, and who overwrote them.

    reader, read, version: by anti-dependency; the transaction, its read, and the number of the version it read.
    first: by version, where its overwriters begin, with the total at the end. writer, write: by overwriter; the
    transaction and its write.
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
        """Once each, and none that only the reader itself overwrote."""
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
    """An anomaly found: how often, counted in what (`reads`), and the first few occurrences."""

    count: int
    of: str
    examples: list[Example]


def finding(where: Sequence[Occurrence], of: str, describe: Callable[[Occurrence], Example]) -> AnomalyFinding:
    """The finding of these occurrences, the first few of which are told."""
    return AnomalyFinding(len(where), of, [describe(each) for each in where[:EXAMPLES]])


@dataclass(frozen=True)
class Analysis:
    """What a model's values say.

    committed: by transaction (rule 1). findings: anomalies other than cycles, by name. why: of two writes that are
    neighbours, how that is known, as the end of a sentence; nothing where there is one way only.
    """

    committed: Flags
    ww: DependencyEdges
    wr: DependencyEdges
    rw: AntiDependencies
    findings: dict[str, AnomalyFinding] = field(default_factory=dict)
    why: Callable[[int, int], str] = lambda by, of: ""
