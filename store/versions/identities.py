"""Identities of writes: how a put that two coordinators took stays one write.

A client puts v to A. A stores it under its dot a1 and is cut off. The client hears nothing and goes to B, which stores
v under b1. Someone who reads a1 replaces it by w, elsewhere. When b1 arrives there, no dot says that w has replaced it
as well: v would come back as a sibling of its own successor.

1. The client names its write before it sends it: `(writer, number)`. The name is the same over every retry, to
   whichever coordinator, and is stored with the version. No other write has it.
2. Two versions with one identity are one write. Merged, one is left, the one with the lesser dot, and both dots have
   been seen. Only dots decide: stamps of one dot may differ, and two replicas must never prefer one each.
3. A state knows the identities that it has seen (`VersionSet.writes`), as it knows dots (`Seen`), and so does a
   context. A version whose identity was seen, and is not among the versions, was replaced: it is dropped, whatever its
   dot. So whatever replaces one of the two replaces the other, known or not. This goes for tombstones too.
4. A version is never dropped in favour of one that is not there: an identity is in `writes` only if its version is
   live, or was replaced by a write that is known. A number that was not used is not in it.
5. A writer is one client on one key. Its numbers for the key have no gaps, but for puts under way, so a state needs one
   entry a writer. A put that failed retires its writer, since its outcome may be that the number was never used.
6. A state keeps the `WRITERS_MAX` newest writers, about 11 bytes each: 2,800 bytes at most, in each copy of a key and
   in each context. A writer begins with the time it was made, and is replaced after some ten minutes, so "newest" is an
   order on which all replicas agree, and trimming commutes with merging. If a write is held back while that many later
   writers come to the key, a second version of it counts as a write of its own. That makes a false sibling, and never
   loses a write.
7. Writers are random, so nothing here has to be durable. Two that one key gets in one second are the same with a
   probability of 2**-32.

Dynamo (SOSP 2007), sections 2.3 and 4.5: always writable, through any of the top N nodes.
"""

from __future__ import annotations

from splitbrain.store.actions import Bits
from splitbrain.store.versions.dots import Dots
from splitbrain.store.versions.dotted import Dot

_RANDOM_BITS = 32
_SLOT_NS = 1_000_000_000
_SLOTS = 1 << 64 - _RANDOM_BITS
_SLOTS_KEPT = 600


class Identities:
    """The identities that one client gives to its writes, from its start to its end."""

    def __init__(self, bits: Bits) -> None:
        self._slot = 0
        self._dots = Dots(lambda: self._slot << _RANDOM_BITS | bits(_RANDOM_BITS))

    def give(self, key: bytes, wall_ns: int) -> Dot:
        """An identity for one more write of the key. wall_ns: this client's calendar clock, in nanoseconds."""
        self._slot = wall_ns // _SLOT_NS % _SLOTS
        last = self._dots.last(key)
        if last is not None and abs(self._slot - (last[0] >> _RANDOM_BITS)) > _SLOTS_KEPT:
            self._dots.failed(key, last)
        return self._dots.give(key)

    def failed(self, key: bytes, identity: Dot) -> None:
        """The write with that identity failed, or its outcome is indeterminate."""
        self._dots.failed(key, identity)
