"""Load: operations of several clients on a cluster or an echo, in a closed loop and in an open one.

1. In the open loop, operations start on schedule, whatever became of those before, and what they take counts from when
   they were due: a server that stalls is charged with all that waited meanwhile.
2. The same operations in the same order every time. Clients have keys of their own, and a put carries the context of
   what its client last read or wrote there: no siblings.
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
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import HOST, Cluster, Process
from store.actions import Address
from store.client import Client, ClientCore
from store.server import present
from store.udp import UdpSocket

VALUE = bytes(100)
KEYS_A_CLIENT = 100
ECHOED = bytes(192)
"""With the 8 bytes before it as long as the datagram of a put."""
BEHIND = 0.97
"""Falls behind who starts fewer of the operations due."""

Operation = Callable[[int], Awaitable[None]]
"""Given the client's number of it."""
Load = Callable[[], Awaitable[list[Operation]]]
"""Opens the clients: what each of them does."""


@dataclass
class Figures:
    """closed, open: seconds that each operation took. per_s: in the closed loop. cpu_s: of the measured processes, for
    an operation of the closed loop."""

    closed: list[float]
    open: list[float]
    per_s: float
    cpu_s: float
    fell_behind: bool

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


def run_on_fine_timers(load: Load, measured: Sequence[Process], seconds: float, rate: float | None = None) -> Figures:
    """Both loops, one after the other; with a rate the open one only."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(FineSelector())) as runner:
        return runner.run(_run(load, measured, seconds, rate))


async def _run(load: Load, measured: Sequence[Process], seconds: float, rate: float | None) -> Figures:
    operations = await load()
    await _closed_loop(operations, seconds / 5)  # Warms up: rings are walked, round trips learnt.
    cpu_before_s, began = sum(process.cpu_s for process in measured), time.perf_counter()
    closed = [] if rate else await _closed_loop(operations, seconds)
    took_s = time.perf_counter() - began
    closed_cpu_s = sum(process.cpu_s for process in measured) - cpu_before_s
    late, open_ = await _open_loop(operations, rate or len(closed) / took_s / 2, seconds)
    if rate:
        closed_cpu_s = sum(process.cpu_s for process in measured) - cpu_before_s
    return Figures(closed, open_, len(closed) / took_s, closed_cpu_s / len(closed or open_), late)


async def _closed_loop(operations: Sequence[Operation], seconds: float) -> list[float]:
    took: list[float] = []
    until = time.perf_counter() + seconds

    async def client(operation: Operation) -> None:
        began = time.perf_counter()
        for number in itertools.count():
            await operation(number)
            now = time.perf_counter()
            took.append(now - began)
            began = now
            if now > until:
                return

    await asyncio.gather(*map(client, operations))
    return took


async def _open_loop(operations: Sequence[Operation], rate: float, seconds: float) -> tuple[bool, list[float]]:
    took: list[float] = []
    count = max(1, int(rate * seconds))
    began = time.perf_counter()

    async def one(operation: Operation, number: int, due: float) -> None:
        await operation(number)
        took.append(time.perf_counter() - due)

    tasks = []
    for i in range(count):
        due = began + i / rate
        early_s = due - time.perf_counter()
        if early_s > 0:
            await asyncio.sleep(early_s)
        number, client = divmod(i, len(operations))
        tasks.append(asyncio.create_task(one(operations[client], number, due)))
    in_time = len(took)
    await asyncio.gather(*tasks)
    return in_time < BEHIND * count - len(operations), took


def clients_of(cluster: Cluster, count: int) -> Callable[[], Awaitable[list[Client]]]:
    """So many clients, which know the ring."""

    async def opened() -> list[Client]:
        clients = []
        addresses = [node.address for node in cluster.nodes]
        for _ in range(count):
            core = ClientCore(addresses, secret=cluster.secret, cluster=cluster.name, bits=secrets.randbits)
            client = Client(core, present)
            client.attach(UdpSocket((HOST, 0), client.received))
            await client.direct()
            clients.append(client)
        return clients

    return opened


def puts(opened: Callable[[], Awaitable[list[Client]]]) -> Load:
    """Puts, each replacing what was there."""

    def of(client: Client, place: int) -> Operation:
        keys = [b"%d/%d" % (place, i) for i in range(KEYS_A_CLIENT)]
        contexts: dict[bytes, bytes] = {}

        async def operation(number: int) -> None:
            key = keys[number % KEYS_A_CLIENT]
            if key not in contexts:
                contexts[key] = (await client.get(key)).context
            contexts[key] = await client.put(key, VALUE, contexts[key])

        return operation

    return _each(opened, of)


def gets(opened: Callable[[], Awaitable[list[Client]]]) -> Load:
    """Gets of what the puts have left."""

    def of(client: Client, place: int) -> Operation:
        keys = [b"%d/%d" % (place, i) for i in range(KEYS_A_CLIENT)]

        async def operation(number: int) -> None:
            await client.get(keys[number % KEYS_A_CLIENT])

        return operation

    return _each(opened, of)


def mixed(opened: Callable[[], Awaitable[list[Client]]], keys: int) -> Load:
    """A get, then a put of the same key, over all the keys that are there (`processes.filled`)."""

    def of(client: Client, place: int) -> Operation:
        contexts: dict[bytes, bytes] = {}

        async def operation(number: int) -> None:
            key = b"full%d" % ((number // 2 * 7919 + place * 101) % keys)
            if number % 2 == 0 or key not in contexts:
                contexts[key] = (await client.get(key)).context
            else:
                await client.put(key, VALUE, contexts.pop(key))

        return operation

    return _each(opened, of)


def echoes(server: Address, count: int) -> Load:
    """Datagrams to an echo, and back."""

    async def opened() -> list[None]:
        return [None] * count

    def of(client: None, place: int) -> Operation:
        waiting: dict[bytes, asyncio.Future[None]] = {}
        endpoint = UdpSocket((HOST, 0), lambda datagram, source: waiting.pop(datagram[:8]).set_result(None))
        numbers = itertools.count()

        async def operation(number: int) -> None:
            tag = next(numbers).to_bytes(8)
            future = waiting[tag] = asyncio.get_running_loop().create_future()
            endpoint.send(tag + ECHOED, server)
            await future

        return operation

    return _each(opened, of)


def _each(opened: Callable[[], Awaitable[list[Any]]], of: Callable[[Any, int], Operation]) -> Load:
    async def load() -> list[Operation]:
        return [of(client, place) for place, client in enumerate(await opened())]

    return load


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)] if values else math.nan
