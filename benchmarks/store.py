"""What the store costs on loopback, beside a bare UDP echo through the same socket loop, all in one run.

    python -m benchmarks.store [--quick] [--profile FOLDER]

Look at ratios: absolute figures depend on the machine, and on what else runs on it.

- Cluster: three nodes, each a process of `splitbrain-store serve`, N,R,W = 3,2,2, values of 100 bytes, sqlite on this
  disk with every write synced. Clients have sockets of their own and go straight to a home of the key; all of them, and
  the echo's, live in the process that measures (`benchmarks.load`).
- Echo: a process that sends back what it gets, through the store's own socket (`store.udp`) on asyncio: what any
  request and answer must cost here.
- closed/s: every client asks for the next thing as soon as it has the last. p50, p99, p99.9: in an open loop at half
  that rate, from when an operation was due to start, and not from when it did; "behind" says that it fell behind.
- round trip: median of a get or put over the median of the echo, both in the closed loop, with as many clients.
- CPU: of all three nodes for a get or put, from the processes' own accounts, over that of an echo's two ends. Of those
  only one is bare, the answering process; it counts twice.

With --profile, and py-spy installed (`pip install py-spy`), where the time of node n1 goes while it serves puts, and
then gets, is written to that folder for https://speedscope.app.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load import Figures, clients_of, echoes, gets, mixed, puts, run_on_fine_timers
from benchmarks.processes import Cluster, Process, echo_server, filled
from harness.simulation import SimulatedEnvironment, run_simulated
from harness.systems.dynamo import Dynamo

CLIENTS = (1, 8, 64)
KEYS = 100_000
RATE = 500
SIMULATED = 3000


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="What the store costs.")
    parser.add_argument("--quick", action="store_true", help="twenty seconds or so, and rougher figures")
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="write profiles of a node there, with py-spy")
    options = parser.parse_args()
    seconds = 0.4 if options.quick else 3.0
    with tempfile.TemporaryDirectory(dir=".") as folder:
        table(Path(folder), seconds, CLIENTS[:: 2 if options.quick else 1], options.profile)
        full_nodes(Path(folder), 5 if options.quick else 30, KEYS // 10 if options.quick else KEYS)
    simulation()


def table(folder: Path, seconds: float, client_counts: tuple[int, ...], profile: Path | None) -> None:
    """Rates, latencies and ratios."""
    print(f"{'':18}{'closed/s':>9}{'p50 ms':>9}{'p99':>8}{'p99.9':>8}{'CPU us':>8}{'round trip':>12}{'CPU':>7}")
    bare: dict[int, Figures] = {}
    with echo_server() as server:
        for count in client_counts:
            load = echoes(server.address, count)
            bare[count] = run_on_fine_timers(load, [server], seconds)
            row(f"echo, {count} clients", bare[count], bare[count], ends=2)
    for engine in ("memory", "sqlite"):
        with Cluster(folder / engine, engine) as cluster:
            for name, make in (("put", puts), ("get", gets)):
                for count in client_counts:
                    figures = run_on_fine_timers(make(clients_of(cluster, count)), cluster.nodes, seconds)
                    row(f"{name}, {engine}, {count}", figures, bare[count])
                if profile is not None:
                    with spied(cluster.nodes[0], profile / f"{name}-{engine}.json"):
                        run_on_fine_timers(make(clients_of(cluster, 8)), cluster.nodes, 2 * seconds)


def row(title: str, figures: Figures, bare: Figures, ends: int = 1) -> None:
    """Print one line. ends: of the measured processes' kind, that an operation needs."""
    open_ms = "".join(
        f"{figures.open_s(share) * 1000:{width}.2f}" for share, width in ((0.5, 9), (0.99, 8), (0.999, 8))
    )
    print(
        f"{title:18}{figures.per_s:9,.0f}{open_ms}{figures.cpu_s * ends * 1e6:8.0f}"
        f"{figures.closed_s(0.5) / bare.closed_s(0.5):11.1f}x{figures.cpu_s * ends / bare.cpu_s / 2:6.1f}x"
        f"{'  behind' if figures.fell_behind else ''}",
        flush=True,
    )


def full_nodes(folder: Path, seconds: float, keys: int) -> None:
    """Print what 500 requests a second take on nodes that hold many keys, and what memory those need."""
    print(f"\nsqlite, {keys:,} keys on each node, {RATE} requests a second, half of them puts, every write synced")
    with Cluster(filled(folder / "full", keys), "sqlite") as cluster:
        figures = run_on_fine_timers(mixed(clients_of(cluster, 8), keys), cluster.nodes, seconds, rate=RATE)
        for share in (0.5, 0.99, 0.999):
            print(f"  p{100 * share:g}: {figures.open_s(share) * 1000:.1f} ms")
        print(f"  CPU: {figures.cpu_s * 1e6:.0f} us a request")
        print("  memory: " + ", ".join(f"{node.name} {node.memory_bytes / 1e6:.0f} MB" for node in cluster.nodes))
    print(f"  a bare sync of 4 KiB to this disk: {' / '.join(f'{1000 * s:.1f}' for s in syncs(folder))} ms (p50 / p99)")


def syncs(folder: Path) -> tuple[float, float]:
    """Seconds that a write of a page takes to be durable: the median, and the 99th percentile."""
    import os

    took = []
    with (folder / "page").open("wb", buffering=0) as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    took.sort()
    return took[100], took[197]


def simulation() -> None:
    """Print how many datagrams a second go through real nodes in virtual time."""

    async def load() -> tuple[int, float]:
        environment = SimulatedEnvironment(["n1", "n2", "n3"], seed=1)
        await environment.open(lambda text: None)
        system = Dynamo().configure({}, seed=1, nodes=3)
        for machine in environment.machines.values():
            await system.start(environment, machine)
        connections = [await system.connect(environment, f"n{1 + i % 3}") for i in range(9)]

        async def client(number: int) -> None:
            context, key = None, b"key%d" % number
            for _ in range(SIMULATED // 18):
                context = await connections[number].put(key, bytes(100), context)
                await connections[number].get(key)

        before, began = environment.network.datagrams, time.process_time()
        await asyncio.gather(*map(client, range(9)))
        took_s = time.process_time() - began
        return environment.network.datagrams - before, took_s

    datagrams, took_s = run_simulated(load)
    print(f"\nsimulation: {datagrams / took_s:,.0f} datagrams a second of CPU through 3 real nodes and 9 clients")
    print(f"  {datagrams / SIMULATED:.1f} datagrams and {took_s / SIMULATED * 1e6:.0f} us a get or put")


@contextmanager
def spied(node: Process, path: Path) -> Iterator[None]:
    """Where the process spends its time meanwhile, written to the path."""
    beside = Path(sys.executable).with_name("py-spy")
    program = str(beside) if beside.exists() else shutil.which("py-spy")
    if program is None:
        raise SystemExit("--profile needs py-spy: pip install py-spy")
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [program, "record", "--rate", "500", "--threads", "--format", "speedscope", "--output", str(path)]
    spy = subprocess.Popen([*command, "--duration", "3600", "--pid", str(node.pid)], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        spy.send_signal(2)
        spy.wait()


if __name__ == "__main__":
    main()
