"""The client: a core without I/O, and a thin async face on it.

1. A request keeps its id over every retry, to whichever node. While one node is silent it is retried there; once it
   has been silent for `FAILOVER_S` the next node is tried, if more than one is known.
2. An answer is a result or a `StoreError`; no answer in `TIMEOUT_S` is `timeout`, which is indefinite.
3. With `direct`, the client asks a node for the members, every 10 s, and goes straight to a home of the key
   (section 6.4, client-driven coordination).

Dynamo (SOSP 2007), sections 4.1, 4.5 and 6.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol, TypeVar

import msgspec

from store.actions import Action, Address, Bits, Instant, Send
from store.config import Config, ConfigError, Member
from store.errors import StoreError
from store.exchange import Exchange, Present
from store.messages import (
    ClientRequest,
    Failed,
    Get,
    Held,
    Local,
    Members,
    Put,
    Reply,
    Report,
    Status,
    Stored,
    Values,
    View,
    after_others,
)
from store.node import check_key, check_value
from store.ring import Ring
from store.timers import Timers
from store.wire import Wire

TIMEOUT_S = 4.0
FAILOVER_S = 1.8
"""Longer than a coordinator takes (`config.request_timeout_s` and its forwarding)."""
VIEW_EVERY_S = 10.0

R = TypeVar("R")


class ClientCore:
    """A client as a state machine, driven like a `node.Node`.

    nodes: where to send requests, in the order they are tried. secret, cluster: as the nodes'. name: for their logs.
    """

    def __init__(self, nodes: Sequence[Address], *, secret: bytes, cluster: str, bits: Bits, name: str = "client"):
        if not nodes:
            raise ValueError("a client needs the address of at least one node")
        self._nodes = list(nodes)
        self._out: list[Action] = []
        self._present = Present(Instant(0.0, 0))
        self._timers = Timers()
        wire = Wire(secret, cluster, name, bits)
        self._exchange = Exchange(wire, self._timers, self._present, bits, self._out)
        self._ring: Ring | None = None

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
        """Go straight to the homes of keys from now on, as that view has them.

        Raises StoreError if the view makes no ring.
        """
        try:
            members = [Member(name, address) for name, address in view.members.items()]
            self._ring = Ring(members, Config().changed(view.settings))
        except ConfigError as problem:
            text = f"can't use the node's view ({problem}); is it of another version?"
            raise StoreError("bad_request", text) from None

    def _route(self, request: ClientRequest) -> list[Address]:
        if self._ring is None or not isinstance(request, Get | Put):
            return self._nodes
        members = self._ring.members
        return [members[name].address for name in self._ring.homes(request.key)]

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
            if reply is None and self._present.now.monotonic < deadline:
                self._try(request, request_id, nodes[1:], deadline, on_later_reply)
            else:
                on_reply(reply)

        def on_later_reply(reply: Reply | None) -> None:
            on_reply(after_others(reply) if reply is not None and isinstance(request, Put) else reply)

        self._exchange.ask(nodes[0], request, until, answered, request_id)

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
    """values: the siblings; empty if there is none, or all are deleted. context: covers them all."""

    values: tuple[bytes, ...]
    context: bytes


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

    async def get(self, key: bytes, r: int | None = None) -> GetResult:
        """Read a key. Raises StoreError."""
        check_key(key)
        values = await self._request(Get(key, r), Values)
        return GetResult(tuple(values.values), values.context)

    async def put(self, key: bytes, value: bytes, context: bytes | None = None, w: int | None = None) -> bytes:
        """Write a key, replacing what `context` covers; without one the value becomes a sibling.

        Returns the context that covers this write and what it replaced. Raises StoreError.
        """
        check_key(key)
        check_value(value)
        return (await self._request(Put(key, value, context, w), Stored)).context

    async def delete(self, key: bytes, context: bytes, w: int | None = None) -> bytes:
        """Delete what `context` covers. Returns a context under which re-creating the key is causal."""
        check_key(key)
        return (await self._request(Put(key, None, context, w), Stored)).context

    async def local(self, key: bytes) -> Held:
        """What the node itself holds of a key, durably and with no quorum."""
        check_key(key)
        return await self._request(Local(key), Held)

    async def status(self) -> dict[str, object]:
        """The node's status (see `node.Node.status`)."""
        report = await self._request(Status(), Report)
        return msgspec.json.decode(report.json, type=dict[str, object])

    async def direct(self) -> None:
        """Learn the members and go straight to homes from now on, refreshing every 10 s until closed."""
        self._core.learn(await self._request(Members(), View))
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
                self._core.learn(await self._request(Members(), View))
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
        return reply if isinstance(reply, expected) else _refuse(reply)

    def _do(self, actions: list[Action]) -> None:
        if self._endpoint is None:
            return
        for action in actions:
            if isinstance(action, Send):
                self._endpoint.send(action.datagram, action.to)
        due = self._core.next_wake
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due - self._clock().monotonic), self._wake)

    def _wake(self) -> None:
        self._due = None
        self._do(self._core.wake(self._clock()))


def _refuse(reply: Reply | None) -> NoReturn:
    if reply is None:
        raise StoreError(
            "timeout", f"no answer within {TIMEOUT_S:g} s; check that the node runs and has the same cluster key"
        )
    if isinstance(reply, Failed):
        raise StoreError(reply.code, reply.message)
    raise StoreError("bad_request", f"the node answered with {type(reply).__name__}; is it of another version?")
