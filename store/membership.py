"""Membership: who is in the ring, as a history of changes that nodes keep, gossip and merge.

1. Nodes join and leave because an operator says so, on any node; nothing else changes the ring. A node that does not
   answer is passed by (`detector`), and stays a member.
2. Every change is kept for good, with the time of its issue: nodes that hold the same changes fold them in the same
   order to the same ring, so the assignment of partitions travels with the history and two operators at once agree.
3. Histories merge by union: in any order, any number of times, also those of two clusters that never met.
4. A change that can't be (a name that is taken, a leave that would leave fewer than N nodes) is passed over by the
   fold, alike on every node. One that an operator asks for is refused with the reason.
5. A leaving node hands over what it holds (`transfer`) and then is gone. One that is gone stays out, whatever it
   gossips itself, until an operator has it join again: its old changes are older than the one that removed it.
6. A change is durable before anybody hears of it.

Dynamo (SOSP 2007), sections 4.8.1 and 4.9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Annotated

import msgspec

from store.actions import Address, Reader, Record
from store.config import Config, ConfigError, Member
from store.engine import DamagedRecord
from store.errors import StoreError
from store.replica import RING, Replica
from store.ring import Ring


class Kind(StrEnum):
    """What a change does. START: a member from the cluster's beginning."""

    START = "start"
    JOIN = "join"
    LEAVE = "leave"
    GONE = "gone"


class Standing(StrEnum):
    """What a node that the history names is. LEAVING: no member any more, but holds data that it hands over."""

    MEMBER = "member"
    LEAVING = "leaving"
    GONE = "gone"


class Change(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One change of the membership.

    counter, issuer: a Lamport stamp, of the node that an operator told; changes are folded in the order of these.
    name, address, zone, capacity: the member's. issued_ns: the issuer's calendar clock.
    """

    counter: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
    issuer: str
    kind: Kind
    name: str
    address: Address
    zone: str = ""
    capacity: int = 1
    issued_ns: Annotated[int, msgspec.Meta(ge=0, le=1 << 62)] = 0

    @property
    def member(self) -> Member:
        """Raises ConfigError if it can't be one."""
        return Member(self.name, self.address, self.zone, self.capacity)


def identity(change: Change) -> int:
    """64 bits that tell the change from every other."""
    return int.from_bytes(hashlib.blake2b(msgspec.msgpack.encode(change), digest_size=8).digest())


def fold(changes: Iterable[Change], config: Config) -> tuple[Ring, dict[str, tuple[Member, Standing]]]:
    """What a history amounts to: the ring, and every node it names with its standing. O(changes * partitions)."""
    nodes: dict[str, tuple[Member, Standing]] = {}
    ordered = sorted(changes, key=lambda change: (change.counter, change.issuer, change.name, change.kind))
    first = [change.member for change in ordered if change.kind is Kind.START]
    taken: set[Address] = set()
    for member in sorted(first):
        if member.name not in nodes and member.address not in taken:
            nodes[member.name] = (member, Standing.MEMBER)
            taken.add(member.address)
    if len(nodes) < config.n:
        return Ring((), config), nodes
    ring = Ring((member for member, _ in nodes.values()), config)
    for change in ordered:
        member, standing = nodes.get(change.name, (change.member, Standing.GONE))
        match change.kind:
            case Kind.JOIN if standing is not Standing.MEMBER:
                if all(change.address != other.address for other in ring.members.values()):
                    ring = ring.joined(change.member)
                    nodes[change.name] = (change.member, Standing.MEMBER)
            case Kind.LEAVE | Kind.GONE if standing is Standing.MEMBER:
                if len(ring.members) > config.n:
                    ring = ring.left(change.name)
                    nodes[change.name] = (member, Standing.LEAVING if change.kind is Kind.LEAVE else Standing.GONE)
            case Kind.GONE if change.name in nodes:
                nodes[change.name] = (member, Standing.GONE)
            case _:
                pass
    return ring, nodes


class Membership:
    """One node's copy of the history, and what it amounts to.

    name: the node's own. members: of the cluster's beginning, for a node whose disk has no history yet; none: the
    node is outside until it learns of one. ring: in force. nodes: all that the history names, with their standing.
    view: the digest of the history; nodes of one view have one ring.
    on_change: called after each change of the history, with the ring as it was before.
    """

    def __init__(
        self, name: str, members: Iterable[Member], config: Config, reader: Reader, replica: Replica
    ) -> None:
        self._name = name
        self._config = config
        self._replica = replica
        self._changes: dict[int, Change] = {}
        self.view = 0
        self.on_change: list[Callable[[Ring], None]] = []
        stored = [change for change in _read(reader) if change is not None]
        start = [Change(0, "", Kind.START, m.name, m.address, m.zone, m.capacity) for m in sorted(members)]
        if start and not stored:
            Ring((change.member for change in start), config)  # raises ConfigError for what can't be a cluster
        self._begin = () if stored else tuple(start)
        self._add(stored or start)
        self.ring, self.nodes = fold(self._changes.values(), config)

    def start(self) -> None:
        """Make the cluster's beginning durable, if this is it."""
        if self._begin:
            self._replica.store(tuple(map(_record, self._begin)), lambda: None)

    @property
    def changes(self) -> list[Change]:
        """The whole history, in the order in which it was learnt."""
        return list(self._changes.values())

    @property
    def standing(self) -> Standing | None:
        """This node's own; None: the history does not name it."""
        return self.nodes[self._name][1] if self._name in self.nodes else None

    def address(self, name: str) -> Address | None:
        """Where a node listens that is a member or still hands over."""
        known = self.nodes.get(name)
        return None if known is None or known[1] is Standing.GONE else known[0].address

    def others(self) -> list[str]:
        """Every other node that is a member or leaving, by name."""
        return sorted(n for n, (_, s) in self.nodes.items() if s is not Standing.GONE and n != self._name)

    def join(self, member: Member, now_ns: int, done: Callable[[], None]) -> None:
        """An operator has the node join. Raises StoreError `bad_request` if its name or address is taken."""
        known = self.nodes.get(member.name)
        if known is not None and known[1] is Standing.MEMBER:
            if known[0] == member:
                done()
                return
            at = f"{known[0].address[0]}:{known[0].address[1]}"
            raise StoreError("bad_request", f"the name {member.name!r} is taken by the node at {at}; choose another")
        for other in self.ring.members.values():
            if other.address == member.address:
                at = f"{member.address[0]}:{member.address[1]}"
                raise StoreError("bad_request", f"{at} is the address of member {other.name!r}; give its own")
        self._issue(Kind.JOIN, member, now_ns, done)

    def leave(self, name: str, now_ns: int, done: Callable[[], None], *, gone: bool = False) -> None:
        """An operator has the node leave. gone: it is dead, and hands nothing over any more.

        Raises StoreError `bad_request` for a node that is no member, or if fewer than N would be left.
        """
        known = self.nodes.get(name)
        if known is None:
            text = f"no node {name!r} in this cluster; its nodes: {', '.join(self.ring.members)}"
            raise StoreError("bad_request", text)
        member, standing = known
        if standing is Standing.GONE or (standing is Standing.LEAVING and not gone):
            done()
            return
        if standing is Standing.MEMBER and len(self.ring.members) <= self._config.n:
            text = f"{len(self.ring.members)} members with n={self._config.n}: without {name!r} too few would be left"
            raise StoreError("bad_request", f"{text} to hold every key; have another node join first")
        self._issue(Kind.GONE if gone else Kind.LEAVE, member, now_ns, done)

    def missing(self, identities: Iterable[int]) -> list[Change]:
        """The changes known here that are not among those."""
        theirs = set(identities)
        return [change for known, change in self._changes.items() if known not in theirs]

    @property
    def identities(self) -> list[int]:
        """Of every change known, in the order in which they were learnt."""
        return list(self._changes)

    def merge(self, changes: Iterable[Change], done: Callable[[], None] = lambda: None) -> None:
        """Learn changes; `done` and listeners are called once they are durable. Ones that can't be are passed over."""
        new = [change for change in changes if identity(change) not in self._changes and _sound(change)]
        if not new:
            done()
            return

        def durable() -> None:
            self._learn(new)
            done()

        self._replica.store(tuple(map(_record, new)), durable)

    def _issue(self, kind: Kind, member: Member, now_ns: int, done: Callable[[], None]) -> None:
        counter = 1 + max((change.counter for change in self._changes.values()), default=0)
        self.merge(
            [Change(counter, self._name, kind, member.name, member.address, member.zone, member.capacity, now_ns)], done
        )

    def _learn(self, changes: list[Change]) -> None:
        if self._add(changes):
            before = self.ring
            self.ring, self.nodes = fold(self._changes.values(), self._config)
            for listener in self.on_change:
                listener(before)

    def _add(self, changes: Iterable[Change]) -> bool:
        before = len(self._changes)
        for change in changes:
            name = identity(change)
            if name not in self._changes:
                self._changes[name] = change
                self.view ^= name
        return len(self._changes) > before


def _sound(change: Change) -> bool:
    try:
        return bool(change.member)
    except ConfigError:
        return False


def _record(change: Change) -> Record:
    return Record(RING, identity(change).to_bytes(8), msgspec.msgpack.encode(change))


def _read(reader: Reader) -> list[Change | None]:
    decoder = msgspec.msgpack.Decoder(Change)
    try:
        return [decoder.decode(stored) for _, stored in reader.scan(RING)]
    except DamagedRecord:
        return []
