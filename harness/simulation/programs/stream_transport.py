"""A TCP connection as an asyncio transport, in a process or in the harness.

1. It keeps asyncio's promises to a protocol: `connection_made` once, then data, then `connection_lost` once; no data
   while reading is paused; pauses and resumes of its writing around the high-water mark.
2. It calls its protocol through the loop's `call_soon` alone: what a paused process is to be told waits there, and a
   dead process is told nothing.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from asyncio.transports import _FlowControlMixin
from collections.abc import Callable, Iterable
from typing import Any

from splitbrain.harness.environment import Address
from splitbrain.harness.simulation.programs.tcp_connection import TcpConnection

READ_BYTES = 262_144
"""As many as asyncio's own transports read at once."""


class SocketInfo:
    """What `get_extra_info("socket")` gives: names, and options that change nothing."""

    def __init__(self, kind: int, name: Address, peer: Address | None = None) -> None:
        self.family, self.type, self.proto = socket.AF_INET, kind, 0
        self._name, self._peer = name, peer

    def getsockname(self) -> Address:
        return self._name

    def getpeername(self) -> Address:
        if self._peer is None:
            raise OSError("the socket is not connected")
        return self._peer

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *option: Any) -> None:
        """The simulated network has no such option, and works without."""

    def getsockopt(self, *option: Any) -> int:
        return 0

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""


class StreamTransport(_FlowControlMixin, asyncio.Transport):
    """Implements `asyncio.Transport` over a connection that is established, and the connection's `User`.

    server: that accepted it, or None. made: called once `connection_made` has been.
    """

    _loop: asyncio.AbstractEventLoop
    # The mix-in's: it pauses and resumes the protocol's writing.
    _maybe_pause_protocol: Callable[[], None]
    _maybe_resume_protocol: Callable[[], None]

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: TcpConnection,
        protocol: asyncio.BaseProtocol,
        names: tuple[Address, Address],
        *,
        server: Any = None,
        made: Callable[[], object] | None = None,
    ) -> None:
        name, peer = names
        info = SocketInfo(socket.SOCK_STREAM, name, peer)
        super().__init__({"socket": info, "sockname": name, "peername": peer}, loop)
        self._connection = connection
        self._buffer = bytearray()
        self._server = server
        self._closing = self._lost = self._eof = self._eof_received = False
        self._made = self._reading = False
        self._reading_soon = self._writing_soon = False
        self.set_protocol(protocol)
        if server is not None:
            server._attach(self) if sys.version_info >= (3, 13) else server._attach()
        connection.user = self
        loop.call_soon(self._make, made)

    def __hash__(self) -> int:
        return self._connection.number  # No address: programs keep sets of transports.

    def _make(self, made: Callable[[], object] | None) -> None:
        self._reading = True
        self._protocol.connection_made(self)  # It may close the transport, or pause it.
        self._made = True
        if made is not None:
            made()
        if self._connection.dead and not self._closing:  # It was reset while nobody was told.
            self._force_close(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
        elif self._connection.waiting_bytes or self._connection.finished:
            self.readable()

    # What the connection says.

    def established(self) -> None:
        """It is."""

    def readable(self) -> None:
        """Something has arrived."""
        if self._made and self._reading and not self._reading_soon and not self._loop.is_closed():
            self._reading_soon = True
            self._loop.call_soon(self._read)

    def writable(self) -> None:
        """There is room again."""
        if self._buffer and not self._writing_soon and not self._loop.is_closed():
            self._writing_soon = True
            self._loop.call_soon(self._write)

    def lost(self, problem: OSError) -> None:
        """The connection has ended; what had arrived before is read first."""
        if not self._loop.is_closed():
            self._loop.call_soon(self._force_close, problem)

    # What the protocol does.

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol: Any = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._closing and not self._eof_received:
            self._reading = True
            if self._connection.waiting_bytes or self._connection.finished:
                self.readable()

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._lost or self._closing or not data:
            return
        view = memoryview(data).cast("B")
        if not self._buffer and not self._connection.dead:
            view = view[self._connection.send(view) :]
        if view:
            self._buffer += view
            self._maybe_pause_protocol()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self._closing or self._eof:
            return
        self._eof = True
        if not self._buffer:
            self._connection.finish()

    def close(self) -> None:
        if self._closing or self._loop.is_closed():
            return
        self._closing = True
        if not self._buffer:
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        if self._loop.is_closed():
            return
        self._connection.abort()
        self._force_close(None)

    # What the loop calls.

    def _read(self) -> None:
        self._reading_soon = False
        if not self.is_reading() or self._lost:
            return
        try:
            self._hand_over()
        except Exception as problem:
            self._fatal(problem)

    def _hand_over(self) -> None:
        if isinstance(self._protocol, asyncio.BufferedProtocol):
            into = memoryview(self._protocol.get_buffer(-1))
            data = self._connection.receive(min(len(into), READ_BYTES))
            into[: len(data)] = data
            if data:
                self._protocol.buffer_updated(len(data))
        else:
            data = self._connection.receive(READ_BYTES)
            if data:
                self._protocol.data_received(data)
        if self._connection.waiting_bytes:
            self.readable()
        elif self._connection.finished and self.is_reading() and not self._lost:
            self._eof_received, self._reading = True, False
            if not self._protocol.eof_received():
                self.close()

    def _write(self) -> None:
        self._writing_soon = False
        if self._lost or self._connection.dead:
            return
        del self._buffer[: self._connection.send(self._buffer)]
        self._maybe_resume_protocol()
        if self._buffer:
            return
        if self._closing:
            self._lose(None)
        elif self._eof:
            self._connection.finish()

    def _fatal(self, problem: Exception) -> None:
        self._reading = False  # A protocol that failed is given nothing more.
        message = "Fatal error: protocol.data_received() call failed."
        context = {"message": message, "exception": problem, "transport": self, "protocol": self._protocol}
        self._loop.call_exception_handler(context)
        self._connection.abort()
        self._force_close(problem)

    def _force_close(self, problem: Exception | None) -> None:
        if self._lost:
            return
        if self._connection.waiting_bytes and self.is_reading() and problem is not None:
            self._read()
        self._buffer.clear()
        self._closing = True
        self._loop.call_soon(self._lose, problem)

    def _lose(self, problem: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._connection.close()
        try:
            self._protocol.connection_lost(problem)
        finally:
            server, self._server = self._server, None
            if server is not None:
                server._detach(self) if sys.version_info >= (3, 13) else server._detach()
