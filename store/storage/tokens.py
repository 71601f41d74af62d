"""Token ownership: the ranges of the ring that this node answers for.

1. Every position on the ring has N tokens, numbered 0 to N-1. The node that holds one answers gets and puts there as a
   primary replica. A quorum counts distinct tokens, not names: the node that handed a token on and the node that has it
   now are one replica, whatever ring the coordinator believes in.
2. A node holds at most one token of a position.
3. A token is held once that is durable. It is no longer held from the moment in which it is given away.
4. A node of a new cluster holds what its ring gives it. It is `fresh` until it has seen that no other node holds these
   tokens. A node whose disk was lost looks new as well, and may answer from an empty disk until then.

Adjacent ranges of one token are joined to one. So a ring whose ranges are cut anew (strategy 1) changes nothing here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from splitbrain.store.actions import Reader, Record
from splitbrain.store.ring.ring import Range, Ring, position
from splitbrain.store.storage.engine import DamagedRecord
from splitbrain.store.storage.replica import Replica

OWNERSHIP = "holdings"
"""The engine's space for this node's tokens. Disks in use have it under this name."""
RANGE_END_BYTES = 17
"""The bytes of a position where a range may end: one more than a key's, for the end of the ring, 2**128."""
_FRESH = b"fresh"


def pack(token_range: Range) -> tuple[bytes, bytes]:
    """A range as bytes, for messages and records."""
    return token_range[0].to_bytes(RANGE_END_BYTES), token_range[1].to_bytes(RANGE_END_BYTES)


def unpack(span: tuple[bytes, bytes]) -> Range:
    """A range from the bytes of `pack`."""
    return int.from_bytes(span[0]), int.from_bytes(span[1])


class Token(NamedTuple):
    """Token `slot` of every position from start up to and without end."""

    start: int
    end: int
    slot: int

    @property
    def range(self) -> Range:
        """The token's range."""
        return self.start, self.end


class TokenOwnership:
    """The tokens that this node holds.

    fresh: see rule 4. version: grows with every change, so two looks can tell that nothing moved between them. known:
    whether this disk has ever held a token.
    """

    def __init__(self, reader: Reader, replica: Replica) -> None:
        self._replica = replica
        self._tokens: list[Token] = []
        # What the disk will hold once all commits so far are done.
        self._planned: list[Token] = []
        self._starts: list[int] = []
        self._closed: list[Range] = []
        self.fresh = False
        self.version = 0
        self.known = False
        try:
            for key, value in reader.scan(OWNERSHIP):
                self.known = True
                if key == _FRESH:
                    self.fresh = True
                else:
                    end, slot = msgspec.msgpack.decode(value, type=tuple[bytes, int])
                    self._tokens.append(Token(int.from_bytes(key), int.from_bytes(end), slot))
        except DamagedRecord:
            self._tokens = []
        self._planned = list(self._tokens)
        self._index()

    def begin(self, ring: Ring, name: str) -> None:
        """Hold the tokens that the ring of a new cluster gives this node."""
        for partition in range(ring.partitions):
            primaries = ring.preference_of(partition)[: ring.n]
            if name in primaries:
                self._tokens = _with(self._tokens, Token(*ring.range(partition), primaries.index(name)))
        self.fresh = self.known = True
        self._index()
        self._replica.store((Record(OWNERSHIP, _FRESH, b""), *self._plan(self._tokens)), lambda: None)

    def settle(self) -> None:
        """No other node holds the tokens that this node began with: it is not fresh any more."""
        if self.fresh:
            self.fresh = False
            self._replica.store((Record(OWNERSHIP, _FRESH, None),), lambda: None)

    def slot(self, key: bytes) -> int | None:
        """The number of the key's token that this node holds; None if it holds none. O(log tokens)."""
        return self.slot_at(position(key))

    def slot_at(self, at: int) -> int | None:
        """The number of the position's token that this node holds."""
        index = bisect_right(self._starts, at) - 1
        return self._tokens[index].slot if index >= 0 and at < self._tokens[index].end else None

    def writable(self, key: bytes) -> bool:
        """Whether this node holds a token of the key, and is not about to give it up."""
        at = position(key)
        return self.slot_at(at) is not None and not any(start <= at < end for start, end in self._closed)

    def close(self, token_range: Range) -> None:
        """Take no more writes in that range: its token is about to be given up."""
        self._closed.append(token_range)

    def reopen(self, token_range: Range) -> None:
        """Undo `close`: the token stays, or is given up by now."""
        if token_range in self._closed:
            self._closed.remove(token_range)

    def within(self, token_range: Range) -> list[Token]:
        """The tokens held in a range, cut to it."""
        first = max(0, bisect_right(self._starts, token_range[0]) - 1)
        return _within(self._tokens[first:], token_range)

    def lacking(self, token_range: Range) -> list[Range]:
        """The parts of a range without a token held here."""
        return without(token_range, self.within(token_range))

    @property
    def tokens(self) -> list[Token]:
        """All tokens, in ring order."""
        return list(self._tokens)

    def take(self, token: Token, beside: Iterable[Record], done: Callable[[], None]) -> None:
        """Hold a token once it is durable, together with the records beside it."""

        def durable() -> None:
            # Unless the token was given up again meanwhile.
            for part in _within(self._planned, (token.start, token.end)):
                if part.slot == token.slot:
                    self._become(_with(self._tokens, part))
            done()

        self._replica.store((*self._plan(_with(self._planned, token)), *beside), durable)

    def drop(self, token_range: Range, beside: Iterable[Record], done: Callable[[], None]) -> None:
        """Give up the tokens of a range at once. done: called once that is durable."""
        self._become(_without(self._tokens, token_range))
        self._replica.store((*self._plan(_without(self._planned, token_range)), *beside), done)

    def _become(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self.version += 1
        self._index()

    def _plan(self, tokens: list[Token]) -> list[Record]:
        """The records that make the disk hold those tokens."""
        before, kept = set(self._planned), {token.start for token in tokens}
        gone = [Record(OWNERSHIP, _key(token.start), None) for token in self._planned if token.start not in kept]
        self._planned = list(tokens)
        return gone + [_record(token) for token in tokens if token not in before]

    def _index(self) -> None:
        self._tokens.sort()
        self._starts = [token.start for token in self._tokens]


def without(token_range: Range, tokens: Iterable[Token]) -> list[Range]:
    """The parts of a range that no token covers. tokens: in ring order, at most one for each position."""
    left, at = [], token_range[0]
    for token in tokens:
        if token.start > at:
            left.append((at, min(token.start, token_range[1])))
        at = max(at, token.end)
        if at >= token_range[1]:
            return left
    return [*left, (at, token_range[1])]


def overlap(token: Token, other: Token | Range) -> bool:
    """Whether they share a position."""
    return token.start < other[1] and other[0] < token.end


def _within(tokens: Iterable[Token], token_range: Range) -> list[Token]:
    start, end = token_range
    return [Token(max(start, t.start), min(end, t.end), t.slot) for t in tokens if t.end > start and t.start < end]


def _without(tokens: Iterable[Token], token_range: Range) -> list[Token]:
    start, end = token_range
    left = []
    for token in tokens:
        before = Token(token.start, min(token.end, start), token.slot)
        behind = Token(max(token.start, end), token.end, token.slot)
        left += [part for part in (before, behind) if part.start < part.end]
    return left


def _with(tokens: Iterable[Token], token: Token) -> list[Token]:
    joined: list[Token] = []
    for each in sorted([*_without(tokens, (token.start, token.end)), token]):
        if joined and joined[-1].end == each.start and joined[-1].slot == each.slot:
            joined[-1] = Token(joined[-1].start, each.end, each.slot)
        else:
            joined.append(each)
    return joined


def _key(at: int) -> bytes:
    return at.to_bytes(RANGE_END_BYTES)


def _record(token: Token) -> Record:
    return Record(OWNERSHIP, _key(token.start), msgspec.msgpack.encode((_key(token.end), token.slot)))
