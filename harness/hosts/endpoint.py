"""A UDP socket on the harness's side, for clients outside the cluster.

1. It is drained in a loop whenever it is readable: four times the throughput of one wake-up per datagram. The loop is
   bounded: a node that floods it must not keep everything else from running.
2. A datagram that can't be sent now is dropped, as a network may drop any. The client notices by its timeout.
"""

from __future__ import annotations

import asyncio
import socket

from splitbrain.harness.environment import Address, EnvironmentFailure, OnDatagram

# Answers of a whole cluster may arrive in one burst, and a drop here would look like an injected fault.
RECEIVE_BUFFER_BYTES = 4 << 20
DATAGRAM_LIMIT_BYTES = 65_535
DRAIN_LIMIT = 64
"""Datagrams in one turn of the event loop: with some ten microseconds each, it takes about a millisecond."""


class UdpEndpoint:
    """An `environment.Endpoint` on a real socket.

    receive: called for each datagram, on the event loop. address: the local numeric address to bind to; the kernel
    chooses the port. Must be made inside a running loop. Raises EnvironmentFailure if the address is not the machine's
    own.
    """

    def __init__(self, receive: OnDatagram, address: str) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        try:
            self._sock.bind((address, 0))
        except OSError as error:
            self._sock.close()
            raise EnvironmentFailure(
                f"no client socket can be opened on {address} ({error.strerror}); "
                "the address must be this machine's own, and a port free"
            ) from error
        self._loop.add_reader(self._sock, self._drain)

    @property
    def address(self) -> Address:
        """Where answers arrive."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    def send(self, datagram: bytes, to: Address) -> None:
        try:
            self._sock.sendto(datagram, to)
        except OSError:
            # A full buffer, a node whose container is gone: lost, by rule 2.
            return

    def close(self) -> None:
        """Idempotent."""
        if self._sock.fileno() != -1:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def _drain(self) -> None:
        for _ in range(DRAIN_LIMIT):
            # `receive` may close this endpoint in the middle of a burst.
            if self._sock.fileno() == -1:
                return
            try:
                datagram, source = self._sock.recvfrom(DATAGRAM_LIMIT_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue
            self._receive(datagram, (source[0], source[1]))
