"""Membership: who is in the ring, as a history of changes that nodes keep, gossip and merge.

1. Nodes join and leave because an operator says so, on any node; nothing else changes the ring. A node that does not
   answer is avoided (`failure_detector`), and stays a member.
2. Every change is kept for good, with its time of issue. Nodes that hold the same changes fold them to the same ring,
   so the assignment of partitions travels with the history and two concurrent operators end up agreeing.
3. Histories merge by union: in any order, any number of times, also those of two clusters that never met.
4. An impossible change (a name that is taken, a leave that would leave fewer than N nodes) is skipped by the fold,
   alike on every node, and logged. If an operator asks for one it is refused with the reason.
5. A leaving node hands over what it holds (`sender`) and then is gone. A node that is gone stays out, whatever it
   gossips, until an operator has it join again: its old changes are older than the one that removed it.
6. A change is durable before any other node hears of it. The exception is a cluster's beginning, which all its nodes
   were given.
7. A node that is no member serves no clients. Nor does a node whose name belongs to another: two nodes that answer
   under one name would both count toward a quorum.

Dynamo (SOSP 2007), sections 4.8.1 and 4.9.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from splitbrain.store.actions import Address, Reader, Record, host_port
from splitbrain.store.config import Config, ConfigError, Member
from splitbrain.store.errors import StoreError
from splitbrain.store.membership.history import Standing, fold, listening, objection_to, order, resume
from splitbrain.store.ring.ring import Ring
from splitbrain.store.storage.engine import DamagedRecord
from splitbrain.store.storage.replica import RING, Replica
from splitbrain.store.wire.changes import CHANGES_MAX, IDENTITY_BYTES, Change, Kind, identity

RINGS_REMEMBERED = 8
"""How many former rings are kept, for coordinators that look for who held a key."""

_DISPLACED = b"displaced"
_changes = msgspec.msgpack.Decoder(Change)


class Membership:
    """One node's copy of the history, and the ring that it folds into.

    name: the node's own. members: of the cluster's beginning, for a node without a stored history; none: the node is
    outside until it learns of one. note: writes a line to the node's log.

    ring: in force. nodes: all that the history names, with their standing. view: the digest of the history; nodes with
    one view have one ring. refusal: why this node serves no clients, and the remedy; None: it does. past: the former
    rings, since the start. on_change: listeners, called after each change of the history with the ring before it.
    """

    def __init__(
        self,
        name: str,
        members: Iterable[Member],
        config: Config,
        reader: Reader,
        replica: Replica,
        note: Callable[[str], None],
    ) -> None:
        self._name = name
        self._config = config
        self._replica = replica
        self._note = note
        self._changes: dict[int, Change] = {}
        self.view = 0
        self.past: deque[Ring] = deque(maxlen=RINGS_REMEMBERED)
        self.on_change: list[Callable[[Ring], None]] = []
        stored = self._read(reader)
        beginning = sorted(members)
        if beginning and not stored:
            Ring(beginning, config)  # raises ConfigError for what can't be a cluster
        start = [Change(0, "", Kind.START, m.name, m.address, m.zone, m.capacity) for m in beginning]
        self._begin = () if stored else tuple(start)
        self._add(stored or start)
        self._passed: set[int] = set()
        self._last = max(map(order, self._changes.values()), default=())
        self.ring, self.nodes = fold(
            self._changes.values(), config, lambda change, reason: self._passed.add(identity(change))
        )
        self._displaced = _marked(reader)
        self.refusal = self._refusal()
        if beginning and stored:
            self._compare(set(beginning))

    def start(self) -> None:
        """Make the cluster's beginning durable, if this node begins one."""
        if self._begin:
            self._replica.store(tuple(map(_record, self._begin)), lambda: None)

    def leaving(self) -> list[str]:
        """Nodes that are leaving: no members any more, but they may still hold something."""
        return sorted(name for name, (_, standing) in self.nodes.items() if standing is Standing.LEAVING)

    @property
    def changes(self) -> list[Change]:
        """The whole history, in the order in which it was learnt."""
        return list(self._changes.values())

    @property
    def standing(self) -> Standing | None:
        """This node's own standing; None: the history does not name it."""
        return self.nodes[self._name][1] if self._name in self.nodes else None

    def removed(self, name: str) -> bool:
        """Whether that node was removed from the cluster."""
        return name in self.nodes and self.nodes[name][1] is Standing.GONE

    def removals(self, name: str) -> int:
        """How often a node of that name was removed. What it held before the last time is void."""
        return sum(change.kind is Kind.GONE and change.name == name for change in self._changes.values())

    def address(self, name: str) -> Address | None:
        """The address of a node that is a member or leaving; None for any other."""
        known = self.nodes.get(name)
        return None if known is None or known[1] is Standing.GONE else known[0].address

    def others(self) -> list[str]:
        """Every other node that is a member or leaving, by name."""
        return sorted(n for n, (_, s) in self.nodes.items() if s is not Standing.GONE and n != self._name)

    def has(self, member: Member) -> bool:
        """Whether it is a member. Raises StoreError `bad_request` if its name or address is another's."""
        if self.nodes.get(member.name) == (member, Standing.MEMBER):
            return True
        objection = objection_to(member, self.nodes, listening(self.nodes))
        if objection is not None:
            raise StoreError("bad_request", objection)
        return False

    def join(self, member: Member, now_ns: int, done: Callable[[], None]) -> None:
        """An operator has the node join. Raises StoreError `bad_request` if its name or address is another's."""
        if self.has(member):
            done()
        else:
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

    def known(self, identities: Iterable[int]) -> list[Change]:
        """The changes of these identities that are known here."""
        return [self._changes[name] for name in identities if name in self._changes]

    def unknown(self, identities: Iterable[int]) -> list[int]:
        """The identities whose changes are not known here."""
        return [name for name in identities if name not in self._changes]

    @property
    def identities(self) -> list[int]:
        """The identities of all known changes, in the order in which they were learnt."""
        return list(self._changes)

    def merge(self, changes: Iterable[Change], done: Callable[[], None] = lambda: None) -> None:
        """Learn changes. `done` and the listeners are called once they are durable. Malformed ones are dropped."""
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
        if counter > CHANGES_MAX:
            # A holder of the key made up a change with the last number: no node could read a change after it.
            raise StoreError("bad_request", "the history's numbers are used up; begin a new cluster, and copy the data")
        self.merge(
            [Change(counter, self._name, kind, member.name, member.address, member.zone, member.capacity, now_ns)], done
        )

    def _learn(self, changes: list[Change]) -> None:
        new = sorted((change for change in changes if identity(change) not in self._changes), key=order)
        if not self._add(new):
            return
        before, own = self.ring, self.nodes.get(self._name)
        self.past.append(before)
        later = order(new[0]) > self._last and all(change.kind is not Kind.START for change in new)
        if later and self.ring.members:
            # The usual case. It avoids folding a long history anew at each change.
            self.ring, self.nodes = resume(new, self.ring, self.nodes, self._pass)
        else:
            self.ring, self.nodes = fold(self._changes.values(), self._config, self._pass)
        self._last = max(self._last, order(new[-1]))
        self._see_to_itself(own)
        for listener in self.on_change:
            listener(before)

    def _pass(self, change: Change, reason: str) -> None:
        if identity(change) not in self._passed:
            self._passed.add(identity(change))
            node = f"{change.name!r} at {host_port(change.address)}"
            by = f"told to {change.issuer}" if change.issuer else "of a cluster's beginning"
            self._note(f"the {change.kind} of {node}, {by}, has no effect: {reason}")

    def _see_to_itself(self, before: tuple[Member, Standing] | None) -> None:
        """Adjust to what the change means for this node. before: its own standing until now."""
        now = self.nodes.get(self._name)
        if (
            before is not None
            and now is not None
            and Standing.GONE not in (before[1], now[1])
            and before[0].address != now[0].address
            and not self._displaced
        ):
            # In the ring before and after, at another address: not this node, but another of the same name.
            self._displaced = True
            self._replica.store((Record(RING, _DISPLACED, b""),), lambda: None)
        refused, self.refusal = self.refusal, self._refusal()
        if self.refusal is not None:
            if self.refusal != refused:
                self._note(self.refusal)
        elif refused is not None or before is None or self.standing is not before[1]:
            self._note(f"{self._name} is {'leaving' if self.standing is Standing.LEAVING else 'a member of'} the ring")

    def _refusal(self) -> str | None:
        standing = self.standing
        if self._displaced:
            text = f"another node is {self._name!r} in this ring; start this one as a new node, of a name of its own"
            return f"{text} and on an empty directory, and join it"
        if standing is None or not self.ring.members:
            return f"{self._name} is outside the ring; join it, or ask a member"
        if standing is Standing.GONE:
            return f"{self._name} is no longer in the ring; join it again, or ask a member"
        return None

    def _compare(self, given: set[Member]) -> None:
        """Log it if the members given at the start are neither the beginning's nor today's."""
        began = {change.member for change in self._changes.values() if change.kind is Kind.START}
        if given != began and given != set(self.ring.members.values()):
            text = "the members given at the start are ignored: the stored history of joins and leaves has"
            self._note(f"{text} {', '.join(self.ring.members)}; change that with join and leave")

    def _read(self, reader: Reader) -> list[Change]:
        """The stored history. Damaged changes count as absent: other nodes bring them back."""
        changes, damaged = [], 0
        try:
            for key, stored in reader.scan(RING):
                if len(key) == IDENTITY_BYTES:
                    try:
                        changes.append(_changes.decode(stored))
                    except (msgspec.MsgspecError, UnicodeDecodeError):
                        damaged += 1
        except DamagedRecord:
            changes, damaged = [], damaged + 1
        if damaged:
            self._note(f"{damaged} changes of the stored history are damaged; the other nodes are asked for them")
        return changes

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


def _marked(reader: Reader) -> bool:
    """Whether the disk says that this node's name belongs to another."""
    try:
        return reader.get(RING, _DISPLACED) is not None
    except DamagedRecord:
        return True


def _record(change: Change) -> Record:
    return Record(RING, identity(change).to_bytes(IDENTITY_BYTES), msgspec.msgpack.encode(change))
