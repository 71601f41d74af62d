"""Hosted partitions: those that a node compares with other replicas, with their Merkle trees.

1. A node hosts a partition if it is a primary replica of it and holds a token of all of it. A replica that waits for
   its token gets the data by transfer.
2. Partitions are numbered by the ring in force. A message that names one says under which view.

Dynamo (SOSP 2007), section 4.7.
"""

from __future__ import annotations

from collections.abc import Iterable

from splitbrain.store.parts import Core
from splitbrain.store.repair.merkle import Tree, Trees
from splitbrain.store.ring.ring import Range
from splitbrain.store.wire.peer_messages import TreeNode

KEYS_AT_ONCE = 512
"""About how many keys one answer lists."""


def hosted(core: Core) -> dict[int, Range]:
    """The partitions that this node hosts, with their ranges. O(partitions)."""
    ring = core.ring
    return {
        partition: ring.range(partition)
        for partition in range(ring.partitions if ring.members else 0)
        if core.name in ring.primaries_of(partition) and not core.ownership.lacking(ring.range(partition))
    }


class Hosted:
    """A node's hosted partitions."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._trees = Trees(core.replica, core.background, core.config.defect)
        self._ranges: dict[int, Range] = {}
        self._seen: tuple[int, int] | None = None

    def refresh(self) -> None:
        """Update what is hosted. O(1) if neither the ring nor the tokens changed."""
        seen = (self._core.membership.view, self._core.ownership.version)
        if seen != self._seen:
            self._seen = seen
            self._ranges = hosted(self._core)
            self._trees.host(self._ranges.values())

    def tree(self, partition: int) -> Tree | None:
        """The finished tree of a partition that is hosted here."""
        token_range = self._ranges.get(partition)
        return None if token_range is None else self._trees.tree(token_range)

    def roots(self) -> dict[int, int]:
        """The roots of all finished trees, by partition."""
        return {partition: tree.root for partition in self._ranges if (tree := self.tree(partition)) is not None}

    @property
    def unfinished(self) -> int:
        """How many trees are still being filled."""
        return self._trees.unfinished

    def shared(self) -> dict[str, list[int]]:
        """The other primary replicas of the partitions hosted here, each with the partitions it shares."""
        shared: dict[str, list[int]] = {}
        for partition in self._ranges:
            for primary in self._core.ring.primaries_of(partition):
                shared.setdefault(primary, []).append(partition)
        shared.pop(self._core.name, None)
        return shared

    def children(self, node: TreeNode) -> list[int]:
        """The hashes of a tree node's children; none if there is no finished tree, or no such node."""
        partition, number = node
        tree = self.tree(partition)
        return tree.children(number) if tree is not None and tree.is_inner(number) else []

    def listings(self, leaves: Iterable[TreeNode]) -> list[dict[bytes, int] | None]:
        """The keys of the first leaves, with their hashes: of one leaf at least, and of about `KEYS_AT_ONCE` keys.

        None stands for a leaf without a finished tree.
        """
        listings: list[dict[bytes, int] | None] = []
        keys = 0
        for partition, number in leaves:
            tree = self.tree(partition)
            if tree is None or not tree.is_leaf(number):
                listings.append(None)
            else:
                listings.append(self._trees.listing(self._ranges[partition], number))
                keys += len(listings[-1] or ())
            if keys > KEYS_AT_ONCE:
                break
        return listings

    def __contains__(self, key: bytes) -> bool:
        """Whether the key's partition is hosted here."""
        return self._core.ring.partition(key) in self._ranges
