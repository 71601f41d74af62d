"""A UDP socket as an asyncio transport, in a process or in the harness.

1. Datagrams are the simulated network's: lost, repeated and reordered as its links are.
2. One that is too long is an error of the protocol's (`error_received`); one to nobody is lost without a word.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from splitbrain.harness.environment import Address, Endpoint
from splitbrain.harness.simulation.network import LARGEST_DATAGRAM
from splitbrain.harness.simulation.programs.addresses import Addresses
from splitbrain.harness.simulation.programs.stream_transport import SocketInfo


class DatagramTransport(asyncio.DatagramTransport):
    """Implements `asyncio.DatagramTransport`.

    host: the socket's. peer: the only network address that it speaks with, or None. closed: called when it is.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: Any,
        addresses: Addresses,
        *,
        local: Address,
        peer: Address | None,
        closed: Callable[[], None],
    ) -> None:
        name = addresses.seen(local)
        seen_peer = None if peer is None else addresses.seen(peer)
        info = SocketInfo(socket.SOCK_DGRAM, name, seen_peer)
        super().__init__({"socket": info, "sockname": name, "peername": seen_peer})
        self._loop = loop
        self._protocol = protocol
        self._addresses = addresses
        self._host = local[0]
        self._peer = peer
        self._closed = closed
        self._closing = False
        self._endpoint: Endpoint | None = None

    def attach(self, endpoint: Endpoint) -> None:
        """The endpoint by which it sends, whose datagrams come to `arrived`."""
        self._endpoint = endpoint
        self._loop.call_soon(self._protocol.connection_made, self)

    def arrived(self, datagram: bytes, source: Address) -> None:
        """The network brings a datagram."""
        if (self._peer is None or source == self._peer) and not self._loop.is_closed():
            self._loop.call_soon(self._hand_over, datagram, self._addresses.seen(source))

    def _hand_over(self, datagram: bytes, source: Address) -> None:
        if not self._closing:
            self._protocol.datagram_received(datagram, source)

    def sendto(self, data: Any, addr: Any = None) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._peer is not None and addr is not None and self._network_address(addr) != self._peer:
            raise ValueError(f"Invalid address: must be None or {self._peer}")
        to = self._peer if self._peer is not None else None if addr is None else self._network_address(addr)
        if to is None:
            raise ValueError("the socket is not connected: name an address")
        if self._endpoint is None or self._closing or self._loop.is_closed():
            return
        if len(data) > LARGEST_DATAGRAM:
            problem = OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
            self._loop.call_soon(self._protocol.error_received, problem)
            return
        self._endpoint.send(bytes(data), to)

    def _network_address(self, address: Any) -> Address:
        return self._addresses.host(str(address[0]), self._host), int(address[1])

    def close(self) -> None:
        if self._closing or self._loop.is_closed():
            return
        self._closing = True
        if self._endpoint is not None:
            self._endpoint.close()
        self._closed()
        self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol  # type: ignore[no-any-return]

    def get_write_buffer_size(self) -> int:
        return 0
