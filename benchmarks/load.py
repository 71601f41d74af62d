"""Load: operations of several clients on a cluster or an echo, in a closed loop and in an open one.

1. In the open loop, operations start on schedule, whatever became of those before, and what they take counts from when
   they were due: a server that stalls is charged with all that waited meanwhile.
2. The same operations in the same order every time. Clients have keys of their own, and a put carries the context of
   what its client last read or wrote there: no siblings.
3. An operation that fails counts with what it took, and is counted.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
import select
import selectors
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.processes import HOST, Cluster, Process
from splitbrain.store.actions import Address
from splitbrain.store.client import Client
from splitbrain.store.client_core import ClientCore
from splitbrain.store.errors import StoreError
from splitbrain.store.server import present
from splitbrain.store.wire.udp import UdpSocket

VALUE = bytes(100)
KEYS = 1280
"""Of all clients together: one that lags in the open loop must not come back to a key whose put is under way."""
ECHOED = bytes(192)
"""With the 8 bytes before it about as long as the datagram of a put."""
BEHIND = 0.97
"""Falls behind who has ended fewer of the operations due, once the last one is due."""

Operation = Callable[[int], Awaitable[None]]
"""Given the client's number of it."""
Load = Callable[[], Awaitable[list[Operation]]]
"""Opens the clients: what each of them does."""


@dataclass
class Figures:
    """closed, open: seconds that each operation took. per_s: in the closed loop. cpu_s: of the measured processes, for
    an operation of the closed loop; or of the open one, where there was no closed. failed: operations."""

    closed: list[float] = field(default_factory=list)
    open: list[float] = field(default_factory=list)
    per_s: float = 0.0
    cpu_s: float = 0.0
    fell_behind: bool = False
    failed: int = 0

    def closed_s(self, share: float) -> float:
        """What that share did not exceed."""
        return _quantile(self.closed, share)

    def open_s(self, share: float) -> float:
        """The same in the open loop."""
        return _quantile(self.open, share)


class FineSelector(selectors.EpollSelector):
    """epoll waits for whole milliseconds; operations are due in between."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


def measure(load: Load, measured: Sequence[Process], seconds: float, rate: float | None = None) -> Figures:
    """Both loops, one after the other, for so long each. rate: operations a second: the open loop only.

    Without one, the open loop's is half of what the closed loop came to.
    """
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(FineSelector())) as runner:
        return runner.run(_measure(load, measured, seconds, rate))


async def _measure(load: Load, measured: Sequence[Process], seconds: float, rate: float | None) -> Figures:
    operations, figures = await load(), Figures()
    await _closed_loop(operations, seconds / 5, Figures())  # Rings are walked, round trips learnt.
    began, used_s = time.perf_counter(), _cpu_s(measured)
    if rate is None:
        await _closed_loop(operations, seconds, figures)
        figures.per_s = len(figures.closed) / (time.perf_counter() - began)
        figures.cpu_s = (_cpu_s(measured) - used_s) / len(figures.closed)
        await _open_loop(operations, figures.per_s / 2, seconds, figures)
    else:
        await _open_loop(operations, rate, seconds, figures)
        figures.cpu_s = (_cpu_s(measured) - used_s) / len(figures.open)
    return figures


async def _closed_loop(operations: Sequence[Operation], seconds: float, figures: Figures) -> None:
    until = time.perf_counter() + seconds

    async def client(operation: Operation) -> None:
        began = time.perf_counter()
        for number in itertools.count():
            await _tried(operation, number, figures)
            now = time.perf_counter()
            figures.closed.append(now - began)
            began = now
            if now > until:
                return

    await asyncio.gather(*map(client, operations))


async def _open_loop(operations: Sequence[Operation], rate: float, seconds: float, figures: Figures) -> None:
    count = max(1, int(rate * seconds))
    began = time.perf_counter()

    async def one(operation: Operation, number: int, due: float) -> None:
        await _tried(operation, number, figures)
        figures.open.append(time.perf_counter() - due)

    tasks = []
    for i in range(count):
        due = began + i / rate
        early_s = due - time.perf_counter()
        if early_s > 0:
            await asyncio.sleep(early_s)
        number, client = divmod(i, len(operations))
        tasks.append(asyncio.create_task(one(operations[client], number, due)))
    figures.fell_behind = len(figures.open) < BEHIND * count - len(operations)
    await asyncio.gather(*tasks)


async def _tried(operation: Operation, number: int, figures: Figures) -> None:
    try:
        await operation(number)
    except StoreError:
        figures.failed += 1


def puts(cluster: Cluster, clients: int) -> Load:
    """Puts of so many clients, each replacing what was there."""

    async def of(client: Client, keys: list[bytes]) -> Operation:
        contexts = {key: (await client.get(key)).context for key in keys}

        async def operation(number: int) -> None:
            key = keys[number % len(keys)]
            contexts[key] = await client.put(key, VALUE, contexts[key])

        return operation

    return _each(cluster, clients, of)


def gets(cluster: Cluster, clients: int) -> Load:
    """Gets of what the puts have left."""

    async def of(client: Client, keys: list[bytes]) -> Operation:
        async def operation(number: int) -> None:
            await client.get(keys[number % len(keys)])

        return operation

    return _each(cluster, clients, of)


def updates(cluster: Cluster, clients: int, held: int) -> Load:
    """A get, then a put of the same key, all over the keys that are there (`processes.filled`)."""

    async def of(client: Client, keys: list[bytes]) -> Operation:
        contexts: dict[bytes, bytes] = {}
        first = int.from_bytes(keys[0])

        async def operation(number: int) -> None:
            key = b"full%d" % ((first + number // 2 * 7919) % held)
            if number % 2 == 0 or key not in contexts:
                contexts[key] = (await client.get(key)).context
            else:
                await client.put(key, VALUE, contexts.pop(key))

        return operation

    return _each(cluster, clients, of)


def echoes(server: Address, clients: int) -> Load:
    """Datagrams to an echo, and back."""

    def of() -> Operation:
        waiting: dict[bytes, asyncio.Future[None]] = {}
        endpoint = UdpSocket((HOST, 0), lambda datagram, source: waiting.pop(datagram[:8]).set_result(None))
        numbers = itertools.count()

        async def operation(number: int) -> None:
            tag = next(numbers).to_bytes(8)
            future = waiting[tag] = asyncio.get_running_loop().create_future()
            endpoint.send(tag + ECHOED, server)
            await future

        return operation

    async def load() -> list[Operation]:
        return [of() for _ in range(clients)]

    return load


def _each(cluster: Cluster, clients: int, of: Callable[[Client, list[bytes]], Awaitable[Operation]]) -> Load:
    async def opened(place: int) -> Operation:
        addresses = [node.address for node in cluster.nodes]
        core = ClientCore(addresses, secret=cluster.secret, cluster=cluster.name, bits=secrets.randbits)
        client = Client(core, present)
        endpoint = UdpSocket((HOST, 0), client.received)
        client.attach(endpoint, endpoint.buffer_datagrams)
        await client.direct()
        return await of(client, [b"%d/%d" % (place, i) for i in range(KEYS // clients)])

    async def load() -> list[Operation]:
        return await asyncio.gather(*map(opened, range(clients)))

    return load


def _cpu_s(processes: Sequence[Process]) -> float:
    return sum(process.cpu_s for process in processes)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.nan
