"""Hostile traffic: what a sender without the key can send to a node, and what a faulty holder of it can.

An *outsider* has no key. It can make up datagrams, and record, cut, flip, splice, replay and reorder those of others.
A holder of the cluster's key is trusted by design, and can do whatever a client or a node can; but even what it sends
sealed, malformed or extreme, must not bring a node down.
"""

from __future__ import annotations

import random
import types
import typing
from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice

import msgspec

from splitbrain.store.actions import Address, Note, Persist, Send
from splitbrain.store.node import Node
from splitbrain.store.storage.engine import MemoryEngine
from splitbrain.store.wire import datagrams, messages
from splitbrain.store.wire.datagrams import HELLO, REPLY, REQUEST, RETRY, Wire
from tests.store.box import CLUSTER, Box
from tests.store.wire.sides import fragmented

OUTSIDERS = [(f"10.9.{i // 250}.{i % 250 + 1}", 1024 + i) for i in range(1000)]


class Outsider:
    """Endless hostile datagrams. recorded: what it saw on the network, all of it delivered already."""

    def __init__(self, rng: random.Random, recorded: list[bytes], cluster: str) -> None:
        self.rng = rng
        self.recorded = recorded
        self.others = [
            Wire(rng.randbytes(32), cluster, "outsider", rng.getrandbits),
            Wire(rng.randbytes(32), "another cluster", "outsider", rng.getrandbits),
        ]
        self.attacks: dict[str, Callable[[], bytes]] = {
            "noise": lambda: rng.randbytes(rng.randrange(1400)),
            "oversized": lambda: self._seen() + rng.randbytes(rng.choice((1200, 9000, 60_000))),
            "flipped": self._flipped,
            "truncated": lambda: (seen := self._seen())[: rng.randrange(len(seen))],
            "extended": lambda: self._seen() + rng.randbytes(rng.randrange(1, 40)),
            "replayed": self._seen,
            "spliced": lambda: self._seen()[:23] + self._seen()[23:],
            "renumbered": lambda: (seen := self._seen())[:11] + rng.randbytes(12) + seen[23:],
            "other version": lambda: (seen := self._seen())[:2] + bytes([rng.randrange(256)]) + seen[3:],
            "another key": lambda: next(fragmented(self.others[0], rng.randrange(2), 1, 0, rng.randbytes(90))),
            "another cluster": lambda: next(fragmented(self.others[1], rng.randrange(2), 1, 0, rng.randbytes(90))),
            "notice": lambda: b"sN" + rng.randbytes(2) + self._seen()[11:23],
        }

    def datagrams(self) -> Iterator[tuple[str, bytes]]:
        """What kind of attack, and the datagram."""
        names = list(self.attacks)
        while True:
            name = self.rng.choice(names)
            yield name, self.attacks[name]()

    def _seen(self) -> bytes:
        return self.rng.choice(self.recorded)

    def _flipped(self) -> bytes:
        damaged = bytearray(self._seen())
        for _ in range(self.rng.choice((1, 1, 2, 8, 100))):
            damaged[self.rng.randrange(len(damaged))] ^= 1 << self.rng.randrange(8)
        # Two flips may undo each other: that would be a replay, which is another attack.
        return bytes(damaged)


def sealed(sender: Wire, inner: bytes) -> bytes:
    """A datagram with anything under the seal."""
    sender._sequence += 1
    outer = datagrams._OUTER.pack(
        datagrams._MAGIC, datagrams.PROTOCOL, sender._cluster, sender.incarnation, sender._sequence
    )
    return outer + sender._seal.encrypt(outer[datagrams.NONCE], inner, outer)


class Mad:
    """A holder of the key that sends, under its seal, garbage and messages of every kind with extreme values.

    names, keys: to make up values from. incarnation: of the node that it sends to.
    """

    def __init__(
        self,
        rng: random.Random,
        secret: bytes,
        cluster: str,
        names: list[str],
        keys: list[bytes],
        incarnation: Callable[[], int] = lambda: 0,
    ) -> None:
        self.rng = rng
        self.wire = Wire(secret, cluster, "mad", rng.getrandbits)
        self.names = names
        self.keys = keys
        self.incarnation = incarnation
        self.requests = typing.get_args(messages.Request)
        self.replies = typing.get_args(messages.Reply)

    def datagrams(self) -> Iterator[bytes]:
        """One datagram each: a whole message, or a fragment of one that never comes whole."""
        rng = self.rng
        while True:
            kind = rng.choice((REQUEST, REQUEST, REPLY))
            payload = self.payload(self.requests if kind == REQUEST else self.replies)
            kind = rng.choice((kind, kind, HELLO, RETRY))
            parts = list(fragmented(self.wire, kind, rng.getrandbits(64), self.incarnation(), payload))
            yield parts[rng.randrange(len(parts))] if len(parts) > 1 else parts[0]
            if rng.random() < 0.1:
                yield sealed(self.wire, rng.randbytes(rng.randrange(26, 1100)))

    def payload(self, kinds: tuple[type, ...]) -> bytes:
        """A message of one of those kinds, or something like it."""
        rng = self.rng
        if rng.random() < 0.1:
            return rng.randbytes(rng.randrange(200))
        try:
            encoded = msgspec.msgpack.encode(self.make(rng.choice(kinds)))
        except (OverflowError, UnicodeEncodeError, msgspec.MsgspecError):
            return b"\xc1"
        if rng.random() < 0.3:
            damaged = bytearray(encoded)
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            return bytes(damaged)
        return encoded

    def make(self, kind: typing.Any) -> typing.Any:
        """A value of that type, often at its limits; for a message, an instance with such fields."""
        rng = self.rng
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is typing.Annotated:
            limits = [each for each in arguments[1:] if isinstance(each, msgspec.Meta)]
            bounds = [bound for each in limits for bound in (each.ge, each.le) if bound is not None]
            return rng.choice(bounds) if bounds and rng.random() < 0.7 else self.make(arguments[0])
        if origin in (types.UnionType, typing.Union):
            return self.make(rng.choice(arguments))
        if origin is typing.Literal:
            return rng.choice(arguments)
        if origin in (list, tuple):
            if origin is tuple and arguments[-1:] != (...,):
                return tuple(self.make(each) for each in arguments)
            made = [self.make(arguments[0]) for _ in range(rng.choice((0, 1, 1, 2, 3, 40)))]
            return made if origin is list else tuple(made)
        if origin is dict:
            return {self.make(arguments[0]): self.make(arguments[1]) for _ in range(rng.choice((0, 1, 3)))}
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return kind(**{each.name: self.make(each.type) for each in msgspec.structs.fields(kind)})
        if isinstance(kind, type) and issubclass(kind, tuple):
            return kind(*(self.make(each) for each in typing.get_type_hints(kind).values()))
        return self.scalar(kind)

    def scalar(self, kind: typing.Any) -> typing.Any:
        """A value of a type that is made of no others."""
        rng = self.rng
        if kind is type(None):
            return None
        if kind is bool:
            return rng.random() < 0.5
        if kind is int:
            return rng.choice(
                (0, 1, 2, 3, 63, 255, 7000, 1 << 24, 1 << 53, (1 << 63) - 1, (1 << 64) - 1, -1, -(1 << 63))
            )
        if kind is float:
            return rng.choice((0.0, -1.0, 1e308, float("inf"), float("nan"), 1.5))
        if kind is bytes:
            return rng.choice((b"", b"k", b"\0" * 16, b"\xff" * 16, rng.randbytes(8), bytes(2000), *self.keys))
        if kind is str:
            return rng.choice(("", "n1", "\0", "\x1b[31m", "x" * 300, "ÿ", "10.0.0.1", *self.names))
        if isinstance(kind, type) and issubclass(kind, Enum):
            return rng.choice(list(kind))
        raise AssertionError(f"teach this generator about {kind!r}")


class Siege:
    """One node of a box under fire, called directly: every answer is looked at.

    Raises AssertionError if a datagram makes the node store anything, or send its source more than it sent.
    """

    def __init__(self, box: Box, target: str, rng: random.Random, recorded: list[bytes]) -> None:
        self.box = box
        self.host = box.hosts[target]
        self.rng = rng
        self.outsider = Outsider(rng, recorded, CLUSTER)
        self.attacks: Counter[str] = Counter()
        self.received_bytes = self.answered_bytes = 0

    def run(self, number: int, every: int = 500, between: Callable[[], None] = lambda: None) -> None:
        """Send that many datagrams; now and then let a little time pass, and do what comes `between`."""
        sources = [*OUTSIDERS, *(host.address for host in self.box.hosts.values()), *self.box.clients]
        for count, (name, datagram) in enumerate(islice(self.outsider.datagrams(), number), 1):
            self.attacks[name] += 1
            self._hit(datagram, self.rng.choice(sources))
            if count % every == 0:
                self.box.run_for(0.05)
                between()

    def _hit(self, datagram: bytes, source: Address) -> None:
        node = self.host.node
        assert node is not None
        actions = node.receive(datagram, source, self.box.instant(self.host))
        answered = 0
        for action in actions:
            assert not isinstance(action, Persist), datagram.hex()
            if isinstance(action, Note):
                self.host.log.append(action.text)
            if isinstance(action, Send):
                assert action.to == source, datagram.hex()
                answered += len(action.datagram)
        assert answered <= len(datagram), datagram.hex()
        self.received_bytes += len(datagram)
        self.answered_bytes += answered


def record(box: Box) -> list[bytes]:
    """From now on, all that is sent: to be replayed also to whom it was not meant for, and to who sent it."""
    recorded: list[bytes] = []

    def tap(source: str, to: str, datagram: bytes) -> bool:
        recorded.append(datagram)
        return True

    box.wiretap = tap
    return recorded


def held(node: Node) -> dict[str, int]:
    """How much the node keeps of what comes from the network."""
    rpc = node.inspect().core.rpc
    return {
        "senders": len(rpc._wire._windows),
        "partial messages": rpc.long._reassembly.held[0],
        "partial bytes": rpc.long._reassembly.held[1],
        "requests taken": len(rpc._taken),
        "peers": len(rpc._peers),
        "asked": len(rpc._asked),
        "flows": len(rpc.long._flows),
        "replies": len(rpc.long._replies),
        "counters": len(rpc.counters),
        "timers": len(node.inspect().core.timers._heap),
    }


def contents(engine: MemoryEngine) -> dict[tuple[str, bytes], bytes]:
    """Every durable record."""
    return {(space, key): value for space in sorted(engine._spaces) for key, value in engine.scan(space)}
