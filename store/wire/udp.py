"""A UDP socket on an asyncio loop, drained in one go.

1. When the socket is readable it is read until it is empty, or `DRAIN_MAX` datagrams. That has about four times the
   throughput of asyncio's own datagram protocol, which goes back to the selector after each one.
2. What the kernel has no room to send waits in a bounded queue; over the bound it is dropped, as a network would.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path

from splitbrain.store.actions import Address
from splitbrain.store.wire.datagrams import DATAGRAM_BYTES_MAX

DRAIN_MAX = 256
RECEIVE_BUFFER_BYTES = 8 << 20
DATAGRAM_MEMORY_BYTES = 2304
"""What Linux charges a receive buffer for a full datagram: 2 KiB of data, and its own notes."""
UNSENT_MAX = 4096
_SO_RCVBUFFORCE = 33  # linux/socket.h; not in the socket module


class UdpSocket:
    """A bound socket. receive: called with each datagram and its source. address: where to bind; port 0 picks one.

    Raises OSError if the address can't be bound.
    """

    def __init__(self, address: Address, receive: Callable[[bytes, Address], None]) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[tuple[bytes, Address]] = deque(maxlen=UNSENT_MAX)
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._enlarge()
        try:
            self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise
        self.address: Address = self._socket.getsockname()[:2]
        self._loop.add_reader(self._socket, self._drain)

    def send(self, datagram: bytes, to: Address) -> None:
        """Send a datagram, now or soon."""
        if self._unsent:
            self._unsent.append((datagram, to))
            return
        try:
            self._socket.sendto(datagram, to)
        except BlockingIOError:
            self._unsent.append((datagram, to))
            self._loop.add_writer(self._socket, self._flush)
        except OSError:
            # Refused by a firewall (EPERM) or no route: a network that drops it. Retries and timeouts deal with both.
            pass

    def close(self) -> None:
        """Stop receiving, and free the port."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    @property
    def buffer_datagrams(self) -> int:
        """How many full datagrams the receive buffer holds, by what the kernel granted of it."""
        granted = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        return max(1, granted // DATAGRAM_MEMORY_BYTES)

    def kernel_drops(self) -> int | None:
        """Datagrams the kernel dropped because the receive buffer was full; None where it does not say."""
        inode = str(self._inode())
        for table in ("/proc/net/udp", "/proc/net/udp6"):
            with contextlib.suppress(OSError):
                for line in Path(table).read_text().splitlines()[1:]:
                    columns = line.split()
                    if columns[9] == inode:
                        return int(columns[-1])
        return None

    def _inode(self) -> int:
        return Path(f"/proc/self/fd/{self._socket.fileno()}").stat().st_ino

    def _drain(self) -> None:
        for _ in range(DRAIN_MAX):
            try:
                datagram, source = self._socket.recvfrom(DATAGRAM_BYTES_MAX + 1)
            except BlockingIOError:
                return
            except OSError:
                continue  # An earlier send met a closed port; the next read may be fine.
            self._receive(datagram, source[:2])
            if self._socket.fileno() < 0:
                return

    def _flush(self) -> None:
        while self._unsent:
            datagram, to = self._unsent[0]
            try:
                self._socket.sendto(datagram, to)
            except BlockingIOError:
                return
            except OSError:
                pass
            self._unsent.popleft()
        self._loop.remove_writer(self._socket)

    def _enlarge(self) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        except OSError:
            # Without NET_ADMIN the kernel gives what its own limit (net.core.rmem_max) allows.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
