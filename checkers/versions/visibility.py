"""Visibility of versioned writes: the last read that saw each write, and the last read that missed it.

1. A read saw a write if it covered it for certain: it returned the write, or one that had seen it, directly or not.
2. A read missed an acknowledged write if it was invoked after the acknowledgement and did not see it. A read whose
   coverage is not fully known (`version_order`) misses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.histories.history import Operation
from splitbrain.checkers.versions.reads import KeyReads, VersionedReads


@dataclass(frozen=True, slots=True)
class Visibility:
    """Last read that saw, and last read that missed, one acknowledged write."""

    last_seen: Operation | None
    last_missed: Operation | None


def visibility(reads: VersionedReads) -> dict[int, Visibility]:
    """Last read that saw, and last that missed, each acknowledged write, by its id. O(reads * chains + writes)."""
    found: dict[int, Visibility] = {}
    for key_reads in reads.by_key.values():
        for chain, members in enumerate(key_reads.order.members):
            last_seen, last_missed = _last(key_reads, key_reads.clock[:, chain].astype(np.int64), len(members))
            for at, write in enumerate(members.tolist()):
                put = key_reads.order.writes[write]
                if put.outcome != "ok":
                    continue
                last = key_reads.reads[last_missed[at]] if last_missed[at] >= 0 else None
                if last is not None and last.invocation.index < put.ended:
                    last = None
                found[put.id] = Visibility(key_reads.reads[last_seen[at]] if last_seen[at] >= 0 else None, last)
    return found


def _last(key_reads: KeyReads, reached: Integers, positions: int) -> tuple[list[int], list[int]]:
    """For each position of a chain: the last read that reached it, and the last that certainly did not; or -1."""
    last_seen, last_missed = np.full(positions + 1, -1), np.full(positions + 1, -1)
    reads = np.arange(len(reached))
    # A read that reached position p saw all writes up to p, and missed all from p + 1.
    np.maximum.at(last_seen, np.where(reached >= 0, reached, positions), reads)
    sure = key_reads.horizon < 0
    np.maximum.at(last_missed, reached[sure] + 1, reads[sure])
    last_seen = np.maximum.accumulate(last_seen[:positions][::-1])[::-1]
    return last_seen.tolist(), np.maximum.accumulate(last_missed)[:positions].tolist()
