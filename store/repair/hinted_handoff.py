"""Hinted handoff: writes kept for a primary replica that could not be reached.

1. A hint names its owner, lives in a space of its own, and is as durable as any write before it is acknowledged.
2. Two hints for one key and owner are merged, never replaced.
3. The holder *pushes* hints, in slices of background work: every `SCAN_EVERY_S`, and when an owner answers again. It
   pushes only what is durable here: a dot that a crash makes the holder forget must not be known elsewhere.
4. A hint is deleted only after its owner said that it is durable there, and only if it is still the state that was
   sent. One that has grown meanwhile is sent again.
5. A hint stays while a write of its key still spreads from here (rule 6): a fallback that coordinates has the write
   nowhere else.
6. A coordinator stores, in one commit with a write, a note that the write is still spreading. It deletes the note once
   every primary replica has the write or some node keeps a hint. A coordinator that crashes in between keeps a hint for
   every primary replica once it is back. Otherwise a replica that was cut off at the time would never get the write.
7. If the ring has changed, hints for a node that is no primary replica of the key any more go to those that are.

Dynamo (SOSP 2007), section 4.6.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import islice

from splitbrain.store.actions import Record
from splitbrain.store.defects import HINT_ACKED_FROM_MEMORY, HINT_DELETED_BEFORE_ACK, HINTS_DIE_WITH_OWNER
from splitbrain.store.parts import Core
from splitbrain.store.storage.replica import DATA, HINTS, SPREADING
from splitbrain.store.versions.dotted import VersionSet
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Write, Written

SCAN_EVERY_S = 1.0
PUSH_TIMEOUT_S = 2.0
TAKE_BACK_AFTER_S = 0.1
"""How long deletions of notes are collected: the next put would wait for a commit of each."""
PUSHES_AT_ONCE = 16
"""Hints under way to one owner: a node that returns must not be overloaded with what it missed."""


class Handoff:
    """This node's hints, by owner and key."""

    def __init__(self, core: Core) -> None:
        self._core = core
        # Ordered: deleting from the front of a plain dict takes time quadratic in its size.
        self._keys: dict[str, OrderedDict[bytes, None]] = {}
        self._due: set[str] = set()
        self._pushing: set[tuple[str, bytes]] = set()
        self._spreading: Counter[bytes] = Counter()
        self._spread: dict[bytes, None] = {}
        self.on_kept: list[Callable[[bytes], None]] = []
        """Listeners, called with every key of which a hint is kept or grows."""
        for place in core.replica.keys(HINTS):
            owner, key = place.split(b"\0", 1)
            self._keys.setdefault(owner.decode(), OrderedDict())[key] = None

    def start(self) -> None:
        """Begin to scan, and keep hints for the writes that were spreading when the node stopped."""
        for key in list(self._core.replica.keys(SPREADING)):
            self._resume(key)
        self._core.membership.on_change.append(lambda before: self._reassign())
        self._scan()

    def _reassign(self) -> None:
        primaries = self._core.ring.primaries
        stale = ((owner, key) for owner, keys in self._keys.items() for key in keys if owner not in primaries(key))
        some = list(islice(stale, PUSHES_AT_ONCE)) if self._core.ring.members else []
        left, freed = len(some), 0
        if self._core.config.defect == HINTS_DIE_WITH_OWNER:
            for owner, key in some:
                del self._keys[owner][key]
                self._core.replica.delete(HINTS, _place(owner, key), _nothing)
            return

        def reassigned(owner: str, key: bytes, state: VersionSet) -> None:
            nonlocal left, freed
            left -= 1
            if self._deliver(owner, key, state):
                freed += 1
            elif key in self._keys[owner]:
                self._keys[owner].move_to_end(key)
            if not left and freed:
                self._core.background.soon(self._reassign)

        for owner, key in some:
            state = self.newest(owner, key)
            self._keep_for_all(key, state, partial(reassigned, owner, key, state))

    def _keep_for_all(self, key: bytes, state: VersionSet, done: Callable[[], None]) -> None:
        """Keep a hint for every other primary replica; merge it here if this node is one. done: once all is durable."""
        primaries = self._core.ring.primaries(key)
        left = len(primaries)

        def kept() -> None:
            nonlocal left
            left -= 1
            if not left:
                done()

        for primary in primaries:
            if primary == self._core.name:
                self._core.replica.merge(DATA, key, state, kept)
            else:
                self.keep(primary, key, state, kept)

    def spreading(self, key: bytes) -> Record:
        """A write of the key begins to spread: returns the note to store with it. A call of `spread` must follow."""
        self._spreading[key] += 1
        return Record(SPREADING, key, b"")

    def spread(self, key: bytes) -> None:
        """A write of the key is on every primary replica, or hinted."""
        self._spreading[key] -= 1
        if not self._spreading[key]:
            del self._spreading[key]
            if not self._spread:
                self._core.after(TAKE_BACK_AFTER_S, self._take_back)
            self._spread[key] = None

    def _take_back(self) -> None:
        notes = tuple(Record(SPREADING, key, None) for key in self._spread if key not in self._spreading)
        self._spread.clear()
        if notes:
            self._core.replica.store(notes, lambda: None)

    def keep(
        self,
        owner: str,
        key: bytes,
        state: VersionSet,
        done: Callable[[], None],
        *,
        refused: Callable[[], None] | None = None,
        beside: Record | None = None,
    ) -> None:
        """Merge the state into the hint for that owner; done once it is durable. The rest: see `Replica.put`."""
        self._keys.setdefault(owner, OrderedDict())[key] = None
        self._core.counters["hints_kept"] += 1
        for listener in self.on_kept:
            listener(key)
        if self._core.config.defect == HINT_ACKED_FROM_MEMORY:
            self._core.after(0.0, done)
            done = _nothing
        self._core.replica.merge(HINTS, _place(owner, key), state, done, refused=refused, beside=beside)

    def newest(self, owner: str, key: bytes) -> VersionSet:
        """The hint for that owner, durable or not."""
        return self._core.replica.newest(HINTS, _place(owner, key)).state

    def held(self, key: bytes) -> VersionSet | None:
        """All that is durable of a key in hints, for any owner; None if there is none."""
        replica = self._core.replica
        owners = self.owners(key)
        return replica.combine(replica.read(HINTS, _place(owner, key)).state for owner in owners) if owners else None

    def owners(self, key: bytes) -> list[str]:
        """The nodes for which a hint of the key is kept."""
        return [owner for owner, keys in self._keys.items() if key in keys]

    @property
    def drained(self) -> bool:
        """Whether no hint is kept here, and no write spreads from here."""
        return not self._spreading and not any(self._keys.values())

    def void(self) -> None:
        """Delete all hints: this node was removed, and they may be older than tombstones that were deleted since."""
        for owner, keys in self._keys.items():
            for key in keys:
                self._core.replica.delete(HINTS, _place(owner, key), lambda: None)
            keys.clear()

    def concerns(self, key: bytes) -> bool:
        """Whether a hint of the key is kept, or a write of it still spreads from here."""
        return key in self._spreading or any(key in keys for keys in self._keys.values())

    def count(self) -> dict[str, int]:
        """The number of hints by owner."""
        return {owner: len(keys) for owner, keys in sorted(self._keys.items()) if keys}

    def push(self, owner: str) -> None:
        """Push the owner's hints, some at a time."""
        if self._keys.get(owner) and owner not in self._due:
            self._due.add(owner)
            self._core.background.soon(partial(self._push_some, owner))

    def _push_some(self, owner: str) -> None:
        self._due.discard(owner)
        if owner not in self._core.ring.members or self._core.suspects(owner):
            return
        settled = self._core.replica.settled
        waiting = (
            key
            for key in self._keys.get(owner, ())
            if (owner, key) not in self._pushing and settled(HINTS, _place(owner, key))
        )
        room = PUSHES_AT_ONCE - sum(pushed == owner for pushed, _ in self._pushing)
        for key in list(islice(waiting, max(0, room))):
            self._pushing.add((owner, key))
            self._push_key(owner, key)

    def _resume(self, key: bytes) -> None:
        core = self._core
        known = core.replica.combine([core.replica.read(DATA, key).state, self.held(key)])
        self.spreading(key)
        self._keep_for_all(key, known, partial(self.spread, key))

    def _push_key(self, owner: str, key: bytes) -> None:
        state = self.newest(owner, key)

        def answered(reply: Reply | None) -> None:
            self._pushing.discard((owner, key))
            if isinstance(reply, Written) and self._deliver(owner, key, state):
                self.push(owner)
            elif key in self._keys[owner]:  # It may have gone to other owners meanwhile.
                self._keys[owner].move_to_end(key)

        deadline = self._core.now + PUSH_TIMEOUT_S
        if self._core.config.defect == HINT_DELETED_BEFORE_ACK:
            self._core.after(0.0, lambda: answered(Written()))
            self._core.ask(owner, Write(key, state), deadline, lambda reply: None)
            return
        self._core.ask(owner, Write(key, state), deadline, answered)

    def _deliver(self, owner: str, key: bytes, state: VersionSet) -> bool:
        """The owner has that state: delete the hint, if it has not grown. Returns whether it was deleted."""
        place = _place(owner, key)
        settled = self._core.replica.settled(HINTS, place)
        # While a put still spreads from here, the hint may be this coordinator's only copy. If it crashes now, it
        # makes the other replicas' hints from that.
        if not settled or key in self._spreading or self.newest(owner, key) != state:
            return False
        self._core.counters["hints_delivered"] += 1
        del self._keys[owner][key]
        self._core.replica.delete(HINTS, place, lambda: None)
        return True

    def _scan(self) -> None:
        self._reassign()
        for owner in list(self._keys):
            self.push(owner)
        self._core.after(SCAN_EVERY_S, self._scan)


def _nothing() -> None:
    pass


def _place(owner: str, key: bytes) -> bytes:
    return owner.encode() + b"\0" + key
