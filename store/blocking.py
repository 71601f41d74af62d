"""The blocking face: the client for scripts and threads, which have no event loop.

1. The client and its socket live on a thread of their own, with a loop. Any thread may call, also at the same time.
2. A call that is interrupted (Ctrl-C) is abandoned: a put may have happened. The client can be used on.
3. `close` ends what other threads have under way: it raises `timeout` there. An interpreter that ends without it is not
   kept from ending.
4. What an update calls runs on the caller's thread: it may take its time, and use the client.

Not for code on an event loop, which it would hold up: `connecting.connect` is. Not for use on both sides of a fork.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from splitbrain.store.client import Client, GetResult
from splitbrain.store.connecting import introduced, no_socket
from splitbrain.store.contact import Contact, read_contact
from splitbrain.store.descriptors import LOOP, require
from splitbrain.store.errors import StoreError
from splitbrain.store.versions.resolvers import Resolved, Resolver

LAST_WORDS_S = 1.0
"""For what is under way at the close to hear of it; only a question of the caller's own takes any of it."""

T = TypeVar("T")


class BlockingClient:
    """A client whose calls return when they are done. Made by `connect_blocking`; safe to use from several threads."""

    def __init__(self, contact: Contact, timeout_s: float | None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="splitbrain store client", daemon=True)
        self._submitting = threading.Lock()
        self._closed = False
        self._client: Client | None = None
        self._thread.start()
        try:
            self._client = self._done(introduced(contact, timeout_s))
        except BaseException:
            self.close()
            raise

    def get(self, key: bytes, *, timeout_s: float | None = None) -> GetResult:
        """As `Client.get`."""
        return self.ask(lambda client: client.get(key, timeout_s=timeout_s))

    def put(self, key: bytes, value: bytes, context: bytes | None = None, *, timeout_s: float | None = None) -> bytes:
        """As `Client.put`."""
        return self.ask(lambda client: client.put(key, value, context, timeout_s=timeout_s))

    def delete(self, key: bytes, context: bytes, *, timeout_s: float | None = None) -> bytes:
        """As `Client.delete`."""
        return self.ask(lambda client: client.delete(key, context, timeout_s=timeout_s))

    def read(self, key: bytes, resolver: Resolver[T], *, timeout_s: float | None = None) -> Resolved[T]:
        """As `Client.read`."""
        found = self.get(key, timeout_s=timeout_s)
        return Resolved(resolver.resolve(found.siblings), found.context)

    @overload
    def update(
        self, key: bytes, change: Callable[[tuple[bytes, ...]], bytes | None], *, timeout_s: float | None = None
    ) -> Resolved[bytes | None]: ...

    @overload
    def update(
        self, key: bytes, change: Callable[[T], T], resolver: Resolver[T], *, timeout_s: float | None = None
    ) -> Resolved[T]: ...

    def update(
        self,
        key: bytes,
        change: Callable[..., object],
        resolver: Resolver[Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Resolved[Any]:
        """As `Client.update`."""
        found = self.get(key, timeout_s=timeout_s)
        value, encoded = found.changed(change, resolver)
        if encoded is None:
            return Resolved(value, self.delete(key, found.context, timeout_s=timeout_s))
        return Resolved(value, self.put(key, encoded, found.context, timeout_s=timeout_s))

    def ask(self, question: Callable[[Client], Awaitable[T]]) -> T:
        """Whatever else the client can do: `client.ask(lambda it: it.get(b"k", r=3))`.

        question: called on the client's own thread, so it must not call this object. Raises what it raises.
        """
        client = self._client
        if client is None:
            raise RuntimeError("the client is closed: connect again")

        async def asked() -> T:
            return await question(client)

        return self._done(asked())

    def close(self) -> None:
        """Stop, and free the socket; twice does no harm. What other threads have under way raises `timeout`."""
        with self._submitting:
            first, self._closed = not self._closed, True
        if first:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).add_done_callback(
                lambda _: self._loop.call_soon_threadsafe(self._loop.stop)
            )
        self._thread.join()
        with self._submitting:
            self._client = None
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _done(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("a question would wait for itself here: let it use the client that it is given")
        with self._submitting:  # What is submitted after the loop has stopped would never be done.
            if self._closed:
                coroutine.close()
                raise RuntimeError("the client is closed: connect again")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Of an interrupt: nobody waits for it any more.
            raise

    async def _end(self) -> None:
        """Let go of the socket, and wait for whoever still has something to hear."""
        if self._client is not None:
            self._client.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, stuck = await asyncio.wait(others, timeout=LAST_WORDS_S)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)


def connect_blocking(
    nodes: str | Iterable[str],
    *,
    key_file: str | os.PathLike[str],
    cluster: str = "splitbrain",
    timeout_s: float | None = None,
) -> BlockingClient:
    """Connect to a cluster, and wait for it: `with connect_blocking(...) as client`. Else close it at the end.

    The arguments, and the errors, are those of `connecting.connect`.
    """
    contact = read_contact(nodes, key_file, cluster)
    try:
        require(LOOP)
        return BlockingClient(contact, timeout_s)
    except OSError as problem:
        raise StoreError("cannot_connect", no_socket(problem)) from None
