"""A host's sockets: what asyncio's methods for servers, connections and endpoints do on a simulated network.

1. Both loops use it: a process's, and the harness's own for clients outside the cluster.
2. Servers are asyncio's own `Server`, which starts and stops them through the loop.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from asyncio.base_events import Server
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from splitbrain.harness.environment import Address, Endpoint, OnDatagram
from splitbrain.harness.simulation.programs.addresses import ANY, LOOPBACK, Addresses, AddressInfo
from splitbrain.harness.simulation.programs.datagram_transport import DatagramTransport
from splitbrain.harness.simulation.programs.refusals import refuse_options
from splitbrain.harness.simulation.programs.stream_transport import SocketInfo, StreamTransport
from splitbrain.harness.simulation.programs.tcp import SimulatedTcp
from splitbrain.harness.simulation.programs.tcp_connection import TcpConnection

Factory = Callable[[], Any]
Host = str | Sequence[str] | None


class ListeningSocket(SocketInfo):
    """A socket that a server listens on."""

    def __init__(self, tcp: SimulatedTcp, port: int, name: Address) -> None:
        super().__init__(socket.SOCK_STREAM, name)
        self.tcp, self.port = tcp, port

    def listen(self, backlog: int) -> None:
        """`serve` follows, which says what to do with connections."""


class _Connecting:
    """The user of a connection that is not established yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.outcome: asyncio.Future[None] = loop.create_future()

    def established(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon(self._end, None)

    def lost(self, problem: OSError) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon(self._end, problem)

    def readable(self) -> None:
        """The transport asks for itself."""

    def writable(self) -> None:
        """Nothing was written yet."""

    def _end(self, problem: OSError | None) -> None:
        if self.outcome.done():
            return
        if problem is None:
            self.outcome.set_result(None)
        else:
            self.outcome.set_exception(problem)


class HostSockets:
    """The sockets of one host, for one loop.

    bind: makes a datagram endpoint of the host's at a port.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tcp: SimulatedTcp,
        addresses: Addresses,
        bind: Callable[[int, OnDatagram], Endpoint],
    ) -> None:
        self._loop = loop
        self._tcp = tcp
        self._host = tcp.host
        self._addresses = addresses
        self._bind = bind
        self._udp_ports: set[int] = set()

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[AddressInfo]:
        """See `asyncio.loop.getaddrinfo`."""
        return self._addresses.info(host, port, self._host, family=family, kind=type, flags=flags)

    async def create_connection(
        self, factory: Factory, host: str | None, port: int | None, local: Address | None, options: dict[str, Any]
    ) -> tuple[StreamTransport, Any]:
        """See `asyncio.loop.create_connection`."""
        refuse_options("create_connection", options)
        if host is None or port is None:
            raise ValueError("host and port was not specified and no sock specified")
        remote = (self._addresses.host(host, self._host), int(port))
        if local is not None:
            self._addresses.check_own(local[0], self._host)
        connection = self._tcp.connect(remote, local[1] if local is not None else 0)
        connecting = connection.user = _Connecting(self._loop)
        try:
            await connecting.outcome
        except OSError as problem:
            known = type(problem)
            raise known(problem.errno, f"Connect call failed {self._addresses.seen(remote)!r}: {problem}") from None
        except BaseException:
            connection.abort()
            raise
        made = self._loop.create_future()
        transport = StreamTransport(
            self._loop,
            connection,
            factory(),
            self._names(connection),
            made=partial(_end, made),
        )
        try:
            await made
        except BaseException:
            transport.close()
            raise
        return transport, transport.get_protocol()

    async def create_server(
        self, factory: Factory, host: Host, port: int | None, start_serving: bool, backlog: int, options: dict[str, Any]
    ) -> Server:
        """See `asyncio.loop.create_server`."""
        refuse_options("create_server", options)
        if port is None:
            raise ValueError("Neither host/port nor sock were specified")
        asked = [host] if isinstance(host, str) or host is None else list(host)
        for each in asked:
            self._addresses.check_own(each, self._host)
        loopback = all(each in LOOPBACK for each in asked)
        bound = self._tcp.bind(port, loopback=loopback)
        if loopback:
            name = ("127.0.0.1", bound)
        elif any(each is None or each in ANY for each in asked):
            name = ("0.0.0.0", bound)
        else:
            name = self._addresses.seen((self._host, bound))
        made: Any = Server
        server: Server = made(self._loop, [ListeningSocket(self._tcp, bound, name)], factory, None, backlog, None, None)
        if start_serving:
            await server.start_serving()
        return server

    def serve(self, factory: Factory, listening: ListeningSocket, server: Any) -> None:
        """Accept connections: what asyncio's `Server` asks its loop for."""

        def accepted(connection: TcpConnection) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon(accept, connection)

        def accept(connection: TcpConnection) -> None:
            if connection.dead:
                return
            if server._sockets is None:  # It was closed meanwhile, and its backlog with it.
                connection.abort()
                return
            StreamTransport(self._loop, connection, factory(), self._names(connection), server=server)

        listening.tcp.listen(listening.port, accepted)

    async def create_datagram_endpoint(
        self, factory: Factory, local: Any, remote: Any, options: dict[str, Any]
    ) -> tuple[DatagramTransport, Any]:
        """See `asyncio.loop.create_datagram_endpoint`."""
        refuse_options("create_datagram_endpoint", options)
        if local is not None:
            self._addresses.check_own(local[0], self._host)
        peer = None if remote is None else (self._addresses.host(remote[0], self._host), int(remote[1]))
        port = int(local[1]) if local is not None else 0
        port = port or self._tcp.free_port(self._udp_ports.__contains__)
        if port in self._udp_ports:
            raise OSError(errno.EADDRINUSE, f"{os.strerror(errno.EADDRINUSE)}: {self._host}:{port}")
        protocol = factory()
        transport = DatagramTransport(
            self._loop,
            protocol,
            self._addresses,
            local=(self._host, port),
            peer=peer,
            closed=lambda: self._udp_ports.discard(port),
        )
        transport.attach(self._bind(port, transport.arrived))
        self._udp_ports.add(port)
        await asyncio.sleep(0)
        return transport, protocol

    def _names(self, connection: TcpConnection) -> tuple[Address, Address]:
        """The socket's own name and its peer's, as programs see them."""
        own = self._addresses.seen((self._host, connection.local_port))
        return own, self._addresses.seen(connection.remote)


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():  # It may have been cancelled.
        waiter.set_result(None)
