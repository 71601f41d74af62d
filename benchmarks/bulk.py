"""Bulk load: many large puts at once on three real nodes, and large puts over a network that loses datagrams.

    python -m benchmarks.bulk [--quick] [--json]

- Three nodes, each a process of `splitbrain-store serve` with sqlite, N,R,W = 3,2,2; the clients live in the process
  that measures. In a burst all puts begin at the same moment, each on a key of its own. A client with `direct` goes
  straight to a home of the key; "through one node" sends all to n1. Afterwards every key whose put was
  acknowledged is read back.
- failed: puts that raised an error. unread: keys that could not be read back. lost: keys that were read back as
  something else.
- busy: how often a node refused a put at first; the client brought it back.
- status_ms: what the slowest of all requests for a node's status took, one every 20 ms to each node throughout.
- drops, timeouts, datagrams_in: over all nodes: datagrams that the kernel dropped because a socket's buffer was full;
  requests between nodes that were not answered in time; datagrams that came.
- With loss, the datagrams pass a relay that loses that share of them, each way (`lossy_relay`); puts of 1 MiB one after
  the other, and the slowest of them.

Failures, drops and losses hold on any machine; times depend on it, and on what else runs there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.lossy_relay import lossy_relay
from benchmarks.processes import HOST, Cluster, free_addresses
from splitbrain.store.actions import Address
from splitbrain.store.client import Client
from splitbrain.store.client_core import ClientCore
from splitbrain.store.errors import StoreError
from splitbrain.store.server import present
from splitbrain.store.wire.udp import UdpSocket

KIB, MIB = 1 << 10, 1 << 20
BURSTS = ((16, MIB), (64, 128 * KIB), (256, 16 * KIB), (64, MIB))
ONE_NODE = (32, MIB)
LOSSES = (0.0, 0.01, 0.05, 0.20)
LOSSY_PUTS = 10
WATCH_EVERY_S = 0.02

Figures = dict[str, Any]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="What bulk load does to the store.")
    parser.add_argument("--quick", action="store_true", help="fewer bursts, and fewer puts with loss")
    parser.add_argument("--json", action="store_true", help="a JSON list, instead of lines")
    options = parser.parse_args()
    found: list[Figures] = []

    def show(figures: Figures) -> None:
        found.append(figures)
        if not options.json:
            print(", ".join(f"{name} {value}" for name, value in figures.items()), flush=True)

    with tempfile.TemporaryDirectory(dir=".") as folder:
        with Cluster(Path(folder) / "bulk", "sqlite") as cluster:
            for count, size in BURSTS[1:3] if options.quick else BURSTS:
                show(asyncio.run(burst(cluster, count, size, direct=True)))
            show(asyncio.run(burst(cluster, *ONE_NODE, direct=False)))
        for loss in LOSSES[2:] if options.quick else LOSSES:
            with lossy_cluster(Path(folder) / f"loss{loss}", loss) as cluster:
                show(asyncio.run(lossy(cluster, loss, LOSSY_PUTS // 3 if options.quick else LOSSY_PUTS)))
    if options.json:
        print(json.dumps(found, indent=2))


@contextlib.contextmanager
def lossy_cluster(folder: Path, loss: float) -> Iterator[Cluster]:
    """Three nodes behind a relay that loses that share of the datagrams."""
    outside, inside = free_addresses(3), free_addresses(3)
    doors = list(zip(outside, inside, strict=True))
    with lossy_relay(loss, doors, seed=1), Cluster(folder, "sqlite", doors) as cluster:
        yield cluster


async def burst(cluster: Cluster, count: int, size: int, *, direct: bool) -> Figures:
    """So many puts of that size at once."""
    addresses = [node.address for node in cluster.nodes]
    client = connect(cluster, addresses if direct else addresses[:1])
    if direct:
        await client.direct()
    values = {f"bulk/{count}/{size}/{direct}/{i}".encode(): secrets.token_bytes(size) for i in range(count)}
    watch = Watch(cluster)
    await watch.begin()
    began, errors, acknowledged = time.perf_counter(), [], []

    async def put(key: bytes, value: bytes) -> float:
        try:
            await client.put(key, value)
            acknowledged.append(key)
        except StoreError as error:
            errors.append(f"{error.code}: {error.message}")
        return time.perf_counter() - began

    took_s = await asyncio.gather(*(put(key, value) for key, value in values.items()))
    seen = await watch.end()
    lost = unread = 0
    for key in acknowledged:
        try:
            lost += (await client.get(key)).values != (values[key],)
        except StoreError:
            unread += 1
    client.close()
    for text in errors[:3]:
        print(text, file=sys.stderr)
    return {
        "load": f"{count} puts of {size // KIB} KiB at once, " + ("direct" if direct else "through one node"),
        "failed": len(errors),
        "unread": unread,
        "lost": lost,
        "seconds": round(max(took_s), 2),
        "mib_per_s": round(count * size / MIB / max(took_s), 1),
        **seen,
    }


async def lossy(cluster: Cluster, loss: float, count: int) -> Figures:
    """Puts of 1 MiB, one after the other."""
    client = connect(cluster, [node.address for node in cluster.nodes])
    await client.direct()
    failed, took_s = 0, []
    for i in range(count):
        value = secrets.token_bytes(MIB)
        began = time.perf_counter()
        try:
            await client.put(b"lossy/%d" % i, value)
        except StoreError as error:
            failed += 1
            print(f"{error.code}: {error.message}", file=sys.stderr)
        took_s.append(time.perf_counter() - began)
    client.close()
    took_s.sort()
    return {
        "load": f"{count} puts of 1024 KiB one by one, {loss:.0%} lost",
        "failed": failed,
        "median_s": round(took_s[len(took_s) // 2], 3),
        "slowest_s": round(took_s[-1], 3),
    }


def connect(cluster: Cluster, addresses: list[Address]) -> Client:
    """A client with a socket of its own."""
    core = ClientCore(addresses, secret=cluster.secret, cluster=cluster.name, bits=secrets.randbits)
    client = Client(core, present)
    endpoint = UdpSocket((HOST, 0), client.received)
    client.attach(endpoint, endpoint.buffer_datagrams)
    return client


class Watch:
    """Asks every node for its status, again and again."""

    def __init__(self, cluster: Cluster) -> None:
        self._clients = [connect(cluster, [node.address]) for node in cluster.nodes]
        self._slowest_s = 0.0
        self._before: list[Any] = []

    async def begin(self) -> None:
        """From now on."""
        self._before = [await client.status() for client in self._clients]
        self._tasks = [asyncio.create_task(self._ask(client)) for client in self._clients]

    async def end(self) -> Figures:
        """Until now; what the nodes counted meanwhile."""
        for task in self._tasks:
            task.cancel()
        after: list[Any] = [await client.status() for client in self._clients]
        for client in self._clients:
            client.close()
        counts = {name: self._counted(after, name) for name in ("busy", "datagrams_in", "timeouts")}
        drops = [
            self._rise(before["kernel_drops"], now["kernel_drops"])
            for before, now in zip(self._before, after, strict=True)
        ]
        return {"status_ms": round(1000 * self._slowest_s, 1), "drops": sum(drops), **counts}

    async def _ask(self, client: Client) -> None:
        while True:
            began = time.perf_counter()
            with contextlib.suppress(StoreError):
                await client.status()
            self._slowest_s = max(self._slowest_s, time.perf_counter() - began)
            await asyncio.sleep(WATCH_EVERY_S)

    def _counted(self, after: list[Any], name: str) -> int:
        pairs = zip(self._before, after, strict=True)
        return sum(self._rise(before["counters"].get(name, 0), now["counters"].get(name, 0)) for before, now in pairs)

    @staticmethod
    def _rise(before: int | None, now: int | None) -> int:
        return (now or 0) - (before or 0)


if __name__ == "__main__":
    main()
