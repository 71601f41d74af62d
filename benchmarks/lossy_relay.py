"""A relay in front of nodes that loses datagrams: real processes on loopback, and the loss of a bad network.

1. Each node has an address at the relay, under which the others and the clients know it. What is sent there goes on to
   the node, from a socket of the relay that stands for the sender; what the node answers goes back from that address.
2. Each datagram passes it once, and is lost with the same probability, one way or the other.

    python -m benchmarks.lossy_relay LOSS SEED PORT=NODE_PORT ...
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import Iterator, Sequence

from benchmarks.processes import HOST, Process
from splitbrain.store.actions import Address
from splitbrain.store.wire.udp import UdpSocket


class Door:
    """One node's address at the relay. loses: whether the next datagram is lost."""

    def __init__(self, port: int, node: Address, loses: random.Random, loss: float) -> None:
        self._node = node
        self._random = loses
        self._loss = loss
        self._standing_for: dict[Address, UdpSocket] = {}
        self._socket = UdpSocket((HOST, port), self._inward)

    def _inward(self, datagram: bytes, source: Address) -> None:
        stand_in = self._standing_for.get(source)
        if stand_in is None:
            stand_in = UdpSocket((HOST, 0), lambda answer, node: self._outward(answer, source))
            self._standing_for[source] = stand_in
        if self._random.random() >= self._loss:
            stand_in.send(datagram, self._node)

    def _outward(self, answer: bytes, to: Address) -> None:
        if self._random.random() >= self._loss:
            self._socket.send(answer, to)


@contextlib.contextmanager
def lossy_relay(loss: float, doors: Sequence[tuple[Address, Address]], seed: int) -> Iterator[None]:
    """A process that relays. doors: each node's address at the relay, and its own."""
    ways = [f"{outside[1]}={inside[1]}" for outside, inside in doors]
    command = [sys.executable, "-m", "benchmarks.lossy_relay", str(loss), str(seed), *ways]
    process = Process("relay", command, doors[0][0])
    try:
        yield
    finally:
        process.stop()


async def _relay(loss: float, seed: int, ways: Sequence[str]) -> None:
    loses = random.Random(seed)
    doors = [
        Door(int(outside), (HOST, int(inside)), loses, loss) for outside, _, inside in (w.partition("=") for w in ways)
    ]
    print(f"relaying {len(doors)} nodes", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    asyncio.run(_relay(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
