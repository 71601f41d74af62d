"""Lineage: what versions of one key cover, by chains.

1. The writes of a key form chains, each of whose writes had (transitively) seen the one before it in its chain. What a
   version covers is then a clock: the position it reaches in each chain, or -1. Covering a write is covering all that
   it had seen, so positions can be compared, and joined by their maximum (Dilworth 1950; Jagadish 1990).
2. A write whose "seen" is not recorded, or names a write that nobody put to that key, may have seen more: any write
   that was born before its own end, and no other. A write is born when the last of what it covers was invoked: before
   that nobody could have had it in hand. The latest such end is the horizon of what covers it; -1 if there is none.
3. A read that returned a write that nobody put to that key has no horizon: nobody knows what that had seen.
4. A write covered, or may cover, or surely doesn't cover another: it lacks it only in the last case.
5. Writes that had seen one another have no lineage: Circular.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitbrain.checkers.histories.columns import FOREVER, Integers
from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.prose import key_name, listing
from splitbrain.checkers.versions.writes import Versions, Write

Clocks = NDArray[np.int32]


class Circular(Exception):
    """Writes that had seen one another: each of the `ids` had seen the next, the last the first."""

    def __init__(self, key: Key, ids: Sequence[int]) -> None:
        super().__init__(f"writes {listing(ids)} of {key_name(key)} had seen one another")
        self.key = key
        self.ids = tuple(ids)


@dataclass(frozen=True)
class Lineage:
    """The writes of a key, numbered in the order of their invocations.

    number: by id. chain, position: of each write. clock: [writes, chains], what each covers, itself included.
    horizon, born: of each write. members: by chain, its writes in order.
    """

    writes: Sequence[Write]
    number: Mapping[int, int]
    chain: Integers
    position: Integers
    clock: Clocks
    horizon: Integers
    born: Integers
    members: Sequence[Integers]

    @classmethod
    def of(cls, key: Key, writes: Sequence[Write]) -> Lineage:
        """The lineage of a key's writes. O((writes + "seen" entries) * chains). Raises Circular."""
        number = {write.id: at for at, write in enumerate(writes)}
        chain, position = np.zeros(len(writes), dtype=np.int64), np.zeros(len(writes), dtype=np.int64)
        horizon = np.full(len(writes), -1, dtype=np.int64)
        born = np.fromiter((write.invoked for write in writes), dtype=np.int64, count=len(writes))
        clock: Clocks = np.full((len(writes), 4), -1, dtype=np.int32)
        tails = np.zeros(4, dtype=np.int32)
        chains = 0
        for at in _eldest_first(key, writes, number):
            write, own = writes[at], clock[at]
            known = [number[id_] for id_ in write.seen or () if id_ in number and id_ != write.id]
            if write.seen is None or any(id_ not in number for id_ in write.seen):
                horizon[at] = write.ended
            for seen in known:
                np.maximum(own, clock[seen], out=own)
                horizon[at] = max(horizon[at], horizon[seen])
                born[at] = max(born[at], born[seen])
            # It may go on any chain to whose end it has seen; chains would else be as many as the concurrent writes
            # of the whole run.
            free = np.flatnonzero(own[:chains] == tails[:chains])
            if len(free):
                mine = int(free[0])
                tails[mine] += 1
            else:
                mine = chains
                chains += 1
                if mine == len(tails):
                    clock = np.concatenate((clock, np.full_like(clock, -1)), axis=1)
                    tails = np.concatenate((tails, np.zeros_like(tails)))
            chain[at], position[at] = mine, tails[mine]
            clock[at, mine] = tails[mine]
        order = np.lexsort((position, chain))
        ends = np.searchsorted(chain[order], np.arange(1, chains))
        members = np.split(order, ends) if chains else []
        return cls(writes, number, chain, position, clock[:, :chains], horizon, born, members)

    @property
    def chains(self) -> int:
        return len(self.members)

    def cover(self, versions: Sequence[Iterable[int]]) -> tuple[Clocks, Integers]:
        """What each of several sets of versions covers: clocks, and horizons. O(versions * chains)."""
        clocks = np.full((len(versions), self.chains), -1, dtype=np.int32)
        horizons = np.full(len(versions), -1, dtype=np.int64)
        for at, ids in enumerate(versions):
            own = clocks[at]
            for id_ in ids:
                write = self.number.get(id_)
                if write is None:
                    horizons[at] = FOREVER
                else:
                    np.maximum(own, self.clock[write], out=own)
                    horizons[at] = max(horizons[at], self.horizon[write])
        return clocks, horizons

    def alone(self, writes: Integers) -> Clocks:
        """For each of these writes the clock that covers it and what comes before it in its chain, no more."""
        clocks = np.full((len(writes), self.chains), -1, dtype=np.int32)
        clocks[np.arange(len(writes)), self.chain[writes]] = self.position[writes]
        return clocks

    def lacking(self, clocks: Clocks, horizons: Integers, needed: Clocks) -> tuple[Integers, NDArray[np.bool_]]:
        """Of what covers too little for what is needed: the first write that it surely lacks, and whether it may.

        clocks, horizons: of each; needed: a clock each. Returns a write's number each, or -1 if it lacks none for
        certain, and whether there is one that it may or may not cover. O(entries).
        """
        lacks = np.full(len(clocks), -1, dtype=np.int64)
        perhaps = np.zeros(len(clocks), dtype=bool)
        short = needed > clocks
        rows = np.flatnonzero(short.any(axis=1))
        for row, chain in zip(*(part.tolist() for part in np.nonzero(short[rows])), strict=True):
            at = rows[row]
            write = self.members[chain][needed[at, chain]]
            if self.born[write] < horizons[at]:
                perhaps[at] = True
            elif lacks[at] < 0 or write < lacks[at]:
                lacks[at] = write
        perhaps &= lacks < 0
        return lacks, perhaps


def lineages(versions: Versions) -> dict[Key, Lineage]:
    """Those of all keys that were put to. Raises Circular."""
    by_key: dict[Key, list[Write]] = {}
    for write in versions.writes.values():
        by_key.setdefault(write.key, []).append(write)
    return {key: Lineage.of(key, writes) for key, writes in by_key.items()}


def _eldest_first(key: Key, writes: Sequence[Write], number: Mapping[int, int]) -> list[int]:
    """The writes so that each comes after all that it had seen."""
    order: list[int] = []
    way: list[int] = []  # Each had seen the next.
    begun, ended = bytearray(len(writes)), bytearray(len(writes))
    for first in range(len(writes)):
        ahead = [first]
        while ahead:
            at = ahead[-1]
            if begun[at]:
                ahead.pop()
                if not ended[at]:
                    ended[at] = 1
                    order.append(way.pop())
                continue
            begun[at] = 1
            way.append(at)
            for id_ in writes[at].seen or ():
                seen = number.get(id_)
                if seen is None or seen == at or ended[seen]:
                    continue
                if begun[seen]:
                    raise Circular(key, [writes[each].id for each in way[way.index(seen) :]])
                ahead.append(seen)
    return order
