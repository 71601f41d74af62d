"""The client and the schemas of workloads whose operations are transactions of micro-operations."""

from __future__ import annotations

from typing import Any

from splitbrain.harness.interfaces import Transactions
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.workload import Schema

MicroOperations = list[tuple[str, str, int | list[int] | None]]
SCHEMAS = (Schema("txn", invoked=MicroOperations, ok=MicroOperations),)


class TransactionsClient:
    """Does each operation as one transaction."""

    def __init__(self, connection: Transactions) -> None:
        self._connection = connection

    async def invoke(self, invocation: Invocation) -> Completion:
        return Completion("ok", await self._connection.transact(invocation.value))

    async def close(self) -> None:
        await self._connection.close()


def transaction(micro_operations: list[list[Any]], key: str | None = None) -> Invocation:
    """An operation that is one transaction."""
    return Invocation("txn", micro_operations, key)
