"""What the store costs on loopback, beside a bare UDP echo through the same socket loop, all in one run.

    python -m benchmarks.store [--quick] [--profile FOLDER]

Look at ratios: absolute figures depend on the machine, and on what else runs on it.

- Cluster: three nodes, each a process of `splitbrain-store serve`, N,R,W = 3,2,2, 100-byte values; with sqlite every
  write is synced to the disk of the working directory. Clients have sockets of their own and go straight to a home of
  the key. All of them, and the echo's, live in the process that measures (`load`).
- Echo: a process that sends back what it gets, through the store's own socket (`store.wire.udp`) on asyncio: what any
  request and answer must cost here.
- closed/s: every client asks for the next thing as soon as it has the last.
- p50, p99, p99.9: in an open loop at half that rate, from when an operation was due to start, and not from when it did.
- round trip: the median of a get or put over the median of the echo, both in the closed loop with as many clients.
- CPU: of all three nodes, for a get or put in the closed loop, by the kernel's account of the processes; the ratio is
  to that of an echo's two ends. Of those only one is bare, the answering process; it counts twice.

With --profile, and py-spy installed (`pip install py-spy`), where the time of node n1 goes while it serves puts, and
then gets, is written to that folder for https://speedscope.app.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load import Figures, echoes, gets, measure, puts, updates
from benchmarks.processes import Cluster, Process, echo_server, filled
from splitbrain.harness.simulation import SimulatedEnvironment, run_simulated
from splitbrain.harness.systems.dynamo import Dynamo

CLIENTS = (1, 8, 64)
KEYS = 100_000
RATE = 500
SIMULATED_CLIENTS, SIMULATED = 9, 9000


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="What the store costs.")
    parser.add_argument("--quick", action="store_true", help="twenty seconds or so, and rougher figures")
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="write profiles of a node there, with py-spy")
    options = parser.parse_args()
    quick = options.quick
    with tempfile.TemporaryDirectory(dir=".") as folder:
        table(Path(folder), 0.4 if quick else 3.0, CLIENTS[::2] if quick else CLIENTS, options.profile)
        full_nodes(Path(folder), 4.0 if quick else 30.0, KEYS // 10 if quick else KEYS)
    simulation(SIMULATED // 9 if quick else SIMULATED)


def table(folder: Path, seconds: float, client_counts: tuple[int, ...], profile: Path | None) -> None:
    """Rates, latencies and ratios."""
    print(f"{'':18}{'closed/s':>9}{'p50 ms':>9}{'p99':>8}{'p99.9':>8}{'round trip':>12}{'CPU us':>8}{'CPU':>8}")
    bare: dict[int, Figures] = {}
    with echo_server() as server:
        for count in client_counts:
            bare[count] = measure(echoes(server.address, count), [server], seconds)
            bare[count].cpu_s *= 2
            row(f"echo, {count}", bare[count], bare[count])
    for engine in ("memory", "sqlite"):
        with Cluster(folder / engine, engine) as cluster:
            for name, load in (("put", puts), ("get", gets)):
                for count in client_counts:
                    figures = measure(load(cluster, count), cluster.nodes, seconds)
                    row(f"{name}, {engine}, {count}", figures, bare[count])
                if profile is not None:
                    with spied(cluster.nodes[0], profile / f"{name}-{engine}.json"):
                        measure(load(cluster, 8), cluster.nodes, 2 * seconds)


def row(title: str, figures: Figures, bare: Figures) -> None:
    """Print one line."""
    print(
        f"{title:18}{figures.per_s:9,.0f}{milliseconds(figures)}{figures.closed_s(0.5) / bare.closed_s(0.5):11.1f}x"
        f"{figures.cpu_s * 1e6:8.0f}{figures.cpu_s / bare.cpu_s:7.1f}x{troubles(figures)}",
        flush=True,
    )


def milliseconds(figures: Figures) -> str:
    """The open loop's percentiles."""
    return "".join(f"{1000 * figures.open_s(share):{width}.2f}" for share, width in ((0.5, 9), (0.99, 8), (0.999, 8)))


def troubles(figures: Figures) -> str:
    """What makes a line doubtful."""
    return ("  fell behind" if figures.fell_behind else "") + (f"  {figures.failed} failed" if figures.failed else "")


def full_nodes(folder: Path, seconds: float, keys: int) -> None:
    """What 500 requests a second take on nodes that hold many keys, and what memory those need."""
    print(f"\n{keys:,} keys on each node, sqlite, {RATE} requests a second, half of them puts, for {seconds:.0f} s:")
    with Cluster(filled(folder / "full", keys), "sqlite") as cluster:
        figures = measure(updates(cluster, 8, keys), cluster.nodes, seconds, rate=RATE)
        print(f"  p50, p99, p99.9: {milliseconds(figures)} ms{troubles(figures)}")
        print("  memory: " + ", ".join(f"{node.name} {node.memory_bytes / 1e6:.0f} MB" for node in cluster.nodes))
    median_s, tail_s = syncs(folder / "page")
    print(f"  a bare sync of one page to this disk: {1000 * median_s:.1f} ms, p99 {1000 * tail_s:.1f} ms")


def syncs(path: Path) -> tuple[float, float]:
    """Seconds that a page takes to be durable: the median, and the 99th percentile."""
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(500):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    took.sort()
    return took[250], took[494]


def simulation(operations: int) -> None:
    """How many datagrams a second go through real nodes in virtual time, simulator and clients included."""

    async def load() -> tuple[int, float]:
        environment = SimulatedEnvironment(["n1", "n2", "n3"], seed=1)
        await environment.open(lambda text: None)
        system = Dynamo().configure({}, seed=1, nodes=3)
        for machine in environment.machines.values():
            await system.start(environment, machine)
        connections = [await system.connect(environment, f"n{1 + i % 3}") for i in range(SIMULATED_CLIENTS)]

        async def client(number: int) -> None:
            context, key = None, b"key%d" % number
            for _ in range(operations // SIMULATED_CLIENTS // 2):
                context = await connections[number].put(key, bytes(100), context)
                await connections[number].get(key)

        before, began = environment.network.datagrams, time.process_time()
        await asyncio.gather(*map(client, range(SIMULATED_CLIENTS)))
        return environment.network.datagrams - before, time.process_time() - began

    datagrams, took_s = run_simulated(load)
    print(f"\nsimulation, 3 nodes, {SIMULATED_CLIENTS} clients: {datagrams / took_s:,.0f} datagrams a second of CPU")
    print(f"  {datagrams / operations:.1f} datagrams and {took_s / operations * 1e6:.0f} us a get or put")


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
        spy.send_signal(signal.SIGINT)
        spy.wait()


if __name__ == "__main__":
    main()
