"""Messages: every request and reply of the protocol, encoded and decoded.

1. A message is a tagged struct in msgpack. Bytes that do not decode to exactly one of these types are dropped.
2. `client_messages` has what clients say, `peer_messages` what nodes say to each other.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from splitbrain.store.errors import StoreError
from splitbrain.store.wire.client_messages import (
    Changed,
    ClientRequest,
    Failed,
    Held,
    Report,
    Stored,
    Values,
    View,
)
from splitbrain.store.wire.peer_messages import (
    Accepted,
    AskQuiet,
    Children,
    Declined,
    Differing,
    Fetched,
    Forward,
    Handover,
    History,
    Holding,
    Kept,
    Listings,
    Moved,
    Ping,
    Pong,
    Quiet,
    Read,
    Reap,
    Reconcile,
    Serving,
    State,
    Swapped,
    Sync,
    Tell,
    Told,
    Write,
    Written,
)

Request = ClientRequest | Forward | Read | Write | Ping | Tell | Reconcile | Handover | Sync | AskQuiet | Reap
Reply = (
    Values
    | Stored
    | Held
    | Report
    | View
    | Changed
    | State
    | Written
    | Moved
    | Pong
    | Told
    | History
    | Accepted
    | Declined
    | Kept
    | Serving
    | Holding
    | Fetched
    | Differing
    | Children
    | Listings
    | Swapped
    | Quiet
    | Failed
)

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)

T = TypeVar("T")


class Malformed(ValueError):
    """Bytes that do not decode to a message of the expected kind."""


def did_nothing(reply: Reply | None) -> bool:
    """Whether who answers that certainly did not do what it was asked, and another node may do it."""
    return isinstance(reply, Failed) and reply.code in ("busy", "disk_full", "not_member")


def after_others(reply: Reply, perhaps: int) -> Reply:
    """The answer to a put for which other nodes were asked as well: a refusal by one of them does not cover the others.

    perhaps: how many nodes were asked, but for those that `did_nothing`.
    """
    if not isinstance(reply, Failed) or not StoreError(reply.code, reply.message).kind.definite:
        return reply
    if perhaps <= (not did_nothing(reply)):  # Who refused for another reason is counted, and is no other to itself.
        return reply
    return Failed("timeout", f"a node did not answer, and another refused ({reply.code}: {reply.message})")


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
