"""Merkle trees: one for each hosted range of the ring, to find cheaply where two replicas differ.

1. A key's hash covers its name and all that is known of it: the versions, including tombstones, and the clock. If one
   replica does not know yet that a version was replaced, the two differ.
2. The leaves of a tree are equal buckets of its range, by position. Their number follows from the range alone, so the
   trees of two nodes have one shape.
3. The value of a tree node is the exclusive or of the hashes of all keys under it. So a change costs one operation a
   level, and the order of changes makes no difference.
4. Trees show what is durable. They are updated with every change and never rebuilt: a change of the ring affects the
   trees of ranges that come or go, and no others.
5. A tree begins empty and is filled in the background, a slice of the range at a time. A change behind the last key
   read counts at once; one ahead of it is read later. Unfinished trees are not compared.
6. A leaf that disagrees with its keys when they are listed (a record was damaged on the disk) is corrected.

Merkle (1987); Dynamo (SOSP 2007), section 4.7.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable

import msgspec

from splitbrain.store.defects import MERKLE_IGNORES_CLOCK
from splitbrain.store.ring.ring import RING_SIZE, Range, position
from splitbrain.store.scheduling.background import Background
from splitbrain.store.storage.replica import Entry, Replica
from splitbrain.store.versions.dotted import EMPTY, NOTHING, Version, VersionSet

FANOUT = 16
LEAF_BITS = 112
"""A leaf is at most 2**-16 of the ring: at 100,000 keys and three replicas on as many nodes, one or two keys."""
SLICE_KEYS = 64
"""Keys read at once while trees are filled: about a millisecond."""
LISTED_KEYS = 1024

_encode = msgspec.msgpack.Encoder().encode

Listing = dict[bytes, int]
"""Keys and their hashes."""


def digest(key: bytes, state: VersionSet) -> int:
    """The hash of a key and its state, 64 bits; 0 for an empty state. O(bytes)."""
    if state == EMPTY:
        return 0
    return int.from_bytes(hashlib.blake2b(_encode((key, state)), digest_size=8).digest())


class Tree:
    """The tree of one range. Its nodes are numbered from the root, 0, level by level.

    Memory: 8.5 bytes a leaf, from the first key on.
    """

    __slots__ = ("_hashes", "_inner", "_leaves", "start", "width")

    def __init__(self, token_range: Range) -> None:
        self.start = token_range[0]
        self.width = token_range[1] - token_range[0]
        depth = 0
        while self.width > 1 << (LEAF_BITS + 4 * depth):
            depth += 1
        self._leaves: int = FANOUT**depth
        self._inner: int = (self._leaves - 1) // (FANOUT - 1)
        self._hashes = array("Q")

    @property
    def root(self) -> int:
        """The hash of all keys in the range; 0 if there are none."""
        return self._hashes[0] if self._hashes else 0

    def is_inner(self, node: int) -> bool:
        """Whether a node has children."""
        return 0 <= node < self._inner

    def is_leaf(self, node: int) -> bool:
        """Whether a node is a leaf."""
        return self._inner <= node < self._inner + self._leaves

    def leaf(self, at: int) -> int:
        """The leaf of a position."""
        return self._inner + (at - self.start) * self._leaves // self.width

    def bucket(self, leaf: int) -> Range:
        """The range of positions of a leaf."""
        number = leaf - self._inner
        first, behind = (-(-n * self.width // self._leaves) for n in (number, number + 1))
        return self.start + first, self.start + behind

    def hash(self, node: int) -> int:
        """The exclusive or of the hashes of all keys under the node."""
        return self._hashes[node] if self._hashes else 0

    def children(self, node: int) -> list[int]:
        """The hashes of the node's children, which are numbered `FANOUT * node + 1` and on."""
        first = FANOUT * node + 1
        return list(self._hashes[first : first + FANOUT]) if self._hashes else [0] * FANOUT

    def change(self, leaf: int, difference: int) -> None:
        """Change a leaf's hash, and those of all nodes above it. O(depth)."""
        if not self._hashes:
            self._hashes = array("Q", bytes(8 * (self._inner + self._leaves)))
        hashes, node = self._hashes, leaf
        hashes[0] ^= difference
        while node:
            hashes[node] ^= difference
            node = (node - 1) // FANOUT


class Trees:
    """A node's trees. defect: as in `config.Config`."""

    def __init__(self, replica: Replica, background: Background, defect: str = "") -> None:
        self._replica = replica
        self._background = background
        self._defect = defect
        self._trees: dict[Range, Tree] = {}
        self._starts: list[Range] = []
        self._unfinished: dict[Range, bytes | None] = {}
        """By range, the last key that is counted."""
        self._filling = False
        replica.on_durable.append(self._changed)

    def host(self, ranges: Iterable[Range]) -> None:
        """Set the hosted ranges, which do not overlap: trees of others are dropped, missing ones are begun."""
        hosted = sorted(ranges)
        trees = self._trees
        self._trees = {token_range: trees.get(token_range) or Tree(token_range) for token_range in hosted}
        self._starts = hosted
        self._unfinished = {
            token_range: self._unfinished.get(token_range)
            for token_range in hosted
            if token_range not in trees or token_range in self._unfinished
        }
        if self._unfinished and not self._filling:
            self._filling = True
            self._background.soon(self._fill)

    def tree(self, token_range: Range) -> Tree | None:
        """The tree of that range, if it is hosted and its tree finished."""
        return None if token_range in self._unfinished else self._trees.get(token_range)

    @property
    def unfinished(self) -> int:
        """How many trees are being filled."""
        return len(self._unfinished)

    @property
    def ranges(self) -> list[Range]:
        """The hosted ranges, in ring order."""
        return list(self._starts)

    def hash(self, key: bytes, state: VersionSet) -> int:
        """The hash of a key in its tree."""
        if self._defect == MERKLE_IGNORES_CLOCK:
            return digest(key, VersionSet(NOTHING, tuple(Version(0, 1, v.value, 0, "", 0) for v in state.versions)))
        return digest(key, state)

    def listing(self, token_range: Range, leaf: int) -> Listing:
        """The keys of a finished tree's leaf. O(keys of the leaf)."""
        tree = self._trees[token_range]
        listed: Listing = {}
        total, after, more = 0, None, True
        while more:
            entries, after = self._replica.reported(tree.bucket(leaf), after, LISTED_KEYS)
            more = after is not None
            for key, entry in entries.items():
                listed[key] = self.hash(key, entry.state)
                total ^= listed[key]
        if total != tree.hash(leaf):
            tree.change(leaf, total ^ tree.hash(leaf))
        return {key: value for key, value in listed.items() if value}

    def _changed(self, key: bytes, before: Entry, after: Entry) -> None:
        if not self._starts:
            return
        at = position(key)
        token_range = self._starts[bisect_right(self._starts, (at, RING_SIZE)) - 1]
        if not token_range[0] <= at < token_range[1]:
            return
        if token_range in self._unfinished:
            counted = self._unfinished[token_range]
            if counted is None or (at, key) > (position(counted), counted):
                return
        difference = self.hash(key, before.state) ^ self.hash(key, after.state)
        tree = self._trees[token_range]
        tree.change(tree.leaf(at), difference)

    def _fill(self) -> None:
        """Read on in the unfinished trees. An empty range costs as much as one key."""
        left = SLICE_KEYS
        while left > 0 and self._unfinished:
            token_range, counted = next(iter(self._unfinished.items()))
            tree = self._trees[token_range]
            entries, last = self._replica.reported(token_range, counted, left)
            for key, entry in entries.items():
                tree.change(tree.leaf(position(key)), self.hash(key, entry.state))
            left -= len(entries) + 1
            if last is None:
                del self._unfinished[token_range]
            else:
                self._unfinished[token_range] = last
        self._filling = bool(self._unfinished)
        if self._filling:
            self._background.soon(self._fill)
