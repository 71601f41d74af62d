"""A connection: one request at a time to one node, sent again until it is answered or given up.

1. Each connection is a client with a name of its own, and numbers its requests. So the primary recognizes one that
   was sent again, however late it arrives.
2. A list that only grows is asked for in pages: what was in it when the first was asked for is in the answer.
3. A request that was given up may still be done: its outcome is indeterminate. One that was refused was not done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from splitbrain.harness.environment import Address, Endpoint, Environment
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.toys.toy_node import decode, encode

RETRY_S = 0.25
PATIENCE_S = 2.0
LARGEST_REQUEST = 60_000
"""Bytes: what UDP can carry, with room for what a node adds when it passes the request on."""


class ToyConnection:
    """Implements every protocol in `harness.interfaces`. client: its name. to: the node's address."""

    def __init__(self, client: str, to: Address) -> None:
        self._client = client
        self._to = to
        self._number = 0
        self._endpoint: Endpoint | None = None
        self._answer: asyncio.Future[Mapping[str, Any]] | None = None

    async def open(self, environment: Environment) -> ToyConnection:
        """Take an endpoint. Returns the connection."""
        self._endpoint = await environment.endpoint(self._received)
        return self

    async def close(self) -> None:
        if self._endpoint is not None:
            self._endpoint.close()

    async def ask(self, op: str, *args: Any, patience_s: float = PATIENCE_S) -> Any:
        """Returns the answer's value. Raises OperationFailed."""
        self._number += 1
        request = encode("request", self._client, self._number, op, args)
        if len(request) > LARGEST_REQUEST:
            text = f"a request of {len(request):,} bytes does not fit a datagram; use fewer keys"
            raise OperationFailed("too-long", text, definite=True)
        assert self._endpoint is not None
        answer = self._answer = asyncio.get_running_loop().create_future()
        outcome: Mapping[str, Any] | None = None
        for _ in range(round(patience_s / RETRY_S)):
            self._endpoint.send(request, self._to)
            try:
                async with asyncio.timeout(RETRY_S):
                    outcome = await asyncio.shield(answer)
                    break
            except TimeoutError:
                continue
        if outcome is None:
            raise OperationFailed("timeout", f"no answer within {patience_s:g} s", definite=False)
        if "refused" in outcome:
            raise OperationFailed(*outcome["refused"], definite=True)
        return outcome["ok"]

    async def _pages(self, op: str, *args: Any) -> list[int]:
        """All of a list that only grows, as much as fits a datagram at a time."""
        found: list[int] = []
        while page := await self.ask(op, *args, len(found)):
            found += page
        return found

    def _received(self, datagram: bytes, source: Address) -> None:
        message = decode(datagram)
        if message is None:
            return
        _, client, number, _, outcome = message
        awaited = client == self._client and number == self._number
        if awaited and self._answer is not None and not self._answer.done():
            self._answer.set_result(outcome)

    async def read(self, key: str) -> Any:
        return await self.ask("read", key)

    async def write(self, key: str, value: Any) -> None:
        await self.ask("write", key, value)

    async def cas(self, key: str, old: Any, new: Any) -> bool:
        return bool(await self.ask("cas", key, old, new))

    async def transact(self, micro_operations: Sequence[Sequence[Any]]) -> list[list[Any]]:
        done: list[list[Any]] = await self.ask("transact", micro_operations)
        return done

    async def add_element(self, key: str, element: int) -> None:
        await self.ask("add_element", key, element)

    async def elements(self, key: str) -> list[int]:
        return await self._pages("elements", key)

    async def enqueue(self, key: str, value: Any) -> None:
        await self.ask("enqueue", key, value)

    async def dequeue(self, key: str) -> Any:
        return await self.ask("dequeue", key)

    async def add(self, key: str, amount: int) -> None:
        await self.ask("add", key, amount)

    async def total(self, key: str) -> int:
        return int(await self.ask("total", key))

    async def send(self, key: str, value: Any) -> int:
        return int(await self.ask("send", key, value))

    async def poll(self, positions: Mapping[str, int]) -> dict[str, list[list[Any]]]:
        records: dict[str, list[list[Any]]] = await self.ask("poll", positions)
        return records

    async def commit(self, positions: Mapping[str, int]) -> None:
        await self.ask("commit", positions)

    async def committed(self, keys: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = await self.ask("committed", keys)
        return found

    async def open_accounts(self, balances: Mapping[str, int]) -> None:
        await self.ask("open_accounts", balances)

    async def transfer(self, source: str, target: str, amount: int) -> None:
        await self.ask("transfer", source, target, amount)

    async def balances(self) -> dict[str, int]:
        found: dict[str, int] = await self.ask("balances")
        return found

    async def acquire(self, name: str, lease_s: float) -> int | None:
        token: int | None = await self.ask("acquire", name, lease_s)
        return token

    async def release(self, name: str, token: int) -> bool:
        return bool(await self.ask("release", name, token))

    async def generate(self) -> Any:
        return await self.ask("generate")

    async def broadcast(self, message: int) -> None:
        await self.ask("broadcast", message)

    async def messages(self) -> list[int]:
        return await self._pages("messages")

    async def echo(self, payload: str) -> str:
        return str(await self.ask("echo", payload))
