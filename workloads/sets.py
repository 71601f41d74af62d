"""Sets: clients add integers to sets, by reading a set, uniting, and writing it back.

1. Every integer is added once, to one key. An acknowledged add must be in the final reads.
2. An add is a read-modify-write with the context of its read. It writes back the union of all siblings it read, so
   nothing is lost where siblings are kept. With last write wins, concurrent adds overwrite each other.
3. With `lock=true`, every add holds one lock: without faults, even last write wins then loses nothing.

Kyle Kingsbury, "Call me maybe: Riak" (2013), is this experiment on one key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from splitbrain.harness.generators import Generator, mix, numbered
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import converge_then_read, replica_polls
from splitbrain.harness.system import OperationFailed, VersionedStore
from splitbrain.harness.workload import Plan, ReplicaAnswer, Schema, Workload

SCHEMAS = (
    Schema("add", invoked=int, ok=int),
    Schema("read", invoked=None, ok=list[int]),
    Schema("replica", invoked=None, ok=ReplicaAnswer),
)


class SetsClient:
    """Adds and reads through one connection. lock: held around every add, if any."""

    def __init__(self, connection: VersionedStore, lock: asyncio.Lock | None) -> None:
        self._connection = connection
        self._lock = lock

    async def invoke(self, invocation: Invocation) -> Completion:
        assert invocation.key is not None
        key = invocation.key.encode()
        match invocation.f:
            case "add":
                await self._add(key, invocation.value)
                return Completion("ok", invocation.value)
            case "read":
                return Completion("ok", sorted(_union((await self._connection.get(key)).values)))
            case _:
                held = await self._connection.replica(key)
                return Completion("ok", ReplicaAnswer.of(held, lambda value: sorted(_union([value]))).as_value())

    async def close(self) -> None:
        await self._connection.close()

    async def _add(self, key: bytes, element: int) -> None:
        async with AsyncExitStack() as stack:
            if self._lock is not None:
                await stack.enter_async_context(self._lock)
            try:
                found = await self._connection.get(key)
            except OperationFailed as problem:
                # Nothing was written yet, whatever became of the read.
                raise OperationFailed(problem.code, f"while reading: {problem}", definite=True) from None
            united = sorted(_union(found.values) | {element})
            await self._connection.put(key, msgspec.msgpack.encode(united), found.context)


def _union(values: Any) -> set[int]:
    return {element for value in values for element in msgspec.msgpack.decode(value, type=list[int])}


def _client(connection: Any, shared: asyncio.Lock, config: Mapping[str, str]) -> SetsClient:
    return SetsClient(connection, shared if config["lock"] == "true" else None)


def _generator(plan: Plan) -> Generator:
    plan.choice("lock", ("true", "false"))
    keys = plan.keys("s")
    adds = numbered(lambda number: Invocation("add", number, keys[number % len(keys)]))
    reads = numbered(lambda number: Invocation("read", key=keys[number % len(keys)]))
    return mix(plan.seed, (8, adds), (1, reads), (1, replica_polls(plan, keys)))


WORKLOAD = Workload(
    name="sets",
    summary="integers added to sets by read-modify-write; no acknowledged add may be lost",
    interface="VersionedStore",
    schemas=SCHEMAS,
    client=_client,
    generator=_generator,
    final=lambda plan: converge_then_read(plan, plan.keys("s")),
    checkers={"lost-writes": {}, "siblings": {}, "convergence": {}, "availability": {}, "latency": {}},
    shared=asyncio.Lock,
    config={"keys": "8", "lock": "false"},
)
