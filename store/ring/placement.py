"""Placement: where nodes' tokens lie on the ring, and how strategy 3 deals out its partitions.

1. The result follows from the members and, for strategy 3, from the order in which they joined and left. So nodes that
   know the same history agree without exchanging anything.
2. A node's share of the partitions is in proportion to its capacity (section 4.2). After a deal no node is a whole
   partition off its share. Nor is it after a join or leave among nodes of one capacity.
3. If capacities differ, shares may drift a little further over a long history: whole partitions that move only to or
   from one node can't always even them out.
4. A join moves only the newcomer's partitions, taken from the nodes furthest above their shares. A leave moves only the
   leaver's, given to the nodes furthest below theirs.
5. Within N consecutive partitions one node owns two only if that can't be avoided, and one zone owns as few as
   possible. The order in which nodes follow each other varies, so many nodes share the load of one that fails.

Dynamo (SOSP 2007), sections 4.2 and 6.2.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from splitbrain.store.config import Member

Members = Mapping[str, Member]
"""By name."""

_AHEAD = 32
"""How many of the next tokens are tried on a partition before one that crowds is taken. To search all of them would be
quadratic where capacities or zones leave no better one.
"""


def tokens(members: Iterable[Member], each: int) -> list[tuple[int, str]]:
    """Random tokens on the ring, for strategies 1 and 2: positions and their nodes, clockwise.

    each: T, the number of a node's tokens for each unit of its capacity. O(tokens * log tokens).
    """
    at: dict[int, str] = {}
    for member in members:
        for number in range(each * member.capacity):
            at.setdefault(_draw(f"{member.name}/{number}"), member.name)
    return sorted(at.items())


def deal(members: Members, partitions: int, n: int) -> list[str]:
    """Owners by partition, for a cluster that begins with those members. O(partitions * N)."""
    counts = _given(dict.fromkeys(members, 0), members, partitions)
    return _seat([""] * partitions, range(partitions), _shuffled(counts), members, n)


def take(owners: Sequence[str], members: Members, newcomer: Member, n: int) -> list[str]:
    """Owners by partition after the newcomer has joined.

    It takes the partitions where it crowds its neighbours least. O(partitions * N) at worst; with many members only the
    partitions of the nodes that give are looked at.
    """
    owners = list(owners)
    members = {**members, newcomer.name: newcomer}
    to_give = _taken(owners, members, newcomer)
    draws = hashlib.shake_128(newcomer.name.encode()).digest(4 * len(owners))
    candidates = [
        (_gain(owners, at, owner, newcomer.name, members, n), draws[4 * at : 4 * at + 4], at)
        for at, owner in enumerate(owners)
        if owner in to_give
    ]
    heapq.heapify(candidates)
    while to_give:
        gain, draw, at = heapq.heappop(candidates)
        giver = owners[at]
        if giver not in to_give:
            continue
        # What is taken nearby meanwhile can only make a place worse, so one that is not worse now is the best of all.
        now = _gain(owners, at, giver, newcomer.name, members, n)
        if now > gain:
            heapq.heappush(candidates, (now, draw, at))
            continue
        owners[at] = newcomer.name
        to_give[giver] -= 1
        if not to_give[giver]:
            del to_give[giver]
    return owners


def hand_on(owners: Sequence[str], members: Members, leaver: str, n: int) -> list[str]:
    """Owners by partition after the leaver has left; members: those that remain. O(partitions * N)."""
    owners = ["" if owner == leaver else owner for owner in owners]
    vacant = [at for at, owner in enumerate(owners) if not owner]
    counts = Counter(owners)
    given = _given({name: counts[name] for name in members}, members, len(owners))
    return _seat(owners, vacant, _shuffled(given), members, n)


def _given(counts: Mapping[str, int], members: Members, partitions: int) -> dict[str, int]:
    """How many of the partitions without an owner each node gets: each goes to the node furthest below its share.

    counts: what each owns already. Distances are in units of one partition over the total capacity, so they are
    integers.
    """
    total = sum(member.capacity for member in members.values())
    surplus = [(counts[name] * total - member.capacity * partitions, name) for name, member in members.items()]
    heapq.heapify(surplus)
    given: Counter[str] = Counter()
    for _ in range(partitions - sum(counts.values())):
        above, name = surplus[0]
        heapq.heapreplace(surplus, (above + total, name))
        given[name] += 1
    return dict(given)


def _taken(owners: Sequence[str], members: Members, newcomer: Member) -> dict[str, int]:
    """How many partitions each node gives to the newcomer.

    The node furthest above its share gives, for as long as that brings the two closer to each other.
    """
    counts = Counter(owners)
    total = sum(member.capacity for member in members.values())
    surplus = [
        (member.capacity * len(owners) - counts[name] * total, name)
        for name, member in members.items()
        if name != newcomer.name
    ]
    heapq.heapify(surplus)
    own = newcomer.capacity * len(owners)
    taken: Counter[str] = Counter()
    while surplus[0][0] + total < own:
        below, name = surplus[0]
        heapq.heapreplace(surplus, (below + total, name))
        own -= total
        taken[name] += 1
    return dict(taken)


def _shuffled(counts: Mapping[str, int]) -> list[str]:
    """Each name as often as it counts, at even distances with a random offset, so that neighbours vary."""
    order = sorted(
        ((number + _draw(f"{name}/{number}") / 2**128) / count, name)
        for name, count in counts.items()
        for number in range(count)
    )
    return [name for _, name in order]


def _seat(owners: list[str], vacant: Sequence[int], waiting: list[str], members: Members, n: int) -> list[str]:
    """Fill the vacant partitions with the waiting names, about in their order."""
    for at in vacant:
        best, least = 0, -1
        for index, name in enumerate(waiting[:_AHEAD]):
            crowding = _crowding(owners, at, name, members, n)
            if least < 0 or crowding < least:
                best, least = index, crowding
            if not crowding:
                break
        owners[at] = waiting.pop(best)
    # Those seated last had little choice left, and have the first of the ring behind them: they change seats.
    for at in vacant[-_AHEAD:]:
        if _crowding(owners, at, owners[at], members, n):
            others = vacant[-4 * _AHEAD :]
            more, best = min((_exchanged(owners, at, other, members, n), other) for other in others)
            if more < 0:
                owners[at], owners[best] = owners[best], owners[at]
    return owners


def _exchanged(owners: list[str], one: int, other: int, members: Members, n: int) -> int:
    """How much more crowded the ring is once two partitions have exchanged owners."""
    exchanged = list(owners)
    exchanged[one], exchanged[other] = owners[other], owners[one]
    return sum(
        _crowding(exchanged, at, exchanged[at], members, n) - _crowding(owners, at, owners[at], members, n)
        for at in (one, other)
    )


def _gain(owners: Sequence[str], at: int, giver: str, taker: str, members: Members, n: int) -> int:
    """How much more crowded the ring is once a partition goes from one to the other; negative: less."""
    return _crowding(owners, at, taker, members, n) - _crowding(owners, at, giver, members, n)


def _crowding(owners: Sequence[str], at: int, name: str, members: Members, n: int) -> int:
    """How often a node would meet itself, or its zone, within N partitions, as the owner of this partition.

    A nearer meeting weighs more; any meeting of itself weighs more than all of its zone. 0: none. O(N).
    """
    zone = members[name].zone
    crowding = 0
    for distance in range(1, min(n, len(owners))):
        for neighbour in (owners[at - distance], owners[(at + distance) % len(owners)]):
            if neighbour == name:
                crowding += (n - distance) * n * n
            elif zone and neighbour and members[neighbour].zone == zone:
                crowding += n - distance
    return crowding


def _draw(text: str) -> int:
    """A number below 2**128 that looks random and is the same everywhere."""
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest())
