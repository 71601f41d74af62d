"""The client's core: a state machine without I/O that finds a node, retries, hedges, and fails over.

1. A put keeps its identity (`identities`) over every retry, to whichever node. A node that is silent is retried. One
   that has been silent for `HEDGE_ROUND_TRIPS` round trips is left to it, and the next is asked as well. The first
   result counts, and nobody is asked any more. A node that takes in a large value is not silent, and is given longer to
   hand it on (`limits.silent_at`).
2. An answer is a result or a failure. No answer in `TIMEOUT_S` is no answer: the outcome is indeterminate. While
   another node may still have a result, a failure is not the end.
3. Once it has learnt the members, a request goes straight to a primary replica of its key (section 6.4, client-driven
   coordination), and if all of those are silent to any other member. An answer that shows that the node has another
   view makes the client ask for that view at once.
4. A put goes to the replica that answered first in the get before it, as its context says (section 5).
5. A node that says that it is no member, that its disk is full, or that it is `busy`, did nothing: the next node is
   asked. One that does not know the outcome has not done it for all that the client can tell, and the next is asked as
   well.
6. Where all primaries that answer are busy, nobody else is asked: others would only hand it to those. Each is come back
   to when it said, for up to `PATIENCE_S`, and `TIMEOUT_S` begins anew. This goes under a new request id: what comes
   late of a refused one is refused as well.
7. A node that let a request wait is asked last from then on (`candidates`).
8. What is about one node (its status, its own copy, a change that it is to make) is hedged late, after `FAILOVER_S`.

Dynamo (SOSP 2007), sections 4.5, 5 and 6.4.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from math import inf
from operator import xor
from typing import NamedTuple

from msgspec.structs import replace

from splitbrain.store.actions import Action, Address, Bits, Instant, host_port
from splitbrain.store.candidates import Candidates
from splitbrain.store.config import Config, ConfigError
from splitbrain.store.errors import StoreError
from splitbrain.store.membership.history import fold
from splitbrain.store.ring.ring import Ring
from splitbrain.store.scheduling.timers import Present, Timer, Timers
from splitbrain.store.versions.context import accept
from splitbrain.store.versions.identities import Identities
from splitbrain.store.wire.changes import Change, identity
from splitbrain.store.wire.client_messages import ClientRequest, Failed, Get, Members, Put, Stored, Values, View
from splitbrain.store.wire.datagrams import Wire
from splitbrain.store.wire.limits import silent_at, transfer_s
from splitbrain.store.wire.messages import Reply, after_others, did_nothing
from splitbrain.store.wire.peer_messages import Ping
from splitbrain.store.wire.rpc import Rpc

TIMEOUT_S = 4.0
PATIENCE_S = 30.0
"""How long a request is brought back to nodes that are busy."""
BUSY_MIN_S = 0.01
UNKNOWN = ("timeout", "quorum_failed")
FAILOVER_S = 1.8
"""Longer than a coordinator takes (`config.request_timeout_s` and its forwarding)."""
HEDGE_ROUND_TRIPS = 3
HEDGE_FIRST_S, HEDGE_MIN_S, HEDGE_MAX_S = 0.15, 0.05, 0.25
"""Before a round trip was measured; longer than one retry takes (`rpc`); shorter than a person notices."""
PING_S = 1.0

OnReply = Callable[[Reply | None], None]


class _Try(NamedTuple):
    """A node was asked, under this id. asked_at: monotonic seconds."""

    request_id: int
    asked_at: float


@dataclass(slots=True, eq=False)
class _Request:
    """A request under way. until: when it is not brought back any more. limit: when it ends, whatever happens.

    Times are monotonic seconds.
    homes: where its key is at home; empty: not known. untried: nodes, the next one first. out: those that were asked
    and have not answered, the last one last. busy: those that said so, and when to come back. perhaps: how many tries
    there were, but for those of nodes that did nothing. failure: the last that was heard.
    """

    request: ClientRequest
    until: float
    limit: float
    on_reply: OnReply
    request_id: int = 0
    deadline: float = 0.0
    homes: Sequence[Address] = ()
    untried: list[Address] = field(default_factory=list)
    out: dict[Address, _Try] = field(default_factory=dict)
    busy: dict[Address, float] = field(default_factory=dict)
    perhaps: int = 0
    failure: Failed | None = None
    timer: Timer | None = None
    over: bool = False

    @property
    def about_one_node(self) -> bool:
        return not isinstance(self.request, Get | Put | Members)

    @property
    def value(self) -> bytes | None:
        return self.request.value if isinstance(self.request, Put) else None

    def has_next(self, now: float) -> bool:
        """Whether there is another node to ask now."""
        if not self.untried or now >= self.deadline:
            return False
        return not (self.busy and self.homes) or self.untried[0] in self.homes


class ClientCore:
    """A client as a state machine, driven like a `node.Node`.

    nodes: over which gets and puts are spread; the first is asked what is about one node. standby: asked where none of
    those answers. secret, cluster: the nodes' own. name: for their logs.
    """

    def __init__(
        self,
        nodes: Sequence[Address],
        *,
        secret: bytes,
        cluster: str,
        bits: Bits,
        name: str = "client",
        standby: Sequence[Address] = (),
    ) -> None:
        if not nodes:
            raise ValueError("a client needs the address of at least one node")
        self._secret = secret
        self._out: list[Action] = []
        self._present = Present(Instant(0.0, 0))
        self._timers = Timers()
        wire = Wire(secret, cluster, name, bits)
        self._rpc = Rpc(wire, self._timers, self._present, bits, self._out)
        self._bits = bits
        self._candidates = Candidates(nodes, standby, bits(32) if len(nodes) > 1 else 0)
        self._identities = Identities(bits)
        self._changes: dict[int, Change] = {}
        self._views = {0}
        """Digests of the histories that this client has merged, or asked for."""
        self._ring: Ring | None = None
        self.view = 0
        """The digest of the history that the ring is made of; 0 before there is one."""

    def request(self, request: ClientRequest, now: Instant, on_reply: OnReply, timeout_s: float = inf) -> list[Action]:
        """Begin a request; on_reply gets the answer, or None if none came in `TIMEOUT_S` and no node is busy.

        timeout_s: it ends after that, busy nodes or not.
        """
        self._present.now = now
        for suspected in self._candidates.to_ping(now.monotonic):
            self._ping(suspected)
        if isinstance(request, Put):
            request, on_reply = self._identify(request, on_reply)
        limit = now.monotonic + timeout_s
        self._begin(_Request(request, min(now.monotonic + PATIENCE_S, limit), limit, on_reply))
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
        said = ((node, self._rpc.says(node)) for node in self._candidates.in_order())
        return "; ".join(f"{host_port(node)} says: {text}" for node, text in said if text)

    def error(self, reply: Reply | None, timeout_s: float = inf) -> StoreError:
        """The error to raise for a reply that is not the result of a request; None: no reply came in time."""
        match reply:
            case None:
                remedy = self.says() or "check that the node runs, and that nothing swallows its datagrams"
                return StoreError("timeout", f"no answer within {min(TIMEOUT_S, timeout_s):g} s; {remedy}")
            case Failed():
                return StoreError(reply.code, reply.message)
            case _:
                text = f"the node answered with {type(reply).__name__}; is it of another version?"
                return StoreError("bad_request", text)

    def _homes(self, request: ClientRequest) -> list[Address]:
        """Who is to do it: the primaries of its key, likely the fastest first, or the one node. []: whoever."""
        if not isinstance(request, Get | Put | Members):
            return self._candidates.in_order()[:1]
        if self._ring is None or isinstance(request, Members):
            return []
        primaries, fastest = self._ring.preference(request.key)[: self._ring.n], self._fastest(request)
        ordered = sorted(primaries, key=lambda primary: primary != fastest)
        return [self._ring.members[name].address for name in ordered]

    def _route(self, request: ClientRequest, homes: Iterable[Address]) -> Iterable[Address]:
        given = self._candidates.in_order()
        if not isinstance(request, Get | Put | Members):
            return given
        if self._ring is None:
            return self._candidates.in_turn()
        members = self._ring.members
        if isinstance(request, Members):
            names = list(members)
            return [members[names[self._bits(32) % len(names)]].address, *given]
        return [*homes, *(members[name].address for name in self._ring.preference(request.key)), *given]

    def _fastest(self, request: Get | Put) -> str:
        """The replica that answered first in the get that gave the put's context; "" if there is none."""
        if isinstance(request, Get):
            return ""
        try:
            return accept(self._secret, request.key, request.context).fastest
        except StoreError:
            return ""  # The node says what is wrong with the context.

    def _identify(self, put: Put, on_reply: OnReply) -> tuple[Put, OnReply]:
        identity = self._identities.give(put.key, self._present.now.wall_ns)

        def replied(reply: Reply | None) -> None:
            if not isinstance(reply, Stored):
                self._identities.failed(put.key, identity)
            on_reply(reply)

        return replace(put, identity=identity), replied

    def _begin(self, request: _Request) -> None:
        """Ask one node after another, but for those that are busy still."""
        now = self._present.now.monotonic
        request.busy = {node: due for node, due in request.busy.items() if due > now}
        request.request_id = self._rpc.new_id()
        transfers_s = 2 * transfer_s(request.value)  # To a coordinator, and on to the replicas.
        request.deadline = min(now + TIMEOUT_S + transfers_s, request.limit)
        request.homes = self._homes(request.request)
        nodes = self._candidates.best_first(self._route(request.request, request.homes))
        request.untried = [node for node in nodes if node not in request.out and node not in request.busy]
        if request.has_next(now):
            self._next(request)
        else:
            self._arm(request)

    def _next(self, request: _Request) -> None:
        """Ask the next node."""
        node = request.untried.pop(0)
        request.out[node] = _Try(request.request_id, self._present.now.monotonic)
        request.perhaps += 1
        answered = partial(self._answered, request, node)
        self._rpc.ask(node, request.request, request.deadline, answered, request.request_id, defers=True)
        self._arm(request)

    def _arm(self, request: _Request) -> None:
        """See to it that somebody is asked if the last one is silent, or when one that was busy may be less so."""
        if request.timer is not None:
            request.timer.cancel()
            request.timer = None
        dues = list(request.busy.values())
        if request.out and request.has_next(self._present.now.monotonic):
            dues.append(self._silent_at(request, next(reversed(request.out))))
        if dues and not request.over:
            request.timer = self._timers.at(min(dues), partial(self._look, request))

    def _look(self, request: _Request) -> None:
        request.timer = None
        now = self._present.now.monotonic
        if any(due <= now for due in request.busy.values()):
            self._begin(request)
        elif request.has_next(now) and self._silent_at(request, next(reversed(request.out))) <= now:
            self._next(request)
        else:
            self._arm(request)

    def _silent_at(self, request: _Request, node: Address) -> float:
        """When that node, which is asked, counts as silent."""
        asked = request.out[node]
        heard_at = self._rpc.heard_at(node, asked.request_id)
        return silent_at(asked.asked_at, heard_at, self._patience_s(request, node), request.value)

    def _patience_s(self, request: _Request, node: Address) -> float:
        if request.about_one_node:
            return FAILOVER_S
        round_trip_s = self._rpc.round_trip_s(node)
        usual = HEDGE_FIRST_S if round_trip_s is None else HEDGE_ROUND_TRIPS * round_trip_s
        return min(HEDGE_MAX_S, max(HEDGE_MIN_S, usual))

    def _answered(self, request: _Request, node: Address, reply: Reply | None) -> None:
        if request.over:
            return
        del request.out[node]
        if reply is None:
            self._suspect(node)
        else:
            self._candidates.trust(node)
        if isinstance(reply, Values | Stored) and self._ring is not None and reply.view not in self._views:
            self._refresh(node, reply.view)
        if isinstance(reply, Failed):
            self._failed(request, node, reply)
        elif reply is not None:
            self._finish(request, reply)
        elif request.out or request.busy:
            self._arm(request)
        else:
            self._finish(request, request.failure)

    def _failed(self, request: _Request, node: Address, failure: Failed) -> None:
        now = self._present.now.monotonic
        request.failure = failure
        request.perhaps -= did_nothing(failure)
        if failure.code == "busy":
            due = now + max(BUSY_MIN_S, failure.retry_after_ms / 1000) * (1 + self._rpc.jitter() / 4)
            if due < request.until:
                request.busy[node] = due
        elif not did_nothing(failure) and (failure.code not in UNKNOWN or request.about_one_node):
            request.untried, request.busy = [], {}  # No other would say anything else.
        if request.has_next(now):
            self._next(request)
        elif request.out or request.busy:
            self._arm(request)
        else:
            self._finish(request, failure)

    def _finish(self, request: _Request, reply: Reply | None) -> None:
        request.over = True
        if request.timer is not None:
            request.timer.cancel()
        for node, asked in request.out.items():
            if self._silent_at(request, node) <= self._present.now.monotonic:
                self._suspect(node)
            self._rpc.drop(node, asked.request_id)
        if reply is not None and isinstance(request.request, Put):
            reply = after_others(reply, request.perhaps)
        request.on_reply(reply)

    def _suspect(self, node: Address) -> None:
        if self._candidates.suspect(node, self._present.now.monotonic):
            self._ping(node)

    def _ping(self, node: Address) -> None:
        def answered(reply: Reply | None) -> None:
            if reply is not None:
                self._candidates.trust(node)

        self._rpc.ask(node, Ping(), self._present.now.monotonic + PING_S, answered)

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
