"""Incoming: a request as a node takes it from the network, to be answered once (`rpc`)."""

from __future__ import annotations

import msgspec

from splitbrain.store.actions import Address
from splitbrain.store.wire.messages import Request


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A request to be answered with `Rpc.answer`.

    name: the sender's own. retried: it was sent to an earlier incarnation before, which may have done it. long: it took
    more than one datagram.
    """

    incarnation: int
    name: str
    source: Address
    request_id: int
    request: Request
    retried: bool
    long: bool = False
