"""A simulated host's TCP: which connections there are, and who listens.

1. Segments are datagrams of the simulated network, so that all its faults apply to them.
2. It belongs to the kernel: it answers while the process is paused, and is gone with all its connections when the
   machine loses its power.
3. A port at which nothing listens refuses. A host on which no process runs answers nothing at all: it is switched off.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from splitbrain.harness.environment import Address
from splitbrain.harness.seeds import draw
from splitbrain.harness.simulation.loop import VirtualLoop
from splitbrain.harness.simulation.network import SimulatedNetwork
from splitbrain.harness.simulation.programs.segments import ACK, RST, SYN, Segment, decode
from splitbrain.harness.simulation.programs.tcp_connection import TcpConnection

TCP_PORT = 1 << 16
"""Where the network delivers a host's segments: beside the ports of UDP, which end before it."""
EPHEMERAL_PORTS = (32_768, 60_999)
Accepted = Callable[[TcpConnection], None]


class SimulatedTcp:
    """One host's TCP while a process runs there.

    host: its name. seed: for port numbers, sequence numbers, and where segments are cut.
    """

    def __init__(self, host: str, loop: VirtualLoop, network: SimulatedNetwork, *, seed: int) -> None:
        self.host = host
        self.now = loop.time
        self.later = loop.deliver
        rng = draw(seed)
        self.random = rng.random
        self._bits = rng.getrandbits
        self._connections: dict[tuple[str, int, int], TcpConnection] = {}
        self._bound: dict[int, tuple[Accepted | None, bool]] = {}
        self._endpoint = network.bind((host, TCP_PORT), self._arrived)

    def free_port(self, in_use: Callable[[int], bool]) -> int:
        """A port for who does not care which. Raises OSError if none is left."""
        first, last = EPHEMERAL_PORTS
        start = int(self.random() * (last - first + 1))
        for number in range(last - first + 1):
            port = first + (start + number) % (last - first + 1)
            if not in_use(port):
                return port
        raise OSError(errno.EADDRNOTAVAIL, "all ephemeral ports are in use")

    def bind(self, port: int, *, loopback: bool) -> int:
        """Take a port (0: any). loopback: for this host alone. Raises OSError if it is taken. Returns the port."""
        if port == 0:
            port = self.free_port(self._bound.__contains__)
        if port in self._bound:
            raise OSError(errno.EADDRINUSE, f"{os.strerror(errno.EADDRINUSE)}: {self.host}:{port}")
        self._bound[port] = None, loopback
        return port

    def listen(self, port: int, accepted: Accepted) -> None:
        """Accept connections to a port that is bound."""
        self._bound[port] = accepted, self._bound[port][1]

    def release(self, port: int) -> None:
        """Refuse from now on."""
        self._bound.pop(port, None)

    def connect(self, to: Address, local_port: int) -> TcpConnection:
        """A connection that is not established yet. local_port: 0 for any. Raises OSError if it is taken."""
        if local_port == 0:
            local_port = self.free_port(lambda port: (*to, port) in self._connections)
        if (*to, local_port) in self._connections:
            raise OSError(errno.EADDRINUSE, f"{os.strerror(errno.EADDRINUSE)}: {self.host}:{local_port}")
        connection = self._add(to, local_port)
        connection.connect()
        return connection

    def exit(self) -> None:
        """The process has ended, and its kernel says so, once, to whom it was connected."""
        for connection in list(self._connections.values()):
            connection.close()

    def power_off(self) -> None:
        """Everything is gone without a word."""
        self._endpoint.close()
        self._bound.clear()
        for connection in list(self._connections.values()):
            connection.drop()

    def transmit(self, to: str, segment: Segment) -> None:
        """For connections: put a segment on the network."""
        self._endpoint.send(segment.encode(), (to, TCP_PORT))

    def forget(self, connection: TcpConnection) -> None:
        """For connections: this one has ended."""
        key = (*connection.remote, connection.local_port)
        if self._connections.get(key) is connection:
            del self._connections[key]

    def _add(self, remote: Address, local_port: int) -> TcpConnection:
        connection = TcpConnection(self, local_port, remote, self._bits(32))
        self._connections[(*remote, local_port)] = connection
        return connection

    def _arrived(self, datagram: bytes, source: Address) -> None:
        segment = decode(datagram)
        if segment is None:
            return
        host, remote = source[0], (source[0], segment.source_port)
        connection = self._connections.get((*remote, segment.target_port))
        is_request = segment.flags & (SYN | ACK | RST) == SYN
        if connection is not None and not (is_request and connection.renewed(segment)):
            connection.arrived(segment)
            return
        accepted, loopback = self._bound.get(segment.target_port, (None, False))
        if is_request and accepted is not None and not (loopback and host != self.host):
            self._add(remote, segment.target_port).accept(segment, accepted)
        elif not segment.flags & RST:
            reset = Segment(segment.target_port, segment.source_port, RST | ACK, segment.ack, segment.end, 0, b"")
            self.transmit(host, reset)
