"""Interfaces: what a connection may offer besides a versioned store, one small protocol each.

1. Names of methods differ between interfaces, so one connection can speak several of them.
2. Values are JSON: integers, strings, lists and objects of them. Keys and names are strings.
3. Every method raises `OperationFailed` if it did not succeed, and that alone (`system`).
4. Each interface has a probe in `PROBES`. It asks for something that no workload's operation can notice.

`VersionedStore`, the interface of the reference store, is in `system`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from splitbrain.harness.system import Connection

PROBE_NAME = "splitbrain/probe"
"""A key, queue or lock that no workload uses."""


@runtime_checkable
class Register(Connection, Protocol):
    """Registers by key, empty (null) at first."""

    async def read(self, key: str) -> Any: ...

    async def write(self, key: str, value: Any) -> None: ...

    async def cas(self, key: str, old: Any, new: Any) -> bool:
        """Compare and set. Returns False, and changes nothing, if the register held another value than `old`."""


@runtime_checkable
class Transactions(Connection, Protocol):
    """Transactions of micro-operations on rows by key.

    A row holds a register, null at first, or a list, empty at first. Which of the two, its first write decides.
    """

    async def transact(self, micro_operations: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """Do all of them at once, or none.

        micro_operations: ["r", key, null], ["w", key, value] or ["append", key, element]. Returns the same, the nulls
        of reads filled in with what was read: the register's value, or the list; null for a row never written.
        """


@runtime_checkable
class Set(Connection, Protocol):
    """Sets by key."""

    async def add_element(self, key: str, element: int) -> None: ...

    async def elements(self, key: str) -> list[int]:
        """All elements, in any order."""


@runtime_checkable
class Queue(Connection, Protocol):
    """Queues by key; what is enqueued is taken out once."""

    async def enqueue(self, key: str, value: Any) -> None: ...

    async def dequeue(self, key: str) -> Any:
        """Returns what it took out; null if the queue was empty."""


@runtime_checkable
class Counter(Connection, Protocol):
    """Counters by key, zero at first."""

    async def add(self, key: str, amount: int) -> None:
        """amount: may be negative."""

    async def total(self, key: str) -> int: ...


@runtime_checkable
class Log(Connection, Protocol):
    """Logs by key, which give each record an offset, and remember how far consumers have come (Kafka).

    Offsets of a key ascend, perhaps with gaps.
    """

    async def send(self, key: str, value: Any) -> int:
        """Append a record. Returns its offset."""

    async def poll(self, positions: Mapping[str, int]) -> dict[str, list[list[Any]]]:
        """Some of the next records of each key, in order, as [offset, value].

        positions: the first offset wanted, by key. Keys without further records are missing in the answer.
        """

    async def commit(self, positions: Mapping[str, int]) -> None:
        """Remember that everything below these offsets was consumed."""

    async def committed(self, keys: Sequence[str]) -> dict[str, int]:
        """What was committed for each of these keys; zero if nothing was."""


@runtime_checkable
class Bank(Connection, Protocol):
    """One bank of accounts."""

    async def open_accounts(self, balances: Mapping[str, int]) -> None:
        """Open accounts that are not open yet; the others stay as they are."""

    async def transfer(self, source: str, target: str, amount: int) -> None:
        """Fails, definitely, if that would overdraw the source."""

    async def balances(self) -> dict[str, int]:
        """The balance of every account, at one moment."""


@runtime_checkable
class Lock(Connection, Protocol):
    """Locks by name, held for a lease at most."""

    async def acquire(self, name: str, lease_s: float) -> int | None:
        """Take the lock for so many seconds.

        Returns a fencing token, which is larger than any given out for this lock before; None if somebody else holds
        it.
        """

    async def release(self, name: str, token: int) -> bool:
        """Give the lock back. Returns False if it was not held under that token any more."""


@runtime_checkable
class UniqueIds(Connection, Protocol):
    """A generator of ids."""

    async def generate(self) -> Any:
        """An id that is given to no one else."""


@runtime_checkable
class Broadcast(Connection, Protocol):
    """Messages that every node is to learn of."""

    async def broadcast(self, message: int) -> None: ...

    async def messages(self) -> list[int]:
        """All messages that this node has learned of, in any order."""


@runtime_checkable
class Echo(Connection, Protocol):
    """A node that repeats what it is told."""

    async def echo(self, payload: str) -> str: ...


async def _register(connection: Register) -> None:
    await connection.write(PROBE_NAME, 1)
    await connection.read(PROBE_NAME)


async def _transactions(connection: Transactions) -> None:
    await connection.transact([["w", PROBE_NAME, 1]])
    await connection.transact([["r", PROBE_NAME, None]])


async def _set(connection: Set) -> None:
    await connection.add_element(PROBE_NAME, 1)
    await connection.elements(PROBE_NAME)


async def _queue(connection: Queue) -> None:
    await connection.enqueue(PROBE_NAME, 1)
    await connection.dequeue(PROBE_NAME)


async def _counter(connection: Counter) -> None:
    await connection.add(PROBE_NAME, 1)
    await connection.total(PROBE_NAME)


async def _log(connection: Log) -> None:
    await connection.send(PROBE_NAME, 1)
    await connection.poll({PROBE_NAME: 0})


async def _bank(connection: Bank) -> None:
    await connection.open_accounts({})  # Opens none: an account of the probe's would be in every read.
    await connection.balances()


async def _lock(connection: Lock) -> None:
    token = await connection.acquire(PROBE_NAME, 1.0)
    if token is not None:  # Another node's probe may hold it.
        await connection.release(PROBE_NAME, token)


async def _unique_ids(connection: UniqueIds) -> None:
    await connection.generate()


async def _broadcast(connection: Broadcast) -> None:
    await connection.messages()  # No message: it would be in every read.


async def _echo(connection: Echo) -> None:
    await connection.echo(PROBE_NAME)


PROBES: Mapping[str, Callable[[Any], Awaitable[None]]] = {
    "Register": _register,
    "Transactions": _transactions,
    "Set": _set,
    "Queue": _queue,
    "Counter": _counter,
    "Log": _log,
    "Bank": _bank,
    "Lock": _lock,
    "UniqueIds": _unique_ids,
    "Broadcast": _broadcast,
    "Echo": _echo,
}
"""By interface: asks for a little of everything through a connection, and raises OperationFailed if unanswered."""
