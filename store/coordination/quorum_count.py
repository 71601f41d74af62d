"""The tally: what the answers to one request count for.

1. A node that holds a token of the key counts for that token: two that answered for one token, before and after it
   changed hands, are one replica (`tokens`).
2. A stand-in counts for the home whose place it takes, unless that home counts itself; in a strict quorum it counts
   for nothing, the coordinator's own hint no more than another's: two strict quorums must meet.
3. A home that holds no token yet is written to, and counts for nothing: until it has all that the token's holder
   acknowledged, its word would hide writes. Only where nodes fail, and the quorum is sloppy, is it as good as any
   stand-in.
"""

from __future__ import annotations


class Tally:
    """Answers to one request. sloppy: whether others than holders count. All names are nodes'."""

    def __init__(self, sloppy: bool) -> None:
        self._sloppy = sloppy
        self._slots: set[int] = set()
        self._holders: set[str] = set()
        self._stand_ins: set[str] = set()
        self._homes_without: set[str] = set()

    def holder(self, node: str, slot: int) -> None:
        """The node answered, and holds that token."""
        self._slots.add(slot)
        self._holders.add(node)

    def stand_in(self, home: str) -> None:
        """A node answered in the place of that home."""
        self._stand_ins.add(home)

    def home_without(self, home: str) -> None:
        """The home answered, and holds no token."""
        self._homes_without.add(home)

    @property
    def primaries(self) -> int:
        """How many tokens answered."""
        return len(self._slots)

    def replicas(self, *, homes_without: bool = False) -> int:
        """How many count, stand-ins among them. homes_without: also homes that hold no token yet."""
        if not self._sloppy:
            return len(self._slots)
        others = self._stand_ins | self._homes_without if homes_without else self._stand_ins
        return len(self._slots) + len(others - self._holders)
