"""Connecting: from the addresses of some nodes to a client that knows the ring.

1. `connect` returns once a node has answered: a wrong address, key or cluster shows here, as one `StoreError`.
2. The client goes straight to the primary replicas of a key from then on (section 6.4, client-driven coordination). The
   nodes given are where it begins, and where it comes back to; they need not be all.
3. What was opened is closed, whatever goes wrong.

`blocking` has the same for scripts. Dynamo (SOSP 2007), section 6.4.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Generator, Iterable
from types import TracebackType

from splitbrain.store.client import Client
from splitbrain.store.client_core import ClientCore
from splitbrain.store.contact import Contact, read_contact
from splitbrain.store.descriptors import exhausted
from splitbrain.store.errors import StoreError
from splitbrain.store.server import present
from splitbrain.store.wire.udp import UdpSocket


class Connecting:
    """A connection to come: `async with` it, and it is closed at the end; or `await` it, and close the client."""

    def __init__(
        self, nodes: str | Iterable[str], key_file: str | os.PathLike[str], cluster: str, timeout_s: float | None
    ) -> None:
        self._given = nodes, key_file, cluster
        self._timeout_s = timeout_s
        self._client: Client | None = None

    def __await__(self) -> Generator[object, None, Client]:
        return self._connected().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self._connected()
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    async def _connected(self) -> Client:
        # Names may take seconds to resolve, and a loop has other things to do.
        return await introduced(await asyncio.to_thread(read_contact, *self._given), self._timeout_s)


def connect(
    nodes: str | Iterable[str],
    *,
    key_file: str | os.PathLike[str],
    cluster: str = "splitbrain",
    timeout_s: float | None = None,
) -> Connecting:
    """Connect to a cluster: `async with connect(...) as client`, or `client = await connect(...)`.

    nodes: "host:port" of one node or more; one string may hold several, with spaces between. key_file: the file of the
    cluster's key. cluster: its name. timeout_s: seconds that asking for the ring, and each call that is not given its
    own, may take at most; None: 4 s without an answer, and up to 30 s more of busy nodes.

    Returns an awaitable context manager of a `Client`. Raises StoreError when it is awaited or entered:
    `cannot_connect` (a key file that can't be used, a name that does not resolve, no socket), `timeout` (no node
    answers, or none takes the key: the message says which), `not_member` (those that answer are in no ring).
    """
    return Connecting(nodes, key_file, cluster, timeout_s)


async def introduced(contact: Contact, timeout_s: float | None) -> Client:
    """A client that has learnt the ring. Raises StoreError."""
    try:
        client = opened(contact, timeout_s)
    except OSError as problem:
        raise StoreError("cannot_connect", no_socket(problem)) from None
    try:
        await _learn(client, len(contact.nodes))
    except BaseException:
        client.close()
        raise
    return client


async def _learn(client: Client, nodes: int) -> None:
    """Learn the ring. Each round asks another node first, for one that waits outside of the ring knows none."""
    for left in reversed(range(nodes)):
        try:
            await client.direct()
            return
        except StoreError as problem:
            if problem.code != "not_member" or not left:
                raise


def opened(contact: Contact, timeout_s: float | None = None) -> Client:
    """A client with a socket of its own, which asks the nodes of the contact. Raises OSError without a socket."""
    core = ClientCore(contact.nodes, secret=contact.secret, cluster=contact.cluster, bits=secrets.randbits)
    client = Client(core, present, timeout_s)
    wildcard = "::" if ":" in contact.nodes[0][0] else "0.0.0.0"
    endpoint = UdpSocket((wildcard, 0), client.received)
    client.attach(endpoint, endpoint.buffer_datagrams)
    return client


def no_socket(problem: OSError) -> str:
    """What to say of a socket that can't be opened."""
    remedy = exhausted(problem) or "check the addresses given, and this machine's network"
    return f"can't open a socket ({problem.strerror}); {remedy}"
