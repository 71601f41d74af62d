"""The ring: which nodes hold a key.

1. A key's position is its MD5, 128 bits. Ranges tile the ring from 0 to 2**128, and each key falls into one. No range
   wraps over 0: one that would is cut there in two.
2. Tokens lie on the ring, each of one node. Walking clockwise from the end of a range, a node is reached at its first
   token (virtual node).
3. A key's preference list is the distinct *physical* nodes in that order. The first N are its primary replicas (its
   `primaries`); the others are its fallbacks. No machine is in it twice, or W could be met by one machine.
4. If members lie in different zones, a node is passed over while its zone has a primary replica already and another
   zone has none. Nodes passed over fill up the N, in order, and come before the fallbacks.
5. How the ring is cut, and who gets the tokens, is the strategy (section 6.2). Strategy 1: T random tokens a node;
   ranges end at tokens, so a join cuts ranges of others. Strategy 2: T random tokens a node; Q equal ranges. Strategy
   3: Q equal ranges with a token at the end of each, Q/S of them a node, and whole ranges change hands (`placement`).
6. Strategies 1 and 2 depend on who is a member; strategy 3 also on the order of joins and leaves.

Dynamo (SOSP 2007), sections 4.2, 4.3, 4.6 and 6.2.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import chain, islice

from splitbrain.store.config import Config, ConfigError, Member
from splitbrain.store.ring import placement


@lru_cache(maxsize=1024)  # One request asks for its key's position half a dozen times.
def position(key: bytes) -> int:
    """Where a key lies on the ring: 0 to 2**128 - 1."""
    return int.from_bytes(hashlib.md5(key, usedforsecurity=False).digest())


RING_SIZE = 1 << 128
Range = tuple[int, int]
"""A range of positions: from the first up to and without the second."""


class Ring:
    """An assignment of partitions to members. A partition's preference list is made when it is first asked for, and
    kept.

    members: none make the ring of a node that knows no cluster yet; no key has a replica there. dealt: for strategy 3,
    the owners by partition after a history of joins and leaves.

    n: the number of primary replicas. partitions: how many ranges there are.

    Raises ConfigError for fewer than N members, or two of one name or one address: such a machine would count twice
    toward a quorum.
    """

    def __init__(self, members: Iterable[Member], config: Config, *, dealt: list[str] | None = None) -> None:
        given = sorted(members, key=lambda member: member.name)
        self.members = {member.name: member for member in given}
        if len(self.members) < len(given):
            raise ConfigError("two members have the same name; every node needs its own")
        if len({member.address for member in given}) < len(given):
            raise ConfigError("two members have the same address; every node needs its own")
        if given:
            config.fits(len(given))
        self.n = config.n
        self._config = config
        self._dealt = dealt
        self._primaries: dict[int, tuple[str, ...]] = {}
        self._preferences: dict[int, tuple[str, ...]] = {}

    def joined(self, member: Member) -> Ring:
        """The ring after that member has joined. Strategy 3: partitions move to it only."""
        members = [*self.members.values(), member]
        if self._config.strategy != 3 or not self.members or member.name in self.members:
            return Ring(members, self._config)
        return Ring(members, self._config, dealt=placement.take(self.owners, self.members, member, self.n))

    def left(self, name: str) -> Ring:
        """The ring after that member has left. Strategy 3: its partitions move only."""
        remaining = {other: member for other, member in self.members.items() if other != name}
        if self._config.strategy != 3 or not remaining:
            return Ring(remaining.values(), self._config)
        return Ring(remaining.values(), self._config, dealt=placement.hand_on(self.owners, remaining, name, self.n))

    @cached_property
    def partitions(self) -> int:
        """How many ranges there are. Strategy 1: one a token, and one more as the ring is cut at 0."""
        return len(self._ends) if self._config.strategy == 1 else self._config.partitions

    def range(self, partition: int) -> Range:
        """Where a partition begins and ends."""
        if self._config.strategy == 1:
            return (self._ends[partition - 1] if partition else 0, self._ends[partition])
        return (-(-partition * RING_SIZE // self.partitions), -(-(partition + 1) * RING_SIZE // self.partitions))

    def partition_at(self, at: int) -> int:
        """The partition that a position lies in. Strategy 1: O(log partitions); else O(1)."""
        if self._config.strategy == 1:
            return bisect_right(self._ends, at)
        return at * self.partitions >> 128

    def partition(self, key: bytes) -> int:
        """The partition that a key falls into."""
        return self.partition_at(position(key))

    @cached_property
    def owners(self) -> list[str]:
        """The first primary replica of each partition; none without members."""
        return [self._clockwise[first] for first in self._first]

    def primaries_of(self, partition: int) -> tuple[str, ...]:
        """The N primary replicas of a partition, its owner first. O(N) the first time, without zones."""
        primaries = self._primaries.get(partition)
        if primaries is None:
            primaries = self._primaries[partition] = self._spread(self._met(partition))
        return primaries

    def preference_of(self, partition: int) -> tuple[str, ...]:
        """All nodes in the partition's order of preference."""
        preference = self._preferences.get(partition)
        if preference is None:
            met = chain(self.primaries_of(partition), self._met(partition))
            preference = self._preferences[partition] = tuple(dict.fromkeys(met))
        return preference

    def primaries(self, key: bytes) -> tuple[str, ...]:
        """The N primary replicas of a key."""
        return self.primaries_of(self.partition(key))

    def preference(self, key: bytes) -> tuple[str, ...]:
        """All nodes in the key's order of preference, each once; the first N are its primary replicas."""
        return self.preference_of(self.partition(key))

    @cached_property
    def _tokens(self) -> list[tuple[int, str]]:
        """Strategies 1 and 2."""
        return placement.tokens(self.members.values(), self._config.tokens)

    @cached_property
    def _clockwise(self) -> list[str]:
        """The tokens' nodes, clockwise."""
        if self._config.strategy != 3:
            return [name for _, name in self._tokens]
        if self._dealt is None and self.members:
            self._dealt = placement.deal(self.members, self._config.partitions, self.n)
        return self._dealt or []

    @cached_property
    def _ends(self) -> list[int]:
        """Strategy 1: where ranges end, at each token, and where the ring is cut."""
        return [at for at, _ in self._tokens if at] + [RING_SIZE]

    @cached_property
    def _first(self) -> Sequence[int]:
        """The number of the first token after each partition's end; none without members."""
        if self._config.strategy == 3 or not self.members:
            return range(len(self._clockwise))
        at = [at for at, _ in self._tokens]
        return [bisect_left(at, self.range(partition)[1]) % len(at) for partition in range(self.partitions)]

    @cached_property
    def _zones(self) -> int:
        return len({member.zone for member in self.members.values()})

    @cached_property
    def _tokenless(self) -> list[str]:
        """Members without a partition, where there are fewer partitions than members: the last fallbacks."""
        return sorted(self.members.keys() - set(self._clockwise))

    def _met(self, partition: int) -> Iterator[str]:
        """Every node, in the order in which it is met from the partition's end."""
        if not self.members:
            return iter(())
        met = clockwise(self._clockwise, self._first[partition])
        return chain(islice(met, len(self.members) - len(self._tokenless)), self._tokenless)

    def _spread(self, met: Iterable[str]) -> tuple[str, ...]:
        """The primary replicas, of nodes in the order in which they are met."""
        primaries: dict[str, str] = {}
        passed: list[str] = []
        for name in met:
            if primaries.setdefault(self.members[name].zone, name) != name:
                passed.append(name)
            if len(primaries) == min(self.n, self._zones) and len(primaries) + len(passed) >= self.n:
                break
        return (*primaries.values(), *passed)[: self.n]


def clockwise(tokens: Sequence[str], start: int) -> Iterator[str]:
    """Each node once, in the order in which its first token is met from the token numbered `start` on."""
    met: set[str] = set()
    for number in chain(range(start, len(tokens)), range(start)):
        if tokens[number] not in met:
            met.add(tokens[number])
            yield tokens[number]
