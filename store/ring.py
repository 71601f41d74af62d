"""The ring: which nodes hold a key.

1. A key's position is the MD5 of it, 128 bits. The hash space is cut into Q equal partitions.
2. Strategy 3 (section 6.2): every node owns Q/S of the partitions, give or take one. Which ones follows from the
   members' names alone, so nodes that know the same members agree without talking.
3. A key's preference list is the distinct *physical* nodes met clockwise from its partition: the first N are its
   homes (primaries), the others stand in for them, in that order.

Dynamo (SOSP 2007), sections 4.2, 4.3 and 6.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from store.config import Config, ConfigError, Member


def position(key: bytes) -> int:
    """Where a key lies on the ring: 0 to 2**128 - 1."""
    return int.from_bytes(hashlib.md5(key, usedforsecurity=False).digest())


RING_SIZE = 1 << 128
Range = tuple[int, int]
"""A stretch of the ring: from the first position up to and without the second."""


class Ring:
    """An assignment of partitions to members. Lookups are O(1): every partition's walk is made once.

    No members: the ring of a node that knows no cluster yet; no key has a home there.
    Raises ConfigError for fewer than N members, or two of one name or one address: such a machine would count twice
    toward a quorum.
    """

    def __init__(self, members: Iterable[Member], config: Config) -> None:
        given = sorted(members)
        self.members = {member.name: member for member in given}
        if len(self.members) < len(given):
            raise ConfigError("two members have the same name; every node needs its own")
        if len({member.address for member in given}) < len(given):
            raise ConfigError("two members have the same address; every node needs its own")
        if given:
            config.fits(len(self.members))
        self.n = config.n
        self._config = config
        self.partitions = config.partitions
        self.owners = _assign(sorted(self.members), config.partitions) if given else []
        self._walks = [self._walk(partition) for partition in range(config.partitions)]

    def joined(self, member: Member) -> Ring:
        """The ring after that member has joined: only what it takes over moves."""
        return Ring([*self.members.values(), member], self._config)

    def left(self, name: str) -> Ring:
        """The ring after that member has left: only what it held moves."""
        return Ring((m for m in self.members.values() if m.name != name), self._config)

    def range(self, partition: int) -> Range:
        """Where a partition begins and ends."""
        return (-(-partition * RING_SIZE // self.partitions), -(-(partition + 1) * RING_SIZE // self.partitions))

    def preference_of(self, partition: int) -> tuple[str, ...]:
        """All nodes in the partition's order of preference."""
        return self._walks[partition]

    def partition(self, key: bytes) -> int:
        """The partition that a key falls into."""
        return position(key) * self.partitions >> 128

    def preference(self, key: bytes) -> tuple[str, ...]:
        """All nodes in the key's order of preference, each once; the first N are its homes."""
        return self._walks[self.partition(key)]

    def homes(self, key: bytes) -> tuple[str, ...]:
        """The N nodes that should hold the key."""
        return self.preference(key)[: self.n]

    def _walk(self, start: int) -> tuple[str, ...]:
        if not self.members:
            return ()
        met: dict[str, None] = {}
        for step in range(self.partitions):
            met[self.owners[(start + step) % self.partitions]] = None
            if len(met) == len(self.members):
                break
        # With fewer partitions than members some own none; they still stand in, last.
        return tuple(met | dict.fromkeys(self.members))


def _assign(names: list[str], partitions: int) -> list[str]:
    """Deal the partitions out in rounds; each round visits all nodes in an order of its own, so that a node's
    neighbours on the ring, and with them its share of a failed node's load, vary."""
    owners: list[str] = []
    for turn in range(-(-partitions // len(names))):
        owners += sorted(names, key=lambda name: hashlib.md5(f"{turn}/{name}".encode()).digest())
    return owners[:partitions]
