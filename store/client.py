"""The client: a core without I/O, and a thin async face on it.

1. A request keeps its id over every retry, to whichever node. While one node is silent it is retried there; once it
   has been silent for `FAILOVER_S` the next node is tried, if more than one is known.
2. An answer is a result or a `StoreError`; no answer in `TIMEOUT_S` is `timeout`, which is indefinite.
3. With `direct`, the client asks a random node for the members, every 10 s, and goes straight to a home of the key
   (section 6.4, client-driven coordination). A node whose answer shows that it has another view is asked at once.
   A put goes to the home that answered the get before it first, as its context says (section 5).
4. A node that says that it is no member did nothing: the next node is asked.

Dynamo (SOSP 2007), sections 4.1, 4.5 and 6.4.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import NoReturn, Protocol, TypeVar

import msgspec

from splitbrain.store.actions import Action, Address, Bits, Instant, Send
from splitbrain.store.config import Config, ConfigError, Member
from splitbrain.store.errors import StoreError
from splitbrain.store.membership.history import fold
from splitbrain.store.ring.ring import Ring
from splitbrain.store.scheduling.timers import Present, Timers
from splitbrain.store.versions.context import accept
from splitbrain.store.versions.resolvers import Resolved, Resolver, Sibling
from splitbrain.store.wire.changes import Change, identity
from splitbrain.store.wire.client_messages import (
    Changed,
    ClientRequest,
    Failed,
    Get,
    Held,
    Join,
    Leave,
    Local,
    Members,
    Put,
    Report,
    Status,
    Stored,
    Values,
    View,
)
from splitbrain.store.wire.datagrams import Wire
from splitbrain.store.wire.limits import check_key, check_value
from splitbrain.store.wire.messages import Reply, after_others
from splitbrain.store.wire.rpc import Exchange

TIMEOUT_S = 4.0
FAILOVER_S = 1.8
"""Longer than a coordinator takes (`config.request_timeout_s` and its forwarding)."""
VIEW_EVERY_S = 10.0

R = TypeVar("R")
T = TypeVar("T")


class ClientCore:
    """A client as a state machine, driven like a `node.Node`.

    nodes: where to send requests, in the order they are tried. secret, cluster: as the nodes'. name: for their logs.
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
        self._exchange = Exchange(wire, self._timers, self._present, bits, self._out)
        self._bits = bits
        self._changes: dict[int, Change] = {}
        self._views = {0}
        """Digests of the histories that are known to be part of what is known here."""
        self._ring: Ring | None = None
        self.view = 0
        """The digest of the history that the ring is made of; 0 before there is one."""

    def request(self, request: ClientRequest, now: Instant, on_reply: Callable[[Reply | None], None]) -> list[Action]:
        """Begin a request; on_reply gets the answer, or None if none came in `TIMEOUT_S`."""
        self._present.now = now
        nodes = self._route(request)
        deadline = now.monotonic + TIMEOUT_S
        self._try(request, self._exchange.new_id(), nodes, deadline, on_reply)
        return self._actions()

    def receive(self, datagram: bytes, source: Address, now: Instant) -> list[Action]:
        """A datagram has come."""
        self._present.now = now
        self._exchange.receive(datagram, source)
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
        """Go straight to the homes of keys from now on, as that view and those before have them.

        Views are joined, so that one of a node which lags behind takes nothing back. O(changes * partitions).
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
        said = ((node, self._exchange.says(node)) for node in self._nodes)
        return "; ".join(f"{host}:{port} says: {text}" for (host, port), text in said if text)

    def _route(self, request: ClientRequest) -> list[Address]:
        if self._ring is None or not isinstance(request, Get | Put | Members):
            return self._nodes
        members = self._ring.members
        if isinstance(request, Members):
            names = list(members)
            return [members[names[self._bits(32) % len(names)]].address, *self._nodes]
        fastest = self._fastest(request)
        homes = sorted(self._ring.homes(request.key), key=lambda home: home != fastest)
        return [*(members[name].address for name in homes), *self._nodes]

    def _fastest(self, request: Get | Put) -> str:
        """The home that answered first in the get which the put's context comes from; "" if there is none."""
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
        until = deadline if len(nodes) == 1 else min(deadline, now + FAILOVER_S)

        def answered(reply: Reply | None) -> None:
            if isinstance(reply, Values | Stored) and self._ring is not None and reply.view not in self._views:
                self._refresh(nodes[0], reply.view)
            if reply is None and self._present.now.monotonic < deadline:
                self._try(request, request_id, nodes[1:], deadline, on_later_reply)
            elif isinstance(reply, Failed) and reply.code == "not_member" and len(nodes) > 1:
                self._try(request, request_id, nodes[1:], deadline, on_reply)
            else:
                on_reply(reply)

        def on_later_reply(reply: Reply | None) -> None:
            on_reply(after_others(reply) if reply is not None and isinstance(request, Put) else reply)

        self._exchange.ask(nodes[0], request, until, answered, request_id)

    def _refresh(self, node: Address, view: int) -> None:
        """A node has another view: ask for it, once."""
        self._views.add(view)

        def answered(reply: Reply | None) -> None:
            if isinstance(reply, View):
                with contextlib.suppress(StoreError):  # The old view still works, a hop longer at worst.
                    self.learn(reply)
            else:
                self._views.discard(view)

        self._exchange.ask(node, Members(self.view), self._present.now.monotonic + FAILOVER_S, answered)

    def _actions(self) -> list[Action]:
        actions = self._out[:]
        self._out.clear()
        return actions


class Endpoint(Protocol):
    """A datagram socket of the caller's making."""

    def send(self, datagram: bytes, to: Address) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class GetResult:
    """values: the siblings; empty if there is none, or all are deleted. context: covers them all. stamps: of each
    sibling its coordinator's clock, in nanoseconds (`versions.Version.stamp`)."""

    values: tuple[bytes, ...]
    context: bytes
    stamps: tuple[int, ...]


class Client:
    """The async face. Runs on any asyncio loop, a simulated one too.

    core: the state machine. clock: the present moment. The endpoint's datagrams must be given to `received`.
    """

    def __init__(self, core: ClientCore, clock: Callable[[], Instant]) -> None:
        self._core = core
        self._clock = clock
        self._endpoint: Endpoint | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._refresh: asyncio.Task[None] | None = None
        self._due: float | None = None
        self._open: set[asyncio.Future[Reply | None]] = set()

    def attach(self, endpoint: Endpoint) -> None:
        """Send through this endpoint from now on."""
        self._endpoint = endpoint

    def received(self, datagram: bytes, source: Address) -> None:
        """A datagram has come through the endpoint."""
        self._do(self._core.receive(datagram, source, self._clock()))

    async def get(
        self, key: bytes, r: int | None = None, *, pr: int | None = None, sloppy: bool | None = None
    ) -> GetResult:
        """Read a key. r, pr, sloppy: as in `config.Config`, of this request only. Raises StoreError."""
        check_key(key)
        values = await self._request(Get(key, r, pr, sloppy), Values)
        return GetResult(tuple(values.values), values.context, tuple(values.stamps))

    async def put(
        self,
        key: bytes,
        value: bytes,
        context: bytes | None = None,
        w: int | None = None,
        *,
        pw: int | None = None,
        dw: int | None = None,
        sloppy: bool | None = None,
    ) -> bytes:
        """Write a key, replacing what `context` covers; without one the value becomes a sibling.

        w, pw, dw, sloppy: as in `config.Config`, of this request only.
        Returns the context that covers this write and what it replaced. Raises StoreError.
        """
        check_key(key)
        check_value(value)
        return (await self._request(Put(key, value, context, w, pw, dw, sloppy), Stored)).context

    async def delete(
        self,
        key: bytes,
        context: bytes,
        w: int | None = None,
        *,
        pw: int | None = None,
        dw: int | None = None,
        sloppy: bool | None = None,
    ) -> bytes:
        """Delete what `context` covers; else as `put`. Under the context returned, re-creating the key is causal."""
        check_key(key)
        return (await self._request(Put(key, None, context, w, pw, dw, sloppy), Stored)).context

    async def read(self, key: bytes, resolver: Resolver[T]) -> Resolved[T]:
        """Read a key and make one value of its siblings. Raises StoreError, and what the resolver raises."""
        found = await self.get(key)
        return Resolved(resolver.resolve(list(map(Sibling, found.values, found.stamps))), found.context)

    async def update(self, key: bytes, resolver: Resolver[T], change: Callable[[T], T]) -> Resolved[T]:
        """Read, resolve, change, and put what came of it in the place of all siblings read.

        Returns what was put. Of two updates at once neither is lost: they become siblings for the next one to resolve.
        Raises StoreError: after an indefinite one the update may have happened, so doing it again may do it twice.
        """
        read = await self.read(key, resolver)
        value = change(read.value)
        encoded = resolver.encode(value)
        if encoded is None:
            return Resolved(value, await self.delete(key, read.context))
        return Resolved(value, await self.put(key, encoded, read.context))

    async def local(self, key: bytes) -> Held:
        """What the node itself holds of a key, durably and with no quorum."""
        check_key(key)
        return await self._request(Local(key), Held)

    async def status(self) -> dict[str, object]:
        """The node's status (see `node.Node.status`)."""
        report = await self._request(Status(), Report)
        return msgspec.json.decode(report.json, type=dict[str, object])

    async def join(self, member: Member) -> int:
        """Have a node join the ring, which runs already and waits outside. Returns the digest of the new history.

        It returns once the change is durable on one member; it spreads from there. Raises StoreError `bad_request` if
        the name or the address is taken, or the node does not answer as the one that is meant.
        """
        return (await self._request(Join(member.name, member.address, member.zone, member.capacity), Changed)).view

    async def leave(self, name: str, gone: bool = False) -> int:
        """Have a node leave the ring: it hands over what it holds first; gone: it is dead, and can't. As in `join`."""
        return (await self._request(Leave(name, gone), Changed)).view

    async def view(self) -> View:
        """The history of the ring, as the node knows it, and the settings of the cluster."""
        return await self._request(Members(), View)

    async def direct(self) -> None:
        """Learn the members and go straight to homes from now on, refreshing every 10 s until closed."""
        self._core.learn(await self._request(Members(self._core.view), View))
        if self._refresh is None:
            self._refresh = asyncio.get_running_loop().create_task(self._keep_fresh())

    def close(self) -> None:
        """Stop. Requests under way are abandoned: they raise `timeout`."""
        if self._timer is not None:
            self._timer.cancel()
        if self._refresh is not None:
            self._refresh.cancel()
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None
        for future in self._open:
            if not future.done():
                future.set_result(None)

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(VIEW_EVERY_S)
            try:
                self._core.learn(await self._request(Members(self._core.view), View))
            except StoreError:
                continue  # The old view still works, a hop longer at worst; the next round asks again.

    async def _request(self, request: ClientRequest, expected: type[R]) -> R:
        if self._endpoint is None:
            raise RuntimeError("the client has no endpoint: attach one first, and send nothing after close")
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._open.add(future)

        def on_reply(reply: Reply | None) -> None:
            if not future.done():
                future.set_result(reply)

        try:
            self._do(self._core.request(request, self._clock(), on_reply))
            reply = await future
        finally:
            self._open.discard(future)
        return reply if isinstance(reply, expected) else _refuse(reply, self._core.says())

    def _do(self, actions: list[Action]) -> None:
        if self._endpoint is None:
            return
        for action in actions:
            if isinstance(action, Send):
                self._endpoint.send(action.datagram, action.to)
        due = self._core.next_wake
        # To be woken too early now and then costs less than to move the alarm at every datagram.
        if due is None or (self._due is not None and self._due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, due - self._clock().monotonic), self._wake)

    def _wake(self) -> None:
        self._due = None
        self._do(self._core.wake(self._clock()))


def _refuse(reply: Reply | None, says: str) -> NoReturn:
    if reply is None:
        remedy = says or "check that the node runs, and that nothing swallows its datagrams"
        raise StoreError("timeout", f"no answer within {TIMEOUT_S:g} s; {remedy}")
    if isinstance(reply, Failed):
        raise StoreError(reply.code, reply.message)
    raise StoreError("bad_request", f"the node answered with {type(reply).__name__}; is it of another version?")
