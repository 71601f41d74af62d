"""Settling: the last read that held a versioned write, and the last that lacked it.

1. A read held a write if it covered it for certain: returned it, or a write that had (transitively) seen it.
2. A read lacked an acknowledged write if it was invoked after the acknowledgement and didn't hold it. A read of which
   it isn't known all that it covered (`version_order`) lacks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.histories.history import Operation
from splitbrain.checkers.versions.reads import KeySightings, Sightings


@dataclass(frozen=True, slots=True)
class Settling:
    """Of a write: the last read that held it, and the last that lacked it."""

    held: Operation | None
    lacked: Operation | None


def settling(sightings: Sightings) -> dict[int, Settling]:
    """That of every acknowledged write, by its id. O(reads * chains + writes)."""
    found: dict[int, Settling] = {}
    for of in sightings.keys.values():
        for chain, members in enumerate(of.lineage.members):
            held, lacked = _last(of, of.clock[:, chain].astype(np.int64), len(members))
            for at, write in enumerate(members.tolist()):
                put = of.lineage.writes[write]
                if put.outcome != "ok":
                    continue
                last = of.reads[lacked[at]] if lacked[at] >= 0 else None
                if last is not None and last.invocation.index < put.ended:
                    last = None
                found[put.id] = Settling(of.reads[held[at]] if held[at] >= 0 else None, last)
    return found


def _last(of: KeySightings, reached: Integers, positions: int) -> tuple[list[int], list[int]]:
    """For each position of a chain the last read that reached it, and the last that for certain did not; or -1."""
    held, lacked = np.full(positions + 1, -1), np.full(positions + 1, -1)
    reads = np.arange(len(reached))
    # A read that reached position p is one that reached all up to p, and lacked all from p + 1.
    np.maximum.at(held, np.where(reached >= 0, reached, positions), reads)
    sure = of.horizon < 0
    np.maximum.at(lacked, reached[sure] + 1, reads[sure])
    held = np.maximum.accumulate(held[:positions][::-1])[::-1]
    return held.tolist(), np.maximum.accumulate(lacked)[:positions].tolist()
