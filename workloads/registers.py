"""Registers: clients write numbered values to a few hot keys, each put with the context of the client's last read or
put.

1. Every write has a number of its own. A put records which writes its context covered ("seen").
2. An acknowledged write must be among the final siblings, or a write that saw it must be, directly or through others.
3. Two siblings of one read must be concurrent: neither may have seen the other.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from splitbrain.harness.generators import Generator, mix, numbered
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import converge_then_read, replica_polls
from splitbrain.harness.system import OperationFailed, VersionedStore
from splitbrain.harness.workload import Plan, ReplicaAnswer, Schema, Workload


class Writing(msgspec.Struct, forbid_unknown_fields=True):
    """What a put writes."""

    write: int


class Wrote(msgspec.Struct, forbid_unknown_fields=True):
    """What a put wrote, and the writes whose values its context covered."""

    write: int
    seen: list[int]


SCHEMAS = (
    Schema("put", invoked=Writing, ok=Wrote),
    Schema("read", invoked=None, ok=list[int]),
    Schema("replica", invoked=None, ok=ReplicaAnswer),
)


class Known(NamedTuple):
    """What a client last learned of a key."""

    context: bytes | None
    writes: list[int]


class RegistersClient:
    """Reads and writes through one connection, and remembers each key's last context."""

    def __init__(self, connection: VersionedStore) -> None:
        self._connection = connection
        self._known: dict[bytes, Known] = {}

    async def invoke(self, invocation: Invocation) -> Completion:
        assert invocation.key is not None
        key = invocation.key.encode()
        match invocation.f:
            case "put":
                return await self._put(key, invocation.value["write"])
            case "read":
                found = await self._connection.get(key)
                writes = sorted(int(value) for value in found.values)
                self._known[key] = Known(found.context, writes)
                return Completion("ok", writes)
            case _:
                return Completion("ok", ReplicaAnswer.of(await self._connection.replica(key), int).as_value())

    async def close(self) -> None:
        await self._connection.close()

    async def _put(self, key: bytes, write: int) -> Completion:
        known = self._known.get(key, Known(None, []))
        value = {"write": write, "seen": known.writes}
        try:
            context = await self._connection.put(key, str(write).encode(), known.context)
        except OperationFailed as problem:
            # What it had seen matters even where the outcome is indeterminate.
            return Completion("fail" if problem.definite else "info", value, f"{problem.code}: {problem}")
        self._known[key] = Known(context, [write])
        return Completion("ok", value)


def _generator(plan: Plan) -> Generator:
    keys = plan.keys("r")
    puts = numbered(lambda number: Invocation("put", {"write": number}, keys[number % len(keys)]))
    reads = numbered(lambda number: Invocation("read", key=keys[number % len(keys)]))
    return mix(plan.seed, (5, puts), (4, reads), (1, replica_polls(plan, keys)))


WORKLOAD = Workload(
    name="registers",
    summary="numbered puts with contexts on a few hot keys; no acknowledged write may be lost, no sibling false",
    interface="VersionedStore",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: RegistersClient(connection),
    generator=_generator,
    final=lambda plan: converge_then_read(plan, plan.keys("r")),
    checkers={"lost-writes": {}, "siblings": {}, "convergence": {}, "availability": {}, "latency": {}},
    config={"keys": "3"},
)
