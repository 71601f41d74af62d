"""Resolvers: how a client makes one value of the siblings that a get returned.

The store reconciles syntactically: a version that another one replaced is gone. The rest is concurrent, and only the
application knows what that means (semantic reconciliation). A resolver

1. takes *all* siblings of one get, and the put that follows takes the one context that covers them all. With the
   context of only some, the others would again be siblings of the merged value, and be merged into it again;
2. gives the same result for the same siblings in any order, so that two clients that resolve at once agree;
3. has an empty value, for a key without a value.

Dynamo (SOSP 2007), sections 2.3 and 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from splitbrain.store.versions.crdts import Crdt

T = TypeVar("T")
C = TypeVar("C", bound=Crdt)


class Sibling(NamedTuple):
    """One of the concurrent values of a key. stamp: its coordinator's clock, in nanoseconds (`dotted.Version`)."""

    value: bytes
    stamp: int


@dataclass(frozen=True, slots=True)
class Resolver(Generic[T]):
    """How to resolve, and how to store the result.

    resolve: from the siblings (none for a key without a value) to what the application works with. encode: the bytes to
    store; None deletes the key.
    """

    resolve: Callable[[Sequence[Sibling]], T]
    encode: Callable[[T], bytes | None]


@dataclass(frozen=True, slots=True)
class Resolved(Generic[T]):
    """What a resolver made of one get. value: resolved from all siblings. context: covers all of them."""

    value: T
    context: bytes


def _one(values: tuple[bytes, ...]) -> bytes | None:
    if len(values) > 1:
        raise ValueError(f"{len(values)} values to store under one key: make one of them")
    return values[0] if values else None


def _newest(siblings: Sequence[Sibling]) -> bytes | None:
    newest = max(siblings, key=lambda sibling: (sibling.stamp, sibling.value), default=None)
    return None if newest is None else newest.value


siblings: Resolver[tuple[bytes, ...]] = Resolver(lambda found: tuple(sorted(s.value for s in found)), _one)
"""All of them, sorted; the application makes a tuple of one or none."""

lww: Resolver[bytes | None] = Resolver(_newest, lambda value: value)
"""Last write wins: the newest by stamp; of two as new, the larger. The others are lost with the next update.

A stamp is as good as the cluster's `lww_clock`: a hybrid clock never prefers a cause to its effect, but of concurrent
writes it prefers whichever coordinator's clock was ahead."""


def merge(function: Callable[[list[bytes]], bytes]) -> Resolver[bytes | None]:
    """The application's own rule. function: called with all siblings, sorted, if there are several.

    It should be commutative, associative and idempotent (`crdts`): its result is a sibling for the next merge.
    """

    def resolve(found: Sequence[Sibling]) -> bytes | None:
        values = sorted(sibling.value for sibling in found)
        return function(values) if len(values) > 1 else (values[0] if values else None)

    return Resolver(resolve, lambda value: value)


def crdt(kind: type[C]) -> Resolver[C]:
    """CRDTs of that kind. `resolve` raises `crdts.CrdtError` if a sibling is not of that kind."""

    def resolve(found: Sequence[Sibling]) -> C:
        value = kind()
        for sibling in found:
            value = value.merge(kind.decode(sibling.value))
        return value

    return Resolver(resolve, lambda value: value.encode())
