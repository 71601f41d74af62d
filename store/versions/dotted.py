"""Versions of one key: dotted version vectors.

1. A write has a dot, `(actor, counter)`, which no other write ever has.
2. A replica's state for a key is the set of dots that it has seen, and the versions among those that no later write has
   replaced.
3. Merging keeps a version that both states hold, or that one holds and the other has never seen. It is commutative,
   associative and idempotent, so replicas converge whatever the order of messages.
4. A write replaces exactly the versions that its context covers. A blind write (no context) replaces nothing: it
   becomes a sibling.
5. The context of a get covers all siblings that it returned. The context of a put covers what the put replaced and
   itself, and not a sibling that the same coordinator stored just before.
6. A write that two coordinators took may have two dots. It carries the identity that its client gave it, and merges
   to one version (`identities`).

`clocks` selects the cluster's mode: these, the paper's clocks, fewer entries, or only the newest version.

Preguiça, Baquero, Almeida, Fonte, Gonçalves: Dotted Version Vectors (2010); Almeida, Shoker, Baquero: Delta State
Replicated Data Types (2018), section 7.2, for the causal context; Dynamo (SOSP 2007), section 4.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Annotated

import msgspec

# What a peer sends is added to and stored: beyond 64 bits it could not be encoded again.
Actor = Annotated[int, msgspec.Meta(ge=0)]
COUNTER_MAX = 1 << 53
Counter = Annotated[int, msgspec.Meta(ge=1, le=COUNTER_MAX)]
WALL_NS_MAX = 1 << 62
WallNs = Annotated[int, msgspec.Meta(ge=0, le=WALL_NS_MAX)]
STAMP_MAX = 2 * WALL_NS_MAX - 1
"""There are as many stamps again after the last wall time, so a version stamped by such a clock can be replaced."""
Stamp = Annotated[int, msgspec.Meta(ge=0, le=STAMP_MAX)]
Dot = tuple[Actor, Counter]


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A set of dots. clock: for each actor in it the dots 1..n. cloud: further dots, sorted, with gaps below them.

    `add` and `join` build it in a normal form, so equal sets are equal values.
    """

    clock: dict[Actor, Counter] = {}
    cloud: tuple[Dot, ...] = ()

    def __contains__(self, dot: Dot) -> bool:
        return self.clock.get(dot[0], 0) >= dot[1] or dot in self.cloud

    def last(self, actor: int) -> int:
        """The highest counter of the actor; 0 if there is none."""
        last = self.clock.get(actor, 0)
        return max([last, *(counter for a, counter in self.cloud if a == actor)]) if self.cloud else last


class Version(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One write of a key.

    actor, counter: its dot. value: None is a tombstone. request_id: the client's, the same over every retry.
    coordinator: the node that made it. wall_ns: that node's calendar clock, in nanoseconds. ahead_ns: how far the stamp
    is ahead of that clock (`hlc`), in nanoseconds; mostly 0. clock: its vector clock, if the cluster has the paper's
    (`clocks`). identity: what its client calls it (`identities`); None: nothing, so it is told by its dot alone.
    """

    actor: Actor
    counter: Counter
    value: bytes | None
    request_id: int
    coordinator: str
    wall_ns: WallNs
    ahead_ns: Stamp = 0
    clock: dict[Actor, Counter] | None = None
    identity: Dot | None = None

    @property
    def dot(self) -> Dot:
        return (self.actor, self.counter)

    @property
    def stamp(self) -> int:
        """What "newest" goes by."""
        return self.wall_ns + self.ahead_ns


class Ages(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How old the entries of a clock are; kept only where clocks are truncated (`truncation`).

    dates: for each actor in the clock, the stamp of the last write that used its entry. cut: date and actor of the
    newest entry that was ever dropped.
    """

    dates: dict[Actor, Stamp] = {}
    cut: tuple[Stamp, Actor] = (0, 0)


class VersionSet(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that a replica knows of a key.

    seen: the dots. versions: those that no later write has replaced. writes: the identities seen (`identities`).
    The functions below keep the versions in the order of their dots, so equal states are equal values and encode to
    equal bytes.
    """

    seen: Seen = Seen()
    versions: tuple[Version, ...] = ()
    ages: Ages | None = None
    writes: Seen = Seen()


NOTHING = Seen()
EMPTY = VersionSet()
WRITERS_MAX = 256
"""Writers whose identities a state keeps (`identities`, rule 6)."""


def join(left: Seen, right: Seen) -> Seen:
    """The union of two sets. O(actors + cloud)."""
    if not left.cloud and not right.cloud:
        if dominates(left.clock, right.clock):
            return left
        if dominates(right.clock, left.clock):
            return right
    clock = dict(left.clock)
    for actor, counter in right.clock.items():
        if counter > clock.get(actor, 0):
            clock[actor] = counter
    return _seen(clock, {*left.cloud, *right.cloud})


def merge(left: VersionSet, right: VersionSet) -> VersionSet:
    """Merge two states: the least state that knows all that both know. O(actors + versions)."""
    if left is EMPTY or left == right:
        return right
    theirs = {(v.actor, v.counter): v for v in right.versions}
    kept = []
    for v in left.versions:
        twin = theirs.pop((v.actor, v.counter), None)
        if twin is not None:
            kept.append(min(v, twin, key=_origin))
        elif not _replaced(v, right):
            kept.append(v)
    kept += [v for v in theirs.values() if not _replaced(v, left)]
    return _state(join(left.seen, right.seen), _one_a_write(kept), remembered(left.writes, right.writes))


def write(
    state: VersionSet,
    context: Seen,
    *,
    dot: Dot,
    value: bytes | None,
    request_id: int,
    coordinator: str,
    wall_ns: int,
    ahead_ns: int = 0,
    clock: dict[int, int] | None = None,
    identity: Dot | None = None,
    writes: Seen = NOTHING,
) -> tuple[VersionSet, Seen]:
    """Add a write under that dot, which replaces what `context` and `writes` cover: dots, and identities.

    A write whose dot or identity was seen before changes nothing. A dot must belong to one write only: replicas would
    take a second write under it for the first. Returns the state with the write, and the dots that it covers: its own,
    and those that it replaced.
    """
    if dot in state.seen or knows(state, identity):
        return state, add(context, dot) if dot in state.seen else context
    covered = add(context, dot)
    kept = [v for v in state.versions if v.dot not in context and (v.identity is None or v.identity not in writes)]
    if identity is not None:
        writes = add(writes, identity)
    kept.append(Version(*dot, value, request_id, coordinator, wall_ns, ahead_ns, clock, identity))
    return _state(join(state.seen, covered), kept, remembered(state.writes, writes)), covered


def knows(state: VersionSet, identity: Dot | None) -> bool:
    """Whether a write of that identity was stored, whatever became of it."""
    return identity is not None and (identity in state.writes or any(v.identity == identity for v in state.versions))


def remembered(left: Seen, right: Seen) -> Seen:
    """The identities of both, of the newest writers. Commutative, associative, idempotent. O(writers)."""
    union = join(left, right)
    if len(union.clock) + len(union.cloud) <= WRITERS_MAX:
        return union
    newest = set(sorted({*union.clock, *(writer for writer, _ in union.cloud)})[-WRITERS_MAX:])
    clock = {writer: number for writer, number in union.clock.items() if writer in newest}
    return Seen(clock, tuple(each for each in union.cloud if each[0] in newest))


def next_dot(state: VersionSet, context: Seen, actor: int) -> Dot:
    """The actor's next dot for a key. The actor must hold the whole state in which it last made one."""
    return (actor, max(state.seen.last(actor), context.last(actor)) + 1)


def add(seen: Seen, dot: Dot) -> Seen:
    """The set with one more dot."""
    actor, counter = dot
    if not seen.cloud and counter == seen.clock.get(actor, 0) + 1:
        clock = {**seen.clock, actor: counter}
        # An actor that was there keeps its place in the order.
        return Seen(clock if counter > 1 else dict(sorted(clock.items())))
    return _seen(dict(seen.clock), {*seen.cloud, dot})


def latest(state: VersionSet) -> VersionSet:
    """Last write wins: only the newest version by its stamp; dots break ties alike on every replica."""
    if len(state.versions) < 2:
        return state
    return VersionSet(state.seen, (max(state.versions, key=_age),), None, state.writes)


def merge_latest(left: VersionSet, right: VersionSet) -> VersionSet:
    """Merge two states that each keep only their newest version."""
    if left == right:
        return left
    # By stamp, and not by dots. Stamps may contradict what was seen: two coordinators can stamp one write before and
    # after another. Then `merge` would drop both, or replicas would differ by the order in which states came.
    both = (*left.versions, *right.versions)
    # A write that was done again must not come back over its successor, with the later stamp of the second time.
    # If each side has replaced the other's, neither had seen the other: then stamps decide.
    standing = [v for v in left.versions if not _rewritten(v, right)]
    standing += [v for v in right.versions if not _rewritten(v, left)]
    writes = remembered(left.writes, right.writes)
    return latest(VersionSet(join(left.seen, right.seen), tuple(standing or both), None, writes))


def live(state: VersionSet) -> list[Version]:
    """The versions that a client sees, in the order of dots: no tombstones."""
    return [v for v in state.versions if v.value is not None]


def siblings(state: VersionSet) -> list[bytes]:
    """The values of `live`."""
    return [v.value for v in live(state) if v.value is not None]


def newest_stamp(state: VersionSet) -> int:
    """The stamp of its newest version; 0 if there is none."""
    return min(max([v.wall_ns + v.ahead_ns for v in state.versions], default=0), STAMP_MAX)


def dominates(clock: dict[int, int], other: dict[int, int]) -> bool:
    """Whether a vector clock descends from the other, or is the same."""
    for actor, counter in other.items():  # noqa: SIM110 (a generator takes twice as long)
        if clock.get(actor, 0) < counter:
            return False
    return True


def _replaced(version: Version, state: VersionSet) -> bool:
    """Whether a state that does not hold that dot has replaced its write."""
    if version.identity is not None:
        if any(other.identity == version.identity for other in state.versions):
            return False  # There it has another dot.
        if version.identity in state.writes:
            return True
    return (version.actor, version.counter) in state.seen


def _rewritten(version: Version, state: VersionSet) -> bool:
    """Whether a state has had the version's write, and holds it no more."""
    identity = version.identity
    if identity is None or identity not in state.writes:
        return False
    return all(other.identity != identity for other in state.versions)


def _one_a_write(versions: list[Version]) -> list[Version]:
    """Keep, of all versions with one identity, the one with the least dot. O(n)."""
    if len(versions) < 2:
        return versions
    alone = [v for v in versions if v.identity is None]
    first: dict[Dot, Version] = {}
    for v in versions:
        if v.identity is not None:
            first[v.identity] = min(first.get(v.identity, v), v, key=_dot)
    return alone + list(first.values())


def _age(version: Version) -> tuple[int, Dot, int, str]:
    return (version.stamp, version.dot, version.wall_ns, version.coordinator)


def _origin(version: Version) -> tuple[int, int, str]:
    # Two coordinators that stored one write stamped it differently; every replica must keep the same of the two.
    return (version.stamp, version.wall_ns, version.coordinator)


def _seen(clock: dict[int, int], cloud: Iterable[Dot]) -> Seen:
    """The normal form; takes the clock over. Dots that follow on from the clock move into it."""
    apart = []
    for actor, counter in sorted(cloud):
        last = clock.get(actor, 0)
        if counter == last + 1:
            clock[actor] = counter
        elif counter > last:
            apart.append((actor, counter))
    return Seen(dict(sorted(clock.items())), tuple(apart))


_dot = attrgetter("actor", "counter")


def _state(seen: Seen, versions: Sequence[Version], writes: Seen) -> VersionSet:
    return VersionSet(seen, tuple(versions) if len(versions) < 2 else tuple(sorted(versions, key=_dot)), None, writes)
