"""The replica: the versions that this node holds, and how they change.

1. A read for others shows what is durable. A change starts from the newest state, durable or not, so two concurrent
   changes never undo each other.
2. The callback `done` of a change runs once the state that includes the change is durable, and not before.
3. An actor, the maker of dots, belongs to one node and one key for as long as the node holds the key. A node that holds
   nothing of a key makes dots under a fresh actor. A reused dot would silently swallow a write (Riak issue 679).
4. Actors are a random 40-bit name made with the data directory, and 24 bits that count in it. A directory restored from
   a backup needs a new name (`fresh`): other nodes have dots made after the backup.
5. A change for which the disk has no room stays, in memory and in its place among the others. It is tried again until
   there is room. Whoever asked for it hears at once that it is not durable (`refused`). A full disk is tried with the
   oldest change alone: all of them together may never fit.
6. A damaged record counts as absent (the other replicas bring it back), and rule 3 then applies.

The engine's spaces: "data" by position on the ring and key, so that the keys of a range are adjacent; "hints" by owner
and key; "spreading" by key (`hinted_handoff`); "ring" (`membership`, `tokens`); "meta".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import msgspec

from splitbrain.store.actions import Action, Bits, Persist, Reader, Record
from splitbrain.store.config import Config
from splitbrain.store.defects import (
    ACK_BEFORE_DURABLE,
    FULL_DISK_ACKNOWLEDGED,
    MERGE_FORGETS_SEEN,
    PHYSICAL_DELETE,
    REUSED_DOT,
    SIBLING_LIMIT,
    SIBLINGS_MAX,
)
from splitbrain.store.ring.ring import Range, position
from splitbrain.store.storage.engine import DamagedRecord
from splitbrain.store.versions.clocks import Clocks
from splitbrain.store.versions.dots import Dots
from splitbrain.store.versions.dotted import EMPTY, VersionSet

DATA, HINTS, SPREADING, META, RING = "data", "hints", "spreading", "meta", "ring"

KEY_POSITION_BYTES = 16
"""The bytes of a key's position on the ring, which stand before the key in the engine (`place`)."""
_COUNTED = 24
_IDENTITY = b"identity"


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is stored of a key. actor: this node's actor for its dots of this key; 0 if it made none."""

    actor: int
    state: VersionSet


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """Whose a data directory is. node: the node's name. actors: the last actor that was assigned."""

    node: str
    actors: int


class IdentityError(Exception):
    """The data directory is not this node's: names the cause and the remedy."""


ABSENT = Entry(0, EMPTY)
Done = Callable[[], None]


@dataclass(slots=True)
class _Change:
    """A change that is being written.

    where: space and key; before, after: the entry without and with it. waiting: called once it is durable. refused:
    called if there is no room for it.
    """

    where: tuple[str, bytes] | None
    before: Entry
    after: Entry
    records: tuple[Record, ...]
    waiting: list[Done]
    refused: list[Done]


_entries = msgspec.msgpack.Decoder(Entry)
_NOTHING_READ = ("", b"", ABSENT)
_identities = msgspec.msgpack.Decoder(Identity)
_encode = msgspec.msgpack.Encoder().encode

OnDurable = Callable[[bytes, Entry, Entry], None]
"""Called with a key of the data, what was durable of it before, and what is now."""


class Replica:
    """A node's records. out: collects what is to be made durable.

    full: the disk had no room for a change, and has not taken one since. on_durable: listeners, called with every
    change of the data in the order in which they became durable. buffered: data that is only in memory
    (`write_buffer`), by key. fresh: the records may be older than what this node once held, so the actors made with
    them are given up.

    Raises IdentityError if the records are another node's.
    """

    def __init__(
        self,
        reader: Reader,
        name: str,
        config: Config,
        bits: Bits,
        out: list[Action],
        *,
        fresh: bool = False,
    ) -> None:
        self._reader = reader
        self._defect = config.defect
        self._name = name
        self._out = out
        self._ticket = 0
        self._pending: dict[tuple[str, bytes], tuple[int, Entry]] = {}
        self._waiting: dict[int, _Change] = {}
        self._retrying = False
        self.full = False
        self._last_read = _NOTHING_READ
        """Space, key and entry of the last read: a change reads twice. Valid until something becomes durable."""
        self.buffered: dict[bytes, Entry] = {}
        self.on_durable: list[OnDurable] = []
        self.counters: Counter[str] = Counter()
        self.clocks = Clocks(config, self.counters)
        identity = self._identity()
        if identity is not None and identity.node != name:
            raise IdentityError(
                f"this data directory belongs to node {identity.node!r}, not {name!r}: give each node its own"
            )
        self._actors = bits(40) << _COUNTED if identity is None or fresh else identity.actors
        self._actors_stored = -1 if identity is None or fresh else identity.actors
        self.dots = Dots(self._new_actor)
        """For keys that this node coordinates as a fallback: it forgets its hints, and the dots in them."""

    def read(self, space: str, key: bytes) -> Entry:
        """Read what is durable of a key."""
        last_space, last_key, entry = self._last_read
        if key == last_key and space == last_space:
            return entry
        try:
            stored = self._reader.get(space, place(key) if space == DATA else key)
        except DamagedRecord:
            self.counters["damaged_records"] += 1
            return ABSENT
        entry = ABSENT if stored is None else _entries.decode(stored)
        self._last_read = (space, key, entry)
        return entry

    def visible(self, key: bytes) -> VersionSet:
        """Read a key's data as clients see it: what the write buffer holds, or else what is durable."""
        return (self.buffered.get(key) or self.read(DATA, key)).state

    def newest(self, space: str, key: bytes) -> Entry:
        """Read the newest state of a key, which may not be durable yet."""
        pending = self._pending.get((space, key))
        if pending is not None:
            return pending[1]
        held = self.buffered.get(key) if space == DATA else None
        return self.read(space, key) if held is None else held

    def keys(self, space: str) -> Iterator[bytes]:
        """All durable keys of a space other than the data. O(n)."""
        return (key for key, _ in self._reader.scan(space))

    def scan(self, within: Range, after: bytes | None = None) -> Iterator[tuple[bytes, Entry]]:
        """The durable data in a range of the ring, in the order of positions. O(1) a key.

        after: begin behind that key. Take a few and stop: an iterator left open holds up sqlite's checkpoints.
        """
        start = within[0].to_bytes(KEY_POSITION_BYTES) if after is None else place(after) + b"\0"
        end = None if within[1] >= 1 << 128 else within[1].to_bytes(KEY_POSITION_BYTES)
        for at, stored in self._reader.scan(DATA, start, end):
            yield at[KEY_POSITION_BYTES:], _entries.decode(stored)

    def reported(self, within: Range, after: bytes | None, limit: int) -> tuple[dict[bytes, Entry], bytes | None]:
        """The next data of a range, as the listeners of `on_durable` know it.

        The disk is ahead of the listeners by the changes whose completion has not been reported yet. limit: keys to
        read from the disk. Returns the entries, and the key to continue behind; None if that was all. O(limit + changes
        under way).
        """
        entries = dict(islice(self.scan(within, after), limit))
        last = list(entries)[-1] if len(entries) == limit else None
        start = (within[0], b"") if after is None else (position(after), after)
        end = (within[1], b"") if last is None else (position(last), last + b"\0")
        first: dict[bytes, Entry] = {}
        for change in self._waiting.values():
            if change.where is not None and change.where[0] == DATA:
                first.setdefault(change.where[1], change.before)
        for key, before in first.items():
            if start <= (position(key), key) < end and key != after:
                entries[key] = before
        return entries, last

    def actor(self, entry: Entry) -> int:
        """The actor for this node's dots on top of that entry; a new one becomes durable with the next change."""
        if self._defect == REUSED_DOT:
            return position(self._name.encode()) >> 65
        if entry.actor >> _COUNTED == self._actors >> _COUNTED:
            return entry.actor
        return self._new_actor()

    def _new_actor(self) -> int:
        self._actors += 1
        return self._actors

    def merge(
        self,
        space: str,
        key: bytes,
        state: VersionSet,
        done: Done,
        *,
        refused: Done | None = None,
        beside: Record | None = None,
    ) -> None:
        """Merge a state into what is stored; the rest: as in `put`."""
        entry = self.newest(space, key)
        merged = self.combine([entry.state, state])
        if merged == entry.state and self.settled(space, key):
            done()
        else:
            self.put(space, key, Entry(entry.actor, merged), done, refused=refused, beside=beside)

    def combine(self, states: Iterable[VersionSet | None]) -> VersionSet:
        """Merge states, under the cluster's rule for conflicts. None: nothing is known."""
        known = EMPTY
        for state in states:
            if state is not None:
                before, known = known, self.clocks.merge(known, state)
                if self._defect == MERGE_FORGETS_SEEN:
                    both = {version.dot: version for version in (*before.versions, *state.versions)}
                    known = VersionSet(known.seen, tuple(both[dot] for dot in sorted(both)), None, known.writes)
        return known

    def put(
        self,
        space: str,
        key: bytes,
        entry: Entry,
        done: Done,
        *,
        refused: Done | None = None,
        beside: Record | None = None,
    ) -> None:
        """Store the entry, unless it is stored already. done: called once it is durable.

        refused: called before that, once, if the disk has no room for it. beside: one more record, in the same commit.
        """
        if self._defect == PHYSICAL_DELETE and all(version.value is None for version in entry.state.versions):
            self.delete(space, key, done)
            return
        if self._defect == SIBLING_LIMIT:
            newest = sorted(entry.state.versions, key=lambda version: version.stamp)[-SIBLINGS_MAX:]
            kept = tuple(version for version in entry.state.versions if version in newest)
            entry = Entry(entry.actor, VersionSet(entry.state.seen, kept, None, entry.state.writes))
        if entry.actor and entry.actor not in entry.state.seen.clock:
            entry = Entry(0, entry.state)  # Its dots were forgotten (`truncation`): it would make them again.
        pending = self._pending.get((space, key))
        before = self.read(space, key) if pending is None else pending[1]
        if before != entry:
            records = [Record(space, place(key) if space == DATA else key, _encode(entry))]
            if self._actors != self._actors_stored:
                records.append(Record(META, _IDENTITY, _encode(Identity(self._name, self._actors))))
                self._actors_stored = self._actors
            if beside is not None:
                records.append(beside)
            self._change(space, key, before, entry, tuple(records), done, refused)
        elif pending is None:
            done()
        else:
            self._once_durable(pending[0], done, refused)

    def delete(self, space: str, key: bytes, done: Done) -> None:
        """Remove a key."""
        pending = self._pending.get((space, key))
        before = (self.read(space, key) if pending is None else pending[1]) if space == DATA else ABSENT
        # Pending, so that the same entry, if it is stored again meanwhile, is not taken for the one that goes.
        self._change(space, key, before, ABSENT, (Record(space, place(key) if space == DATA else key, None),), done)

    def store(self, records: tuple[Record, ...], done: Done) -> None:
        """Make other records durable, all or none: not those of keys and their states."""
        self._persist(_Change(None, ABSENT, ABSENT, records, [done], []))

    def refused(self, ticket: int) -> None:
        """The disk has no room for the records with that ticket: tell whoever asked."""
        self.full, self._retrying = True, False
        self.counters["writes_refused"] += 1
        change = self._waiting[ticket]
        told, change.refused = change.refused, []
        if self._defect == FULL_DISK_ACKNOWLEDGED:
            told, change.waiting = change.waiting, []
        for refused in told:
            refused()

    def retry(self) -> None:
        """See whether there is room again, with the oldest change that there was none for."""
        if self.full and not self._retrying:
            self._retrying = True
            ticket, change = next(iter(self._waiting.items()))
            self._out.append(Persist(change.records, ticket))

    def persisted(self, ticket: int) -> None:
        """The records with that ticket are durable: call what waits for them."""
        change = self._waiting.pop(ticket)
        if self.full:
            self.full = self._retrying = False
            for later, other in self._waiting.items():
                self._out.append(Persist(other.records, later))
        self._last_read = _NOTHING_READ
        if change.where is not None:
            pending = self._pending.get(change.where)
            if pending is not None and pending[0] == ticket:
                del self._pending[change.where]
            if change.where[0] == DATA:
                self.buffered.pop(change.where[1], None)  # The change was made from what the buffer held.
                for listener in self.on_durable:
                    listener(change.where[1], change.before, change.after)
        for done in change.waiting:
            done()

    def settled(self, space: str, key: bytes) -> bool:
        """Whether the newest state of a key is durable."""
        return not self.on_its_way(space, key) and not (space == DATA and key in self.buffered)

    def on_its_way(self, space: str, key: bytes) -> bool:
        """Whether a change of the key is being written."""
        return (space, key) in self._pending

    def unsettled(self, token_range: Range) -> bool:
        """Whether a change of data in that range is not durable yet. O(changes under way)."""
        changing = chain((key for space, key in self._pending if space == DATA), self.buffered)
        return any(token_range[0] <= position(key) < token_range[1] for key in changing)

    @property
    def progress(self) -> tuple[int, int]:
        """How many changes were begun, and up to which number all are durable."""
        return self._ticket, next(iter(self._waiting), self._ticket + 1) - 1

    @property
    def unsynced(self) -> int:
        """How many changes are not durable yet."""
        return len(self._waiting)

    def _identity(self) -> Identity | None:
        try:
            stored = self._reader.get(META, _IDENTITY)
        except DamagedRecord:
            self.counters["damaged_records"] += 1
            return None
        return None if stored is None else _identities.decode(stored)

    def _change(
        self,
        space: str,
        key: bytes,
        before: Entry,
        after: Entry,
        records: tuple[Record, ...],
        done: Done,
        refused: Done | None = None,
    ) -> None:
        ticket = self._persist(_Change((space, key), before, after, records, [], []))
        self._pending[space, key] = (ticket, after)
        self._once_durable(ticket, done, refused)

    def _once_durable(self, ticket: int, done: Done, refused: Done | None) -> None:
        if self._defect == ACK_BEFORE_DURABLE:
            done()
            return
        self._waiting[ticket].waiting.append(done)
        if refused is not None and self.full:
            refused()
        elif refused is not None:
            self._waiting[ticket].refused.append(refused)

    def _persist(self, change: _Change) -> int:
        self._ticket += 1
        self._waiting[self._ticket] = change
        if not self.full:
            self._out.append(Persist(change.records, self._ticket))
        return self._ticket


def place(key: bytes) -> bytes:
    """The engine's key for the data of a key: its position on the ring, then the key."""
    return position(key).to_bytes(KEY_POSITION_BYTES) + key
