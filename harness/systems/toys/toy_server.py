"""A node on a real machine: `python3 -m ...toy_server NAME FOLDER DEFECT NAME=HOST:PORT...`

1. The journal is one file of lines in the folder. A line is durable once the file has been synced; one that was cut off
   by a crash is dropped.
2. It needs nothing but Python's standard library.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from splitbrain.harness.systems.toys.toy_defects import DEFECTS
from splitbrain.harness.systems.toys.toy_node import Address, ToyNode

LARGEST_DATAGRAM = 65_536
NONE = "none"
"""For DEFECT: the right node."""


class RealShell:
    """Socket, clock and journal of a node. file: of the journal."""

    def __init__(self, address: Address, file: Path) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._file = file
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._drop_half_a_line()
        self._journal = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def _drop_half_a_line(self) -> None:
        if self._file.exists():
            written = self._file.read_bytes()
            with self._file.open("r+b") as journal:
                journal.truncate(written.rfind(b"\n") + 1)

    def now(self) -> float:
        return time.monotonic()

    def send(self, datagram: bytes, to: Address) -> None:
        try:
            self._socket.sendto(datagram, to)
        except OSError as problem:  # As good as lost on the way.
            self.log(f"not sent to {to[0]}:{to[1]}: {problem}")

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        heappush(self._timers, (self.now() + delay_s, next(self._numbers), callback))

    def append(self, entries: Sequence[bytes], done: Callable[[], None]) -> None:
        os.write(self._journal, b"".join(entry + b"\n" for entry in entries))
        os.fsync(self._journal)
        done()

    def journal(self) -> Iterator[bytes]:
        return iter(self._file.read_bytes().splitlines())

    def log(self, text: str) -> None:
        print(text, flush=True)

    def serve(self, received: Callable[[bytes, Address], None]) -> None:
        """Hand over datagrams and call back, for ever."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while True:
                wait_s = max(0.0, self._timers[0][0] - self.now()) if self._timers else None
                if selector.select(wait_s):
                    received(*self._socket.recvfrom(LARGEST_DATAGRAM))
                while self._timers and self._timers[0][0] <= self.now():
                    heappop(self._timers)[2]()


def main(name: str, folder: str, defect: str, addresses: Mapping[str, Address]) -> None:
    """Run a node until it is killed."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    shell = RealShell(addresses[name], Path(folder) / "journal.jsonl")
    node = (ToyNode if defect == NONE else DEFECTS[defect].node)(shell, name, addresses)
    node.start()
    shell.log("serving")
    shell.serve(node.received)


def address_of(text: str) -> Address:
    """HOST:PORT as an address."""
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    own_name, own_folder, mistake, *others = sys.argv[1:]
    main(own_name, own_folder, mistake, {one: address_of(at) for one, _, at in (o.partition("=") for o in others)})
