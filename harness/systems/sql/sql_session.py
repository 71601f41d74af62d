"""A session with an SQL database: transactions on lists and registers, a bank, and sets, in tables of its own.

1. A transaction is a BEGIN, one statement for each micro-operation, and a COMMIT, sent one after the other. Nothing is
   done by the client that the database could do wrong: an append is one UPDATE that concatenates.
2. Until the COMMIT is sent, a failure is definite: a server does not commit what it was not asked to. What goes wrong
   from then on is indeterminate, unless the server says that it has rolled back.
3. A transfer reads both balances and writes what it computed from them, as a program does that trusts its isolation
   level. Under a level that allows lost updates, money appears or vanishes.
4. Rows are spread over three tables, so that a transaction touches several.

Sources: Jepsen's analyses of PostgreSQL 12.3 (2020) and MariaDB Galera Cluster 12.1.2 (2026), for the statements.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.kit import Session

Raw = TypeVar("Raw")
T = TypeVar("T")
DATABASE = "splitbrain"
TABLES = 3


def table_of(key: str) -> str:
    """The table that has this row."""
    return f"rows{zlib.crc32(key.encode()) % TABLES}"


class SqlSession(Session[Raw]):
    """What both dialects share. Parameters are written `%s`; a subclass translates them.

    upsert: of a value at a key, given the table: it takes the key and the value. append: the same, of what is to be
    concatenated. kept: what ends an INSERT if a row that is there is to stay.
    """

    upsert: str
    append: str
    kept: str

    async def query(self, raw: Raw, statement: str, *values: Any) -> list[Sequence[Any]]:
        """Send one statement. Returns its rows."""
        raise NotImplementedError(f"{type(self).__name__} has to say how it asks: give it a method `query`")

    async def transact(self, micro_operations: Sequence[Sequence[Any]]) -> list[list[Any]]:
        async def body(raw: Raw) -> list[list[Any]]:
            return [[f, key, await self._done(raw, f, key, value)] for f, key, value in micro_operations]

        return await self._transaction(body)

    async def open_accounts(self, balances: Mapping[str, int]) -> None:
        async def body(raw: Raw) -> None:
            for account, balance in sorted(balances.items()):
                insert = f"INSERT INTO accounts (name, balance) VALUES (%s, %s) {self.kept}"
                await self.query(raw, insert, account, balance)

        await self._transaction(body)

    async def transfer(self, source: str, target: str, amount: int) -> None:
        async def body(raw: Raw) -> None:
            held = [await self._balance(raw, name) for name in (source, target)]
            if held[0] < amount:
                raise OperationFailed("overdrawn", f"{source} has {held[0]}, not {amount}", definite=True)
            for name, balance in ((source, held[0] - amount), (target, held[1] + amount)):
                await self.query(raw, "UPDATE accounts SET balance = %s WHERE name = %s", balance, name)

        await self._transaction(body)

    async def balances(self) -> dict[str, int]:
        rows = await self.call(lambda raw: self.query(raw, "SELECT name, balance FROM accounts"), effect=False)
        return {str(name): int(balance) for name, balance in rows}

    async def add_element(self, key: str, element: int) -> None:
        insert = f"INSERT INTO elements (name, element) VALUES (%s, %s) {self.kept}"
        await self.call(lambda raw: self.query(raw, insert, key, element))

    async def elements(self, key: str) -> list[int]:
        select = "SELECT element FROM elements WHERE name = %s"
        return [int(row[0]) for row in await self.call(lambda raw: self.query(raw, select, key), effect=False)]

    async def _balance(self, raw: Raw, name: str) -> int:
        found = await self.query(raw, "SELECT balance FROM accounts WHERE name = %s", name)
        if not found:
            raise OperationFailed("no-account", f"there is no account {name}", definite=True)
        return int(found[0][0])

    async def _done(self, raw: Raw, f: str, key: str, value: Any) -> Any:
        table = table_of(key)
        match f:
            case "r":
                found = await self.query(raw, f"SELECT v FROM {table} WHERE k = %s", key)
                return _read(found[0][0]) if found else None
            case "w":
                await self.query(raw, self.upsert.format(table=table), key, str(value))
            case "append":
                # A comma in front of each element: by the first one a list is told from a register.
                await self.query(raw, self.append.format(table=table), key, f",{value}")
            case _:
                raise OperationFailed("unknown", f"there is no micro-operation {f!r}", definite=True)
        return value

    async def _transaction(self, body: Callable[[Raw], Awaitable[T]]) -> T:
        async def begun(raw: Raw) -> T:
            await self.query(raw, "BEGIN")
            try:
                return await body(raw)
            except Exception:
                with contextlib.suppress(Exception):
                    await self.query(raw, "ROLLBACK")
                raise

        # No effect without the COMMIT (rule 2).
        done = await self.call(begun, effect=False)
        await self.call(lambda raw: self.query(raw, "COMMIT"))
        return done


def _read(stored: str) -> Any:
    if stored.startswith(","):
        return [int(each) for each in stored[1:].split(",")]
    return int(stored)


def schema(key: str, text: str, engine: str = "") -> list[str]:
    """The statements that make the tables where they are missing.

    key, text: the dialect's types of a short and of a long text. engine: what follows a table's columns.
    """
    tables = {f"rows{number}": f"k {key} PRIMARY KEY, v {text} NOT NULL" for number in range(TABLES)}
    tables |= {
        "accounts": f"name {key} PRIMARY KEY, balance BIGINT NOT NULL",
        "elements": f"name {key}, element BIGINT, PRIMARY KEY (name, element)",
    }
    return [f"CREATE TABLE IF NOT EXISTS {name} ({columns}) {engine}" for name, columns in tables.items()]
