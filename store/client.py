"""The client: a thin async face on the client's core.

1. A result is returned; a failure is raised as a `StoreError`, which says whether the outcome is known. No answer in
   `TIMEOUT_S` is `timeout`, an indeterminate outcome. A call may be given less (`timeout_s`, seconds).
2. With `direct`, the client learns the members, refreshes them every `VIEW_EVERY_S`, and goes straight to the primary
   replicas of a key (section 6.4, client-driven coordination).

`connecting` makes one for a cluster. `client_core` decides where a request goes. Dynamo (SOSP 2007), sections 4.1 and
6.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol, TypeVar, overload

import msgspec

from splitbrain.store.actions import Action, Address, Instant, Send
from splitbrain.store.client_core import ClientCore
from splitbrain.store.config import Member
from splitbrain.store.errors import StoreError
from splitbrain.store.scheduling.alarm import Alarm
from splitbrain.store.versions.resolvers import Resolved, Resolver, Sibling
from splitbrain.store.wire.client_messages import (
    Changed,
    ClientRequest,
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
from splitbrain.store.wire.limits import check_key, check_timeout, check_value
from splitbrain.store.wire.messages import Reply

VIEW_EVERY_S = 10.0

R = TypeVar("R")
T = TypeVar("T")


class Endpoint(Protocol):
    """A datagram socket of the caller's making."""

    def send(self, datagram: bytes, to: Address) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class GetResult:
    """What a get returns.

    values: the siblings; empty if there is none, or all are deleted. context: covers all of them. stamps: the clock of
    each sibling's coordinator when it was written, in nanoseconds (`dotted.Version.stamp`).
    """

    values: tuple[bytes, ...]
    context: bytes
    stamps: tuple[int, ...]

    @property
    def siblings(self) -> list[Sibling]:
        """The values, each with its stamp, as resolvers take them."""
        return list(map(Sibling, self.values, self.stamps))

    def changed(self, change: Callable[..., Any], resolver: Resolver[Any] | None) -> tuple[Any, bytes | None]:
        """What an update makes of it: the new value, and the bytes to put, None to delete (`Client.update`)."""
        if resolver is not None:
            value = change(resolver.resolve(self.siblings))
            return value, resolver.encode(value)
        encoded = change(tuple(sorted(self.values)))
        if not isinstance(encoded, bytes | None):
            text = f"the change made a {type(encoded).__name__}: return bytes, None to delete, or give a resolver"
            raise TypeError(text)
        return encoded, encoded


class Client:
    """The async face. Runs on any asyncio loop, a simulated one too.

    core: the state machine. clock: the present moment. timeout_s: of calls that are not given their own. The
    endpoint's datagrams must be given to `received`.
    """

    def __init__(self, core: ClientCore, clock: Callable[[], Instant], timeout_s: float | None = None) -> None:
        self._timeout_s = timeout_s
        self._core = core
        self._clock = clock
        self._endpoint: Endpoint | None = None
        self._alarm = Alarm(self._wake, lambda: clock().monotonic, asyncio.get_running_loop)
        self._refresh: asyncio.Task[None] | None = None
        self._open: set[asyncio.Future[Reply | None]] = set()

    def attach(self, endpoint: Endpoint, buffer_datagrams: int | None = None) -> None:
        """Send through this endpoint from now on. buffer_datagrams: how many it can hold unread; None: not known."""
        self._endpoint = endpoint
        if buffer_datagrams is not None:
            self._core.buffer(buffer_datagrams)

    def received(self, datagram: bytes, source: Address) -> None:
        """A datagram has come through the endpoint."""
        self._do(self._core.receive(datagram, source, self._clock()))

    async def get(
        self,
        key: bytes,
        r: int | None = None,
        *,
        pr: int | None = None,
        sloppy: bool | None = None,
        timeout_s: float | None = None,
    ) -> GetResult:
        """Read a key. r, pr, sloppy: as in `config.Config`, for this request only. Raises StoreError."""
        check_key(key)
        values = await self._request(Get(key, r, pr, sloppy), Values, timeout_s)
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
        timeout_s: float | None = None,
    ) -> bytes:
        """Write a key, replacing what `context` covers; without one the value becomes a sibling.

        w, pw, dw, sloppy: as in `config.Config`, for this request only.
        Returns the context that covers this write and what it replaced. Raises StoreError.
        """
        check_key(key)
        check_value(value)
        return (await self._request(Put(key, value, context, w, pw, dw, sloppy), Stored, timeout_s)).context

    async def delete(
        self,
        key: bytes,
        context: bytes,
        w: int | None = None,
        *,
        pw: int | None = None,
        dw: int | None = None,
        sloppy: bool | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        """Delete what `context` covers; else as `put`. Under the context returned, re-creating the key is causal."""
        check_key(key)
        return (await self._request(Put(key, None, context, w, pw, dw, sloppy), Stored, timeout_s)).context

    async def read(self, key: bytes, resolver: Resolver[T], *, timeout_s: float | None = None) -> Resolved[T]:
        """Read a key and resolve its siblings to one value. Raises StoreError, and what the resolver raises."""
        found = await self.get(key, timeout_s=timeout_s)
        return Resolved(resolver.resolve(found.siblings), found.context)

    @overload
    async def update(
        self, key: bytes, change: Callable[[tuple[bytes, ...]], bytes | None], *, timeout_s: float | None = None
    ) -> Resolved[bytes | None]: ...

    @overload
    async def update(
        self, key: bytes, change: Callable[[T], T], resolver: Resolver[T], *, timeout_s: float | None = None
    ) -> Resolved[T]: ...

    async def update(
        self,
        key: bytes,
        change: Callable[..., Any],
        resolver: Resolver[Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Resolved[Any]:
        """Read, resolve, change, and put the result in the place of all siblings that were read.

        change: from the resolved value to the new one; without a resolver from all siblings, sorted, to the one value
        to store, or None to delete. It is called once, between a get and a put, each of which may take `timeout_s`.
        Returns what was put.

        Nothing is locked and nothing is tried again. Of two concurrent updates both are kept: they become siblings, for
        the next one to resolve. Raises StoreError, and what the resolver and the change raise. If that is indeterminate
        the update may have happened: to repeat it may apply it twice.
        """
        found = await self.get(key, timeout_s=timeout_s)
        value, encoded = found.changed(change, resolver)
        if encoded is None:
            return Resolved(value, await self.delete(key, found.context, timeout_s=timeout_s))
        return Resolved(value, await self.put(key, encoded, found.context, timeout_s=timeout_s))

    async def local(self, key: bytes) -> Held:
        """Read what one node itself holds of a key, durably and without a quorum."""
        check_key(key)
        return await self._request(Local(key), Held)

    async def status(self) -> dict[str, object]:
        """The node's status (see `node.Node.status`)."""
        report = await self._request(Status(), Report)
        return msgspec.json.decode(report.json, type=dict[str, object])

    async def join(self, member: Member) -> int:
        """Have a node join the ring. It must run already, outside the ring. Returns the digest of the new history.

        Returns once the change is durable on one member; gossip spreads it from there. Raises StoreError `bad_request`
        if the name or the address is taken, or another node answers at the address, or none.
        """
        return (await self._request(Join(member.name, member.address, member.zone, member.capacity), Changed)).view

    async def leave(self, name: str, gone: bool = False) -> int:
        """Have a node leave the ring, once it has handed over what it holds; gone: it is dead, and can't. As `join`."""
        return (await self._request(Leave(name, gone), Changed)).view

    async def view(self) -> View:
        """Read the history of the ring, as the node knows it, and the settings of the cluster."""
        return await self._request(Members(), View)

    async def direct(self) -> None:
        """Learn the members, and go straight to primary replicas from now on; refresh every 10 s until closed."""
        self._core.learn(await self._request(Members(self._core.view), View))
        if self._refresh is None:
            self._refresh = asyncio.get_running_loop().create_task(self._keep_fresh())

    def close(self) -> None:
        """Stop. Requests under way are abandoned: they raise `timeout`."""
        self._alarm.cancel()
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

    async def _request(self, request: ClientRequest, expected: type[R], timeout_s: float | None = None) -> R:
        limit_s = next((given for given in (timeout_s, self._timeout_s) if given is not None), inf)
        check_timeout(limit_s)
        if self._endpoint is None:
            raise RuntimeError("the client has no endpoint: attach one first, and send nothing after close")
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._open.add(future)

        def on_reply(reply: Reply | None) -> None:
            if not future.done():
                future.set_result(reply)

        try:
            self._do(self._core.request(request, self._clock(), on_reply, limit_s))
            reply = await future
        finally:
            self._open.discard(future)
        if not isinstance(reply, expected):
            raise self._core.error(reply, limit_s)
        return reply

    def _do(self, actions: list[Action]) -> None:
        if self._endpoint is None:
            return
        for action in actions:
            if isinstance(action, Send):
                self._endpoint.send(action.datagram, action.to)
        self._alarm.set(self._core.next_wake)

    def _wake(self) -> None:
        self._do(self._core.wake(self._clock()))
