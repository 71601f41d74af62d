"""The client's core: a state machine without I/O that finds a node, retries, and fails over.

1. A request keeps its id over every retry, to whichever node. A node that is silent is retried; once it has been silent
   for `FAILOVER_S` the next node is tried, if more than one is known.
2. An answer is a result or a failure. No answer in `TIMEOUT_S` is no answer: the outcome is indeterminate.
3. Once it has learnt the members, a request goes straight to a primary replica of its key (section 6.4, client-driven
   coordination). An answer that shows that the node has another view makes the client ask for that view at once.
4. A put goes to the replica that answered first in the get before it, as its context says (section 5).
5. A request that a node refuses as `busy` comes back when the node says, under a new id, for up to `PATIENCE_S`. Its
   `TIMEOUT_S` begins anew, since nothing was done.
6. A node that says that it is no member, or that its disk is full, did nothing: the next node is asked.

Dynamo (SOSP 2007), sections 4.5, 5 and 6.4.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import reduce
from operator import xor

from splitbrain.store.actions import Action, Address, Bits, Instant, host_port
from splitbrain.store.config import Config, ConfigError
from splitbrain.store.errors import StoreError
from splitbrain.store.membership.history import fold
from splitbrain.store.ring.ring import Ring
from splitbrain.store.scheduling.timers import Present, Timers
from splitbrain.store.versions.context import accept
from splitbrain.store.wire.changes import Change, identity
from splitbrain.store.wire.client_messages import ClientRequest, Failed, Get, Members, Put, Stored, Values, View
from splitbrain.store.wire.datagrams import Wire
from splitbrain.store.wire.limits import transfer_s
from splitbrain.store.wire.messages import Reply, after_others
from splitbrain.store.wire.rpc import Rpc

TIMEOUT_S = 4.0
PATIENCE_S = 30.0
"""How long a request is brought back to a node that is busy."""
BUSY_MIN_S = 0.01
DID_NOTHING = ("not_member", "disk_full")
FAILOVER_S = 1.8
"""Longer than a coordinator takes (`config.request_timeout_s` and its forwarding)."""


class ClientCore:
    """A client as a state machine, driven like a `node.Node`.

    nodes: where to send requests, in the order in which they are tried. secret, cluster: the nodes' own. name: for
    their logs.
    """

    def __init__(self, nodes: Sequence[Address], *, secret: bytes, cluster: str, bits: Bits, name: str = "client"):
        if not nodes:
            raise ValueError("a client needs the address of at least one node")
        self._nodes = list(nodes)
        self._secret = secret
        self._out: list[Action] = []
        self._present = Present(Instant(0.0, 0))
        self._timers = Timers()
        wire = Wire(secret, cluster, name, bits)
        self._rpc = Rpc(wire, self._timers, self._present, bits, self._out)
        self._bits = bits
        self._changes: dict[int, Change] = {}
        self._views = {0}
        """Digests of the histories that this client has merged, or asked for."""
        self._ring: Ring | None = None
        self.view = 0
        """The digest of the history that the ring is made of; 0 before there is one."""

    def request(self, request: ClientRequest, now: Instant, on_reply: Callable[[Reply | None], None]) -> list[Action]:
        """Begin a request; on_reply gets the answer, or None if none came in `TIMEOUT_S` and no node is busy."""
        self._present.now = now
        self._begin(request, now.monotonic + PATIENCE_S, on_reply)
        return self._actions()

    def buffer(self, datagrams: int) -> None:
        """How many datagrams the socket's receive buffer holds: what nodes are granted depends on it."""
        self._rpc.long.buffer_datagrams = datagrams

    def receive(self, datagram: bytes, source: Address, now: Instant) -> list[Action]:
        """A datagram has come."""
        self._present.now = now
        self._rpc.receive(datagram, source)
        return self._actions()

    def wake(self, now: Instant) -> list[Action]:
        """The moment that `next_wake` named has come."""
        self._present.now = now
        self._timers.run(now.monotonic)
        return self._actions()

    @property
    def next_wake(self) -> float | None:
        """When to call `wake` next (monotonic seconds)."""
        return self._timers.next

    def learn(self, view: View) -> None:
        """Go straight to the primary replicas of keys from now on, by this view and those before it.

        Views are merged: one from a node that lags behind takes nothing back. O(changes * partitions).
        Raises StoreError if they make no ring.
        """
        known = self._changes | {identity(change): change for change in view.changes}
        if self._ring is not None and len(known) == len(self._changes):
            return
        try:
            ring, _ = fold(known.values(), Config().changed(view.settings))
        except ConfigError as problem:
            text = f"can't use the node's view ({problem}); is it of another version?"
            raise StoreError("bad_request", text) from None
        if not ring.members:
            raise StoreError("not_member", "the node knows no ring; ask a member, or have this one join first")
        self._changes, self._ring = known, ring
        self.view = reduce(xor, known)
        self._views.add(self.view)

    def says(self) -> str:
        """What nodes said instead of answering (`rejections`), for a person to read; "" if they said nothing."""
        said = ((node, self._rpc.says(node)) for node in self._nodes)
        return "; ".join(f"{host_port(node)} says: {text}" for node, text in said if text)

    def error(self, reply: Reply | None) -> StoreError:
        """The error to raise for a reply that is not the result of a request; None: no reply came in time."""
        match reply:
            case None:
                remedy = self.says() or "check that the node runs, and that nothing swallows its datagrams"
                return StoreError("timeout", f"no answer within {TIMEOUT_S:g} s; {remedy}")
            case Failed():
                return StoreError(reply.code, reply.message)
            case _:
                text = f"the node answered with {type(reply).__name__}; is it of another version?"
                return StoreError("bad_request", text)

    def _begin(self, request: ClientRequest, until: float, on_reply: Callable[[Reply | None], None]) -> None:
        """Try it, and again later if the node is busy, until then."""

        def answered(reply: Reply | None) -> None:
            if isinstance(reply, Failed) and reply.code == "busy":
                # Under a new id: what comes late of the refused one is refused as well, so it is done once at most.
                after_s = max(BUSY_MIN_S, reply.retry_after_ms / 1000) * (1 + self._rpc.jitter() / 4)
                if self._present.now.monotonic + after_s < until:
                    at = self._present.now.monotonic + after_s
                    self._timers.at(at, lambda: self._begin(request, until, on_reply))
                    return
            on_reply(reply)

        deadline = self._present.now.monotonic + TIMEOUT_S + _transfer_s(request)
        self._try(request, self._rpc.new_id(), self._route(request), deadline, answered)

    def _route(self, request: ClientRequest) -> list[Address]:
        if self._ring is None or not isinstance(request, Get | Put | Members):
            return self._nodes
        members = self._ring.members
        if isinstance(request, Members):
            names = list(members)
            return [members[names[self._bits(32) % len(names)]].address, *self._nodes]
        fastest = self._fastest(request)
        primaries = sorted(self._ring.primaries(request.key), key=lambda primary: primary != fastest)
        return [*(members[name].address for name in primaries), *self._nodes]

    def _fastest(self, request: Get | Put) -> str:
        """The replica that answered first in the get that gave the put's context; "" if there is none."""
        if isinstance(request, Get):
            return ""
        try:
            return accept(self._secret, request.key, request.context).fastest
        except StoreError:
            return ""  # The node says what is wrong with the context.

    def _try(
        self,
        request: ClientRequest,
        request_id: int,
        nodes: list[Address],
        deadline: float,
        on_reply: Callable[[Reply | None], None],
    ) -> None:
        now = self._present.now.monotonic
        until = deadline if len(nodes) == 1 else min(deadline, now + FAILOVER_S + _transfer_s(request))

        def answered(reply: Reply | None) -> None:
            if isinstance(reply, Values | Stored) and self._ring is not None and reply.view not in self._views:
                self._refresh(nodes[0], reply.view)
            if reply is None and self._present.now.monotonic < deadline:
                self._try(request, request_id, nodes[1:], deadline, on_later_reply)
            elif isinstance(reply, Failed) and reply.code in DID_NOTHING and len(nodes) > 1:
                self._try(request, request_id, nodes[1:], deadline, on_reply)
            else:
                on_reply(reply)

        def on_later_reply(reply: Reply | None) -> None:
            on_reply(after_others(reply) if reply is not None and isinstance(request, Put) else reply)

        self._rpc.ask(nodes[0], request, until, answered, request_id, defers=True)

    def _refresh(self, node: Address, view: int) -> None:
        """The node has another view: ask for it, once."""
        self._views.add(view)

        def answered(reply: Reply | None) -> None:
            if isinstance(reply, View):
                with contextlib.suppress(StoreError):  # The old view still works, a hop longer at worst.
                    self.learn(reply)
            else:
                self._views.discard(view)

        self._rpc.ask(node, Members(self.view), self._present.now.monotonic + FAILOVER_S, answered)

    def _actions(self) -> list[Action]:
        actions = self._out[:]
        self._out.clear()
        return actions


def _transfer_s(request: ClientRequest) -> float:
    """How much longer than a small request it may take: to a coordinator, and from there to the replicas."""
    return 2 * transfer_s(request.value) if isinstance(request, Put) else 0.0
