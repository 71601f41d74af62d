"""Changes: one join or leave, as it is stored, gossiped and given to clients.

1. A change is immutable and carries its whole meaning: nodes that hold the same set of changes have the same ring
   (`history`).
2. `identity` names a change by its content, so two nodes can compare what they know without sending it.

Dynamo (SOSP 2007), section 4.8.1.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated

import msgspec

from splitbrain.store.actions import Address
from splitbrain.store.config import Member

CHANGES_MAX = 1 << 53
IDENTITY_BYTES = 8


class Kind(StrEnum):
    """What a change does. START: a member from the cluster's beginning."""

    START = "start"
    JOIN = "join"
    LEAVE = "leave"
    GONE = "gone"


class Change(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One change of the membership.

    counter, issuer: a Lamport stamp, from the node that an operator asked; changes are folded in this order.
    name, address, zone, capacity: the member's. issued_ns: the issuer's calendar clock.
    """

    counter: Annotated[int, msgspec.Meta(ge=0, le=CHANGES_MAX)]
    issuer: str
    kind: Kind
    name: str
    address: Address
    zone: str = ""
    capacity: int = 1
    issued_ns: Annotated[int, msgspec.Meta(ge=0, le=1 << 62)] = 0

    @property
    def member(self) -> Member:
        """The member that the change is about. Raises ConfigError if it is malformed."""
        return Member(self.name, self.address, self.zone, self.capacity)


def identity(change: Change) -> int:
    """The change's identity: 64 bits, from a hash of its content."""
    return int.from_bytes(hashlib.blake2b(msgspec.msgpack.encode(change), digest_size=IDENTITY_BYTES).digest())
