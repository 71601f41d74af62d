"""Version order: which versions of a key cover which others, as vector clocks over chains of writes.

1. The writes of a key are divided into chains. Each write of a chain had seen, directly or through others, the one
   before it. What a version covers is then a clock: the last position it reaches in each chain, or -1. Whatever covers
   a write covers all that the write had seen. So positions are compared, and joined by their maximum (Dilworth 1950;
   Jagadish 1990).
2. A write whose "seen" is not recorded may have seen more. So may one whose "seen" names a write that nobody put to
   that key. It may have seen any write that existed before its own completion, and no other.
3. A write exists once the last of all that it covers was invoked: before that no client could hold it. That moment is
   its `not_before`.
4. The horizon of a version is the latest completion of an open-ended write that it covers, or -1. It may cover any
   write that existed before its horizon. A read that returned a write that nobody put to that key has no bound.
5. Coverage is three-valued: yes, maybe, no. Only `no` counts as a miss.
6. Writes that had seen one another in a cycle have no order: Circular.
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
class VersionOrder:
    """The writes of a key, numbered in the order of their invocations.

    number: by id. chain, position: by write. clock: [writes, chains], what each covers, itself included.
    horizon, not_before: event indices by write (rules 3 and 4). members: by chain, its writes in order.
    """

    writes: Sequence[Write]
    number: Mapping[int, int]
    chain: Integers
    position: Integers
    clock: Clocks
    horizon: Integers
    not_before: Integers
    members: Sequence[Integers]

    @classmethod
    def of(cls, key: Key, writes: Sequence[Write]) -> VersionOrder:
        """The order of a key's writes. O((writes + "seen" entries) * chains). Raises Circular."""
        number = {write.id: at for at, write in enumerate(writes)}
        chain, position = np.zeros(len(writes), dtype=np.int64), np.zeros(len(writes), dtype=np.int64)
        horizon = np.full(len(writes), -1, dtype=np.int64)
        not_before = np.fromiter((write.invoked for write in writes), dtype=np.int64, count=len(writes))
        clock: Clocks = np.full((len(writes), 4), -1, dtype=np.int32)
        tails = np.zeros(4, dtype=np.int32)
        chains = 0
        for at in _topological_order(key, writes, number):
            write, own = writes[at], clock[at]
            known = [number[id_] for id_ in write.seen or () if id_ in number and id_ != write.id]
            if write.seen is None or any(id_ not in number for id_ in write.seen):
                horizon[at] = write.ended
            for seen in known:
                np.maximum(own, clock[seen], out=own)
                horizon[at] = max(horizon[at], horizon[seen])
                not_before[at] = max(not_before[at], not_before[seen])
            # It may extend any chain whose last write it has seen. Else there would be as many chains as there were
            # concurrent writes in the whole run.
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
        return cls(writes, number, chain, position, clock[:, :chains], horizon, not_before, members)

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

    def chain_prefixes(self, writes: Integers) -> Clocks:
        """For each write the clock that covers exactly it and what precedes it in its chain."""
        clocks = np.full((len(writes), self.chains), -1, dtype=np.int32)
        clocks[np.arange(len(writes)), self.chain[writes]] = self.position[writes]
        return clocks

    def missing(self, clocks: Clocks, horizons: Integers, needed: Clocks) -> tuple[Integers, NDArray[np.bool_]]:
        """For each clock, the first needed write that it misses for certain, and whether it may miss one.

        clocks, horizons: what each covers. needed: for each, the clock that it should reach. Returns a write's number
        for each, or -1 if none is missed for certain; and, where none is, whether one may be. O(entries).
        """
        missed = np.full(len(clocks), -1, dtype=np.int64)
        maybe = np.zeros(len(clocks), dtype=bool)
        short = needed > clocks
        rows = np.flatnonzero(short.any(axis=1))
        for row, chain in zip(*(part.tolist() for part in np.nonzero(short[rows])), strict=True):
            at = rows[row]
            write = self.members[chain][needed[at, chain]]
            if self.not_before[write] < horizons[at]:
                maybe[at] = True
            elif missed[at] < 0 or write < missed[at]:
                missed[at] = write
        maybe &= missed < 0
        return missed, maybe


def version_orders(versions: Versions) -> dict[Key, VersionOrder]:
    """The order of every key that was put to. Raises Circular."""
    by_key: dict[Key, list[Write]] = {}
    for write in versions.writes.values():
        by_key.setdefault(write.key, []).append(write)
    return {key: VersionOrder.of(key, writes) for key, writes in by_key.items()}


def _topological_order(key: Key, writes: Sequence[Write], number: Mapping[int, int]) -> list[int]:
    """The writes in an order in which each follows all that it had seen."""
    order: list[int] = []
    path: list[int] = []  # Each had seen the next.
    begun, ended = bytearray(len(writes)), bytearray(len(writes))
    for first in range(len(writes)):
        ahead = [first]
        while ahead:
            at = ahead[-1]
            if begun[at]:
                ahead.pop()
                if not ended[at]:
                    ended[at] = 1
                    order.append(path.pop())
                continue
            begun[at] = 1
            path.append(at)
            for id_ in writes[at].seen or ():
                seen = number.get(id_)
                if seen is None or seen == at or ended[seen]:
                    continue
                if begun[seen]:
                    raise Circular(key, [writes[each].id for each in path[path.index(seen) :]])
                ahead.append(seen)
    return order
