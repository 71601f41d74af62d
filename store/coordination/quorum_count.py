"""The quorum counter: what the answers to one request count for.

1. A node that holds a token of the key counts for that token. Two that answered for one token, before and after it
   changed hands, are one replica (`tokens`).
2. A fallback counts for the primary replica whose place it takes, unless that primary counts itself. In a strict
   quorum it counts for nothing, the coordinator's own hint no more than another's: two strict quorums must meet.
3. A fallback that holds nothing counts toward R only once no primary is pending. Otherwise an empty node's quick
   "not found" would win over the primaries that have the key.
4. A primary that holds no token yet is written to, and counts for nothing. Until it has all that the token's holder
   acknowledged, its answer would hide writes. Only where nodes fail, and the quorum is sloppy, does it count as a
   fallback does.
"""

from __future__ import annotations

from typing import NamedTuple

from splitbrain.store.coordination.quorum import Quorum


class Counts(NamedTuple):
    """How many replicas count, how many tokens answered among them, and how many replicas hold a write durably."""

    replicas: int
    primaries: int
    durable: int


class QuorumCounter:
    """Counts the answers to one request. All names are nodes'."""

    def __init__(self, quorum: Quorum) -> None:
        self._quorum = quorum
        self._all = _Answers()
        self._durable = _Answers()
        self._empty_fallbacks: set[str] = set()

    def count(self, node: str, owner: str | None, slot: int | None, *, durable: bool = False) -> None:
        """The node answered. owner: for whom it stands in, if it does. slot: of the token it holds, if any.

        durable: whether it holds a write durably.
        """
        for answers in (self._all, self._durable) if durable else (self._all,):
            if slot is not None:
                answers.slots.add(slot)
                answers.holders.add(node)
            elif owner is not None:
                answers.fallbacks.add(owner)
            else:
                answers.without_token.add(node)

    def count_empty(self, owner: str) -> None:
        """A fallback for the owner answered, and holds nothing of the key."""
        self._empty_fallbacks.add(owner)

    def none_pending(self) -> None:
        """No primary may still answer: fallbacks that hold nothing count from now on."""
        self._all.fallbacks |= self._empty_fallbacks

    def counts(self, *, degraded: bool) -> Counts:
        """How many count so far. degraded: whether some that were asked did not reply."""
        replicas, durable = (self._replicas(answers, degraded) for answers in (self._all, self._durable))
        return Counts(replicas, len(self._all.slots), durable)

    def _replicas(self, answers: _Answers, degraded: bool) -> int:
        if not self._quorum.sloppy:
            return len(answers.slots)
        others = answers.fallbacks | answers.without_token if degraded else answers.fallbacks
        return len(answers.slots) + len(others - answers.holders)


class _Answers:
    """slots: of the tokens that answered. holders: who holds them. fallbacks: the primaries that others stood in for.

    without_token: primaries that answered, and hold no token.
    """

    __slots__ = ("fallbacks", "holders", "slots", "without_token")

    def __init__(self) -> None:
        self.slots: set[int] = set()
        self.holders: set[str] = set()
        self.fallbacks: set[str] = set()
        self.without_token: set[str] = set()
