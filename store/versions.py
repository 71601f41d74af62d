"""Versions of one key: dotted version vectors.

1. A write has a dot, `(actor, counter)`, which no other write has, ever.
2. A replica's state for a key is the set of dots it has seen, and the versions among those that no later write has
   replaced.
3. Merging keeps a version that both hold, or that one holds and the other has never seen. It is commutative,
   associative and idempotent, so replicas converge whatever the order of messages.
4. A write replaces exactly the versions its context covers. A blind write (no context) replaces nothing: it becomes
   a sibling. A context of a get covers all siblings that it returned; that of a put covers what the put replaced and
   itself, and not a sibling which the same coordinator stored just before.
5. A write stored twice under one dot, by two coordinators, is one version. A client that goes to another node with a
   request may get two dots for it: they merge as two versions but read as one (`siblings`), and a write that
   replaces either replaces both.

Preguiça, Baquero, Almeida, Fonte, Gonçalves: Dotted Version Vectors (2010); Almeida, Shoker, Baquero: Delta State
Replicated Data Types (2018), section 7.2, for the causal context; Dynamo (SOSP 2007), section 4.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

# What a peer sends is added to and stored: beyond 64 bits it could not be encoded again.
Actor = Annotated[int, msgspec.Meta(ge=0)]
COUNTER_MAX = 1 << 53
Counter = Annotated[int, msgspec.Meta(ge=1, le=COUNTER_MAX)]
WALL_NS_MAX = 1 << 62
WallNs = Annotated[int, msgspec.Meta(ge=0, le=WALL_NS_MAX)]
Dot = tuple[Actor, Counter]


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A set of dots. clock: of each actor the dots 1..n. cloud: dots beyond those, sorted, with gaps below them.

    Built by `seen` and `join`, which keep it in one form, so that equal sets are equal values.
    """

    clock: dict[Actor, Counter] = {}
    cloud: tuple[Dot, ...] = ()

    def __contains__(self, dot: Dot) -> bool:
        return self.clock.get(dot[0], 0) >= dot[1] or dot in self.cloud

    def last(self, actor: int) -> int:
        """The highest counter of the actor; 0 if there is none."""
        return max([self.clock.get(actor, 0), *(counter for a, counter in self.cloud if a == actor)])


class Version(msgspec.Struct, frozen=True, array_like=True):
    """One write of a key.

    actor, counter: its dot. value: None is a tombstone. request_id: the client's, the same over every retry.
    coordinator: the node that gave the dot. wall_ns: that node's calendar clock, in nanoseconds.
    """

    actor: Actor
    counter: Counter
    value: bytes | None
    request_id: int
    coordinator: str
    wall_ns: WallNs

    @property
    def dot(self) -> Dot:
        return (self.actor, self.counter)


class VersionSet(msgspec.Struct, frozen=True, array_like=True):
    """All a replica knows of a key. Built by the functions below, which keep the versions in the order of their
    dots, so that equal states are equal values and encode to equal bytes."""

    seen: Seen = Seen()
    versions: tuple[Version, ...] = ()


NOTHING = Seen()
EMPTY = VersionSet()


def join(left: Seen, right: Seen) -> Seen:
    """The dots of both. O(actors + cloud)."""
    if left == right:
        return left
    clock = dict(left.clock)
    for actor, counter in right.clock.items():
        if counter > clock.get(actor, 0):
            clock[actor] = counter
    return _seen(clock, {*left.cloud, *right.cloud})


def merge(left: VersionSet, right: VersionSet) -> VersionSet:
    """The least state that knows all that both know. O(actors + versions)."""
    if left == right:
        return left
    mine = {version.dot: version for version in left.versions}
    theirs = {version.dot: version for version in right.versions}
    kept = [
        min(v, theirs.get(dot, v), key=_origin) for dot, v in mine.items() if dot in theirs or dot not in right.seen
    ]
    kept += [v for dot, v in theirs.items() if dot not in mine and dot not in left.seen]
    return _state(join(left.seen, right.seen), kept)


def write(
    state: VersionSet,
    context: Seen,
    *,
    dot: Dot,
    value: bytes | None,
    request_id: int,
    coordinator: str,
    wall_ns: int,
) -> tuple[VersionSet, Seen]:
    """One more write, under that dot, which replaces what `context` covers; none if the state has seen the dot.

    A dot must be one write's only: given to two, it makes replicas take the second for the first.
    Returns the state after it, and the context that covers the write and what it replaced.
    """
    covered = add(context, dot)
    if dot in state.seen:
        return state, covered
    replaced = {v.request_id for v in state.versions if v.dot in context}
    kept = [v for v in state.versions if v.dot not in context and v.request_id not in replaced]
    newest = max((v.wall_ns for v in state.versions), default=0)
    # A coordinator whose clock lags must not date a write before those it can see: a hybrid logical clock's rule.
    dated = min(max(wall_ns, newest + 1), WALL_NS_MAX)
    kept.append(Version(*dot, value, request_id, coordinator, dated))
    return _state(join(state.seen, covered), kept), covered


def next_dot(state: VersionSet, context: Seen, actor: int) -> Dot:
    """The actor's next dot of a key. The actor must hold the whole state in which it last made one."""
    return (actor, max(state.seen.last(actor), context.last(actor)) + 1)


def add(seen: Seen, dot: Dot) -> Seen:
    """The set with one more dot."""
    return _seen(dict(seen.clock), {*seen.cloud, dot})


def latest(state: VersionSet) -> VersionSet:
    """Last write wins: only the newest version by its coordinator's clock, dots breaking ties alike everywhere."""
    if len(state.versions) < 2:
        return state
    return VersionSet(state.seen, (max(state.versions, key=_age),))


def merge_latest(left: VersionSet, right: VersionSet) -> VersionSet:
    """Merge two states of which each keeps its newest version only."""
    if left == right:
        return left
    # By date alone. Where dates contradict what was seen (two coordinators dated one write on either side of another's
    # date), `merge` would drop both, or replicas would differ by the order in which states came.
    return latest(VersionSet(join(left.seen, right.seen), (*left.versions, *right.versions)))


def siblings(state: VersionSet) -> list[bytes]:
    """The live values a client sees: no tombstones, one value a request, in the order of dots."""
    values = {v.request_id: v.value for v in reversed(state.versions) if v.value is not None}
    return list(reversed(values.values()))


def _age(version: Version) -> tuple[int, Dot, str]:
    return (version.wall_ns, version.dot, version.coordinator)


def _origin(version: Version) -> tuple[int, str]:
    # Two coordinators that stored one write dated it differently; every replica must keep the same of the two.
    return (version.wall_ns, version.coordinator)


def _seen(clock: dict[int, int], cloud: Iterable[Dot]) -> Seen:
    """Takes the clock over. Dots that follow on from the clock move into it."""
    apart = []
    for actor, counter in sorted(cloud):
        last = clock.get(actor, 0)
        if counter == last + 1:
            clock[actor] = counter
        elif counter > last:
            apart.append((actor, counter))
    return Seen(dict(sorted(clock.items())), tuple(apart))


def _state(seen: Seen, versions: Iterable[Version]) -> VersionSet:
    return VersionSet(seen, tuple(sorted(versions, key=lambda v: v.dot)))
