"""Messages: what clients and nodes say to each other.

1. A message is a tagged struct in msgpack; what does not decode to one of these types exactly is dropped.
2. Requests are safe to repeat: a retried put carries the same request id, and a replica write is a merge.
3. Clients may send only `ClientRequest`s; the rest is between nodes. (Both hold the cluster's key: the split is for
   clarity, not for security.)
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from store.actions import Address
from store.errors import StoreError
from store.versions import Dot, VersionSet


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Get(_Message, frozen=True, tag="get"):
    """Read a key. r: how many replicas must answer; None is the cluster's own."""

    key: bytes
    r: int | None = None


class Put(_Message, frozen=True, tag="put"):
    """Write a key; value None deletes it. context: None is a blind write. w: how many must hold it durably."""

    key: bytes
    value: bytes | None
    context: bytes | None
    w: int | None = None


class Local(_Message, frozen=True, tag="local"):
    """What this node itself holds of a key."""

    key: bytes


class Status(_Message, frozen=True, tag="status"):
    """How this node is."""


class Members(_Message, frozen=True, tag="members"):
    """Who is in the ring, for clients that go straight to a home."""


class Forward(_Message, frozen=True, tag="fwd"):
    """A client's request, handed to a home of its key. request_id: the client's. dot: of a put, given by the sender."""

    request_id: int
    request: Get | Put
    dot: Dot | None = None


class Read(_Message, frozen=True, tag="read"):
    """Replica read: the whole state of a key."""

    key: bytes


class Write(_Message, frozen=True, tag="write"):
    """Replica write: merge this state, durably. owner: keep it as a hint for that node; None means it is yours."""

    key: bytes
    state: VersionSet
    owner: str | None = None


class Ping(_Message, frozen=True, tag="ping"):
    """Are you there?"""


class Values(_Message, frozen=True, tag="values"):
    """Answer to Get: the siblings, and a context that covers them all."""

    values: list[bytes]
    context: bytes


class Stored(_Message, frozen=True, tag="stored"):
    """Answer to Put: a context that covers this write and what it replaced."""

    context: bytes


class Held(_Message, frozen=True, tag="held"):
    """Answer to Local. home: this node is one of the key's primaries. hints_for: whose state is kept for them."""

    home: bool
    state: VersionSet
    hints_for: list[str]


class Report(_Message, frozen=True, tag="report"):
    """Answer to Status, as JSON."""

    json: bytes


class View(_Message, frozen=True, tag="view"):
    """Answer to Members. members: name to address. settings: the cluster's configuration."""

    members: dict[str, Address]
    settings: dict[str, str]


class State(_Message, frozen=True, tag="state"):
    """Answer to Read: None if the node holds nothing of the key."""

    state: VersionSet | None


class Written(_Message, frozen=True, tag="written"):
    """Answer to Write: it is durable here."""


class Pong(_Message, frozen=True, tag="pong"):
    """Answer to Ping."""


class Failed(_Message, frozen=True, tag="failed"):
    """Answer to any request: an error of `errors.REGISTRY`."""

    code: str
    message: str


ClientRequest = Get | Put | Local | Status | Members
Request = ClientRequest | Forward | Read | Write | Ping
Reply = Values | Stored | Held | Report | View | State | Written | Pong | Failed

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)

T = TypeVar("T")


class Malformed(ValueError):
    """Bytes that are no message of the expected kind."""


def after_others(reply: Reply) -> Reply:
    """An answer to a put that other nodes were asked before: a refusal of this one says nothing of what those did."""
    if isinstance(reply, Failed) and StoreError(reply.code, reply.message).kind.definite:
        return Failed("timeout", f"a node did not answer, and another refused ({reply.code}: {reply.message})")
    return reply


def encode(message: Request | Reply) -> bytes:
    return _encoder.encode(message)


def decode_request(payload: bytes) -> Request:
    """Raises Malformed."""
    return _decode(_requests, payload)


def decode_reply(payload: bytes) -> Reply:
    """Raises Malformed."""
    return _decode(_replies, payload)


def _decode(decoder: msgspec.msgpack.Decoder[T], payload: bytes) -> T:
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        # msgspec lets UnicodeDecodeError out of strings that are not UTF-8.
        raise Malformed(str(problem)) from None
