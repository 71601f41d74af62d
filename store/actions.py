"""What goes into the store's core and what comes out of it.

1. The core does nothing itself; it asks. Whoever runs it (`server`, or a simulator) carries the actions out in order.
2. `Persist` is answered by `Node.persisted(ticket)` once the records are durable as a whole. If the disk has no room
   for them, it is answered by `Node.persist_refused(ticket)`, and nothing of them was written. Then so is every
   `Persist` that was asked for before the node heard of it, in order: the node asks for all of them again.
3. Any other error of the disk ends the node. After a failed sync nobody can say what is on the disk, and a second try
   may succeed without having written anything (fsyncgate: PostgreSQL, 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

Address = tuple[str, int]
Bits = Callable[[int], int]
"""Randomness as an argument: `bits(k)` is a fresh integer of k random bits (`random.Random(seed).getrandbits`)."""


def host_port(address: Address) -> str:
    """An address as `host:port`, an IPv6 one in brackets (RFC 3986, section 3.2.2).

    >>> host_port(("10.0.0.1", 7000)), host_port(("::1", 7000))
    ('10.0.0.1:7000', '[::1]:7000')
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Instant(NamedTuple):
    """A moment. monotonic: seconds, for durations. wall_ns: the node's own calendar clock, which may be wrong."""

    monotonic: float
    wall_ns: int


class Record(NamedTuple):
    """A key in one of the engine's spaces, and its value; None deletes it."""

    space: str
    key: bytes
    value: bytes | None


class Send(msgspec.Struct, frozen=True, gc=False):
    """Put the datagram on the wire."""

    to: Address
    datagram: bytes


class Persist(NamedTuple):
    """Make the records durable, all or none, then call `persisted(ticket)`, or `persist_refused(ticket)`."""

    records: tuple[Record, ...]
    ticket: int


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the node's log: something a person who runs it should know."""

    text: str


@dataclass(frozen=True, slots=True)
class Halt:
    """End the process: this node must not run. The text says why, and what to do. Nothing more is asked for."""

    text: str


Action = Send | Persist | Note | Halt


class Reader(Protocol):
    """What the core may ask of an engine at once: durable records only."""

    def get(self, space: str, key: bytes) -> bytes | None: ...
    def scan(self, space: str, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Records by key, from `start` up to and without `end` (None: to the last)."""
