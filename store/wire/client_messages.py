"""Client messages: what a client asks of a node, and what the node answers.

1. A request is safe to repeat: a retried put carries the same request id.
2. Each answer stands below the request that it belongs to. `Failed` answers any request.
3. Clients send only `ClientRequest`s. Clients hold the cluster's key as well, so this is for clarity, not for security.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from splitbrain.store.actions import Address
from splitbrain.store.versions.dotted import Dot, VersionSet
from splitbrain.store.wire.changes import Change

RETRY_AFTER_MAX_MS = 60_000


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The base of every message. Garbage collection is off: an immutable value of plain values is in no cycle."""


class Get(Message, frozen=True, tag="get"):
    """Read a key. r: how many replicas must answer; None: as configured. pr, sloppy: as in `config.Config`."""

    key: bytes
    r: int | None = None
    pr: int | None = None
    sloppy: bool | None = None


class Values(Message, frozen=True, tag="values"):
    """Answer to Get: the siblings, and a context that covers all of them.

    view: the digest of the membership's history at the coordinator. stamps: the stamp of each sibling, by which
    "newest" is decided.
    """

    values: list[bytes]
    context: bytes
    view: int = 0
    stamps: list[int] = []


class Put(Message, frozen=True, tag="put"):
    """Write a key. value: None deletes it. context: None is a blind write. w: how many replicas must hold it.

    pw, dw, sloppy: as in `config.Config`. identity: the client's name for this write (`identities`), the same over
    every retry; None: it has none, and must not be sent to a second node.
    """

    key: bytes
    value: bytes | None
    context: bytes | None
    w: int | None = None
    pw: int | None = None
    dw: int | None = None
    sloppy: bool | None = None
    identity: Dot | None = None


class Stored(Message, frozen=True, tag="stored"):
    """Answer to Put: a context that covers this write and what it replaced. view: as in Values.

    replicas: how many held the write when the coordinator answered. durable: how many of them durably.
    """

    context: bytes
    view: int = 0
    replicas: int = 0
    durable: int = 0


class Local(Message, frozen=True, tag="local"):
    """Ask what this node itself holds of a key."""

    key: bytes


class Held(Message, frozen=True, tag="held"):
    """Answer to Local. home: whether this node is a primary replica of the key. hints_for: whose hints are kept."""

    home: bool
    state: VersionSet
    hints_for: list[str]


class Status(Message, frozen=True, tag="status"):
    """Ask how this node is doing."""


class Report(Message, frozen=True, tag="report"):
    """Answer to Status, as JSON."""

    json: bytes


class Members(Message, frozen=True, tag="members"):
    """Ask who is in the ring, so that the client can go straight to a primary replica.

    view: the digest of the history that the client has; 0: it has none.
    """

    view: int = 0


class View(Message, frozen=True, tag="view"):
    """Answer to Members. changes: the history; empty if the client has all. settings: the cluster's configuration."""

    changes: list[Change]
    settings: dict[str, str]


class Join(Message, frozen=True, tag="join"):
    """Have the node at that address join the ring. It must be running. The fields are those of `config.Member`."""

    name: str
    address: Address
    zone: str = ""
    capacity: int = 1


class Leave(Message, frozen=True, tag="leave"):
    """Have the node leave the ring. gone: it is dead, and hands nothing over any more."""

    name: str
    gone: bool = False


class Changed(Message, frozen=True, tag="changed"):
    """Answer to Join and Leave: the change is durable here, and will spread. view: the digest of the new history."""

    view: int


class Failed(Message, frozen=True, tag="failed"):
    """Answer to any request: an error of `errors.REGISTRY`. retry_after_ms: with `busy`, when to come back."""

    code: str
    message: str
    retry_after_ms: Annotated[int, msgspec.Meta(ge=0, le=RETRY_AFTER_MAX_MS)] = 0


ClientRequest = Get | Put | Local | Status | Members | Join | Leave
