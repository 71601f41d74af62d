"""CRDTs: values whose siblings always merge into one, without losing an update.

A client that reads siblings has to make one value of them (`resolvers`). Other clients do the same, with other
siblings, in another order, and with values that were merged before. All of them arrive at the same value if

1. the values form a *semilattice*: `merge` is commutative, associative and idempotent, and gives the least value that
   contains both (Shapiro, Preguiça, Baquero, Zawirski: A comprehensive study of Convergent and Commutative Replicated
   Data Types, INRIA RR-7506, 2011; section 2, state-based objects);
2. every update only adds: the new value contains the old one.

So nothing can be taken away; what looks like a removal is an addition as well. A counter counts down by adding to a
second counter, which is subtracted. A set removes an element by adding the *tags* of what is removed.

Values are immutable: an update returns a new one. Equal values encode to equal bytes: kind, format version, msgpack. A
plain set union would not do for a shopping cart. An item that one client has removed is still in another client's
sibling, and the union takes it back in: Dynamo's carts lost no additions, but removed items came back (section 4.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self, TypeVar

import msgspec

FORMAT = 1

T = TypeVar("T")


class CrdtError(ValueError):
    """The stored bytes are not the expected CRDT: names the cause and the remedy."""


class Crdt(Protocol):
    """A value that merges. Without arguments: the value of a key that holds nothing, the merge's neutral element."""

    def __init__(self) -> None: ...
    def merge(self, other: Self, /) -> Self: ...
    def encode(self) -> bytes: ...
    @classmethod
    def decode(cls, data: bytes, /) -> Self: ...


@dataclass(frozen=True, slots=True)
class GrowSet:
    """A set that elements are added to and never removed from: the G-Set (Shapiro et al., section 3.3.1).

    >>> sorted(GrowSet().add(b"milk").merge(GrowSet().add(b"eggs")).elements)
    [b'eggs', b'milk']
    """

    elements: frozenset[bytes] = frozenset()

    KIND: ClassVar[bytes] = b"G"
    _body: ClassVar = msgspec.msgpack.Decoder(list[bytes])

    def add(self, element: bytes) -> GrowSet:
        """With the element."""
        return GrowSet(self.elements | {element})

    def merge(self, other: GrowSet) -> GrowSet:
        """The union."""
        return GrowSet(self.elements | other.elements)

    def encode(self) -> bytes:
        return _encode(self.KIND, sorted(self.elements))

    @classmethod
    def decode(cls, data: bytes) -> GrowSet:
        """Raises CrdtError."""
        elements: list[bytes] = _decode(cls.KIND, cls._body, data, "grow set")
        return cls(frozenset(elements))


@dataclass(frozen=True, slots=True)
class ORSet:
    """A set with add and remove in which adds win: the OR-Set, observed-remove (Shapiro et al., section 3.3.5).

    Every add enters the element under a tag that no other add has. A remove deletes the tags that it can see, and no
    others: if an add and a remove are concurrent, the add stays.

    tags: the tags under which each element is in the set. removed: the tags that were removed. They are kept for good:
    otherwise a sibling that still has one would bring the element back (Bieniusa et al., 2012, replaced them by version
    vectors).

    >>> cart = ORSet().add(b"milk", b"tag 1")
    >>> one, other = cart.remove(b"milk"), cart.add(b"eggs", b"tag 2")
    >>> sorted(one.merge(other).elements)
    [b'eggs']
    """

    tags: Mapping[bytes, frozenset[bytes]] = field(default_factory=dict)
    removed: frozenset[bytes] = frozenset()

    KIND: ClassVar[bytes] = b"O"
    _body: ClassVar = msgspec.msgpack.Decoder(tuple[dict[bytes, list[bytes]], list[bytes]])

    @property
    def elements(self) -> frozenset[bytes]:
        """What is in the set."""
        return frozenset(self.tags)

    def add(self, element: bytes, tag: bytes) -> ORSet:
        """With the element. tag: one that no other add has, such as 16 random bytes.

        To repeat an add changes nothing, even if the element was removed since. An element that is in the set already
        keeps only the new tag: that is less to store, and a concurrent remove of the old tags does not remove it.
        """
        if tag in self.removed:
            return self
        before = self.tags.get(element, frozenset())
        return ORSet({**self.tags, element: frozenset({tag})}, self.removed | (before - {tag}))

    def remove(self, element: bytes) -> ORSet:
        """Without the element, as far as this value knows it."""
        tags = {e: t for e, t in self.tags.items() if e != element}
        return ORSet(tags, self.removed | self.tags.get(element, frozenset()))

    def merge(self, other: ORSet) -> ORSet:
        """The elements that either has seen added, without the tags that either has seen removed."""
        removed = self.removed | other.removed
        tags = {}
        for element in {**self.tags, **other.tags}:
            left = (self.tags.get(element, frozenset()) | other.tags.get(element, frozenset())) - removed
            if left:
                tags[element] = left
        return ORSet(tags, removed)

    def encode(self) -> bytes:
        return _encode(self.KIND, ({e: sorted(self.tags[e]) for e in sorted(self.tags)}, sorted(self.removed)))

    @classmethod
    def decode(cls, data: bytes) -> ORSet:
        """Raises CrdtError."""
        tags, removed = _decode(cls.KIND, cls._body, data, "OR-set")
        value = cls({element: frozenset(given) for element, given in tags.items()}, frozenset(removed))
        if not all(given and given.isdisjoint(value.removed) for given in value.tags.values()):
            raise _not_a("OR-set", data)
        return value


@dataclass(frozen=True, slots=True)
class PNCounter:
    """A counter that goes up and down: the PN-Counter (Shapiro et al., section 3.1.3).

    Each actor has a count of its own, which only this actor changes and which only grows, so the larger of two is the
    later one. A single count would not do: if two clients each make 3 of a 2, one step is lost.

    An actor is one writer that makes each change on top of its own last one. A read may miss that last change (a sloppy
    quorum, or an answer that came after a timeout). A change on top of such a read counts as the same step again. So
    merge what you wrote last into what you read, or take a new actor.

    added, subtracted: by actor, at least 1.

    >>> two = PNCounter().add(b"a", 2)
    >>> two.add(b"a", 3).merge(two.add(b"b", -1)).value
    4
    """

    added: Mapping[bytes, int] = field(default_factory=dict)
    subtracted: Mapping[bytes, int] = field(default_factory=dict)

    KIND: ClassVar[bytes] = b"P"
    _body: ClassVar = msgspec.msgpack.Decoder(tuple[dict[bytes, int], dict[bytes, int]])

    @property
    def value(self) -> int:
        """The count."""
        return sum(self.added.values()) - sum(self.subtracted.values())

    def add(self, actor: bytes, amount: int = 1) -> PNCounter:
        """The counter plus the amount, which may be negative, in the actor's count."""
        if amount < 0:
            return PNCounter(self.added, {**self.subtracted, actor: self.subtracted.get(actor, 0) - amount})
        return PNCounter({**self.added, actor: self.added.get(actor, 0) + amount}, self.subtracted) if amount else self

    def merge(self, other: PNCounter) -> PNCounter:
        """The later of each actor's counts."""
        return PNCounter(_larger(self.added, other.added), _larger(self.subtracted, other.subtracted))

    def encode(self) -> bytes:
        return _encode(self.KIND, (dict(sorted(self.added.items())), dict(sorted(self.subtracted.items()))))

    @classmethod
    def decode(cls, data: bytes) -> PNCounter:
        """Raises CrdtError."""
        added, subtracted = _decode(cls.KIND, cls._body, data, "PN-counter")
        if any(count < 1 for counts in (added, subtracted) for count in counts.values()):
            raise _not_a("PN-counter", data)
        return cls(added, subtracted)


def _larger(left: Mapping[bytes, int], right: Mapping[bytes, int]) -> dict[bytes, int]:
    return {actor: max(left.get(actor, 0), right.get(actor, 0)) for actor in {**left, **right}}


def _encode(kind: bytes, body: object) -> bytes:
    return kind + bytes([FORMAT]) + msgspec.msgpack.encode(body)


def _decode(kind: bytes, decoder: msgspec.msgpack.Decoder[T], data: bytes, name: str) -> T:
    if data[:1] == kind and data[1:2] not in (b"", bytes([FORMAT])):
        raise CrdtError(f"a {name} of format {data[1]}, and this program knows format {FORMAT}: update it")
    if data[:2] != kind + bytes([FORMAT]):
        raise _not_a(name, data)
    try:
        return decoder.decode(data[2:])
    except msgspec.MsgspecError:
        raise _not_a(name, data) from None


def _not_a(name: str, data: bytes) -> CrdtError:
    return CrdtError(f"{data[:20]!r} is no {name}: is the key in other use? Read it with the resolver `siblings`")
