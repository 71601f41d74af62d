"""Outbound transfers: what a sender knows of each, and what of it is durable.

1. An outbound transfer is only in memory until its token is given up: a crash before that undoes the transfer.
2. Once the token is given up the transfer is on disk, so that a restart tells the receiver again (`sender`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from splitbrain.store.actions import Reader, Record
from splitbrain.store.storage.engine import DamagedRecord
from splitbrain.store.storage.tokens import Token, pack, unpack

SENDING = "giving"
"""The engine's space for transfers whose token is given up. Disks in use have it under this name."""


class _Given(msgspec.Struct, frozen=True, array_like=True):
    """A token that was given up, and to whom."""

    receiver: str
    start: bytes
    end: bytes
    slot: int


@dataclass(slots=True)
class Outbound:
    """A transfer from this node.

    receiver: a node's name; this node's own for a surplus token (`surplus`). after: the last key that was sent in
    order. scanned: whether all keys were sent once. changed: keys that changed since they were sent.
    changed_pages: pages of changed keys sent so far. sending: whether a page is under way. closing: whether no more
    writes are taken. given_up: whether the token is given up; then only the receiver has to be told.
    """

    receiver: str
    token: Token
    after: bytes | None = None
    scanned: bool = False
    changed: dict[bytes, None] = field(default_factory=dict)
    changed_pages: int = 0
    sending: bool = False
    closing: bool = False
    given_up: bool = False


def record(number: int, outbound: Outbound | None) -> Record:
    """The record of a transfer whose token is given up; None deletes it. number: the transfer's."""
    if outbound is None:
        return Record(SENDING, number.to_bytes(8), None)
    token = outbound.token
    given = _Given(outbound.receiver, *pack(token.range), token.slot)
    return Record(SENDING, number.to_bytes(8), msgspec.msgpack.encode(given))


def stored(reader: Reader) -> dict[int, Outbound]:
    """The transfers on disk, by number; none if their records are damaged: then `reclaim` finds the tokens."""
    decoder = msgspec.msgpack.Decoder(_Given)
    outbound = {}
    try:
        for key, value in reader.scan(SENDING):
            given = decoder.decode(value)
            token = Token(*unpack((given.start, given.end)), given.slot)
            outbound[int.from_bytes(key)] = Outbound(given.receiver, token, given_up=True)
    except DamagedRecord:
        return {}
    return outbound
