"""Reachability in an acyclic graph, for many pairs at once.

1. Nodes are sorted topologically; of those that could come next, the earliest in time does. A path between two nodes
   never leaves the range between their places.
2. Sources are taken some thousand at a time, in their order, one bit of an integer each. A sweep over the range of a
   batch passes every node's bits along its edges. Where time and dependencies agree, ranges are short, and all sweeps
   together see each node a few times. At worst a batch sees every edge: O(edges * sources / 64).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.transactions.graph import Pairs
from splitbrain.checkers.transactions.micro_operations import Flags

_BATCH = 4096


def reaches(edges: Pairs, time: Integers, asked: Pairs, watch: Callable[[str], None]) -> Flags:
    """Whether a path leads from the first to the second of each pair; a node reaches itself.

    edges: of an acyclic graph. time: by node, approximate times suffice. asked: the pairs. watch: called now and then
    with the progress; raises to stop.
    """
    size = len(time)
    source, target = (part.tolist() for part in _once(edges, size))
    following: list[list[int]] = [[] for _ in range(size)]
    ahead = [0] * size
    for one, two in zip(source, target, strict=True):
        following[one].append(two)
        ahead[two] += 1
    moment = time.tolist()
    ready = [(moment[node], node) for node in range(size) if not ahead[node]]
    heapq.heapify(ready)
    place: list[int] = [0] * size
    at: list[int] = []
    while ready:
        _, node = heapq.heappop(ready)
        place[node] = len(at)
        at.append(node)
        for each in following[node]:
            ahead[each] -= 1
            if not ahead[each]:
                heapq.heappush(ready, (moment[each], each))
    places = np.array(place)
    begins, ends = places[asked[0]], places[asked[1]]
    found: Flags = begins == ends
    later = np.flatnonzero(begins < ends)
    later = later[np.argsort(begins[later], kind="stable")]
    starts = np.unique(begins[later])
    for first in range(0, len(starts), _BATCH):
        watch(f"whether {len(starts):,} transactions lead back to themselves, {first:,} of them done")
        batch = starts[first : first + _BATCH]
        part = later[np.searchsorted(begins[later], batch[0]) : np.searchsorted(begins[later], batch[-1], side="right")]
        low, high = int(batch[0]), int(ends[part].max())
        bits = [0] * (high - low + 1)
        for number, start in enumerate(batch.tolist()):
            bits[start - low] = 1 << number
        for offset, node in enumerate(at[low : high + 1]):
            held = bits[offset]
            if held:
                for each in following[node]:
                    if place[each] <= high:
                        bits[place[each] - low] |= held
        numbers = np.searchsorted(batch, begins[part]).tolist()
        for pair, number, end in zip(part.tolist(), numbers, ends[part].tolist(), strict=True):
            found[pair] = bits[end - low] >> number & 1
    return found


def _once(edges: Pairs, size: int) -> Pairs:
    both = np.unique(edges[0] * size + edges[1])
    return both // size, both % size
