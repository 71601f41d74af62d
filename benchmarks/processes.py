"""The processes that are measured: three nodes, or an echo; what they cost is read from the kernel's accounts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from splitbrain.store.actions import Address, Record
from splitbrain.store.storage.engine import SqliteEngine
from splitbrain.store.storage.replica import DATA, Entry, place
from splitbrain.store.versions.dotted import EMPTY, NOTHING, write
from splitbrain.store.wire.udp import UdpSocket

HOST = "127.0.0.1"
FILLED_AT_ONCE = 5000


class Process:
    """A child process that serves at an address. It prints a line once it does."""

    def __init__(self, name: str, command: list[str], address: Address) -> None:
        self.name = name
        self.address = address
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise SystemExit(f"{name} did not start; what it printed above says why")

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that it has used, its threads and the kernel on its behalf included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory_bytes(self) -> int:
        """What it holds of the machine's memory."""
        found = re.search(r"VmRSS:\s*(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0

    def stop(self) -> None:
        """End it, and wait until it has."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


class Cluster:
    """Three nodes on loopback. folder: of their data; a folder in it by the name of a node is that node's.

    doors: for each node, the address at which others find it, and the one where it listens; None: they are the same.
    """

    def __init__(self, folder: Path, engine: str, doors: Sequence[tuple[Address, Address]] | None = None) -> None:
        self.secret = secrets.token_bytes(32)
        self.name = "bench"
        folder.mkdir(exist_ok=True)
        (folder / "key").touch(mode=0o600)
        (folder / "key").write_bytes(self.secret)
        doors = doors or [(address, address) for address in free_addresses(3)]
        addresses = {f"n{i}": address for i, (address, _) in enumerate(doors, 1)}
        shared = ["--key-file", str(folder / "key"), "--cluster", self.name, "--engine", engine]
        for name, (host, port) in addresses.items():
            shared += ["--member", f"{name}={host}:{port}"]
        self.nodes = []
        for (name, address), (_, (host, port)) in zip(addresses.items(), doors, strict=True):
            command = [sys.executable, "-m", "splitbrain.store.cli.main", "serve"]
            command += ["--name", name, "--data", str(folder / name), "--listen", f"{host}:{port}"]
            self.nodes.append(Process(name, [*command, *shared], address))

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for node in self.nodes:
            node.stop()


def filled(folder: Path, keys: int) -> Path:
    """Folders of three nodes that hold so many keys, under one version each; the same on all three."""
    engine = SqliteEngine(folder / "n1")
    records = []
    for i in range(keys):
        key = b"full%d" % i
        state, _ = write(
            EMPTY, NOTHING, dot=(1 << 62, 1), value=bytes(100), request_id=i, coordinator="n1", wall_ns=1 << 60
        )
        records.append(Record(DATA, place(key), msgspec.msgpack.encode(Entry(0, state))))
        if len(records) == FILLED_AT_ONCE or i == keys - 1:
            engine.commit(records)
            records.clear()
    engine.close()
    for name in ("n2", "n3"):
        shutil.copytree(folder / "n1", folder / name)
    return folder


def free_addresses(count: int) -> list[Address]:
    """Addresses on loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname() for each in sockets]


@contextlib.contextmanager
def echo_server() -> Iterator[Process]:
    """A process that echoes."""
    address = free_addresses(1)[0]
    process = Process("echo", [sys.executable, "-m", "benchmarks.processes", str(address[1])], address)
    try:
        yield process
    finally:
        process.stop()


async def _echo(port: int) -> None:
    endpoint = UdpSocket((HOST, port), lambda datagram, source: endpoint.send(datagram, source))
    print("echoing", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    asyncio.run(_echo(int(sys.argv[1])))
