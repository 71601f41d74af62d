"""Registers: clients write numbered values, each put with the context of the client's last read or put, and delete.

1. Every put and every delete has a number of its own. It records which writes its context covered ("seen").
2. An acknowledged put must be among the final siblings, or a write that saw it must be, directly or through others; or
   a delete had seen it. What an acknowledged delete had seen must not come back.
3. Two siblings of one read must be concurrent: neither may have seen the other.
4. A few keys are busy all the time (`keys`), many more get a few writes and rest (`resting`, see `resting_keys`). Every
   other resting key that gets several ends with a delete, and some end with two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from splitbrain.harness.generators import Generator, mix, numbered
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import converge_then_read, replica_polls
from splitbrain.harness.seeds import fraction, split
from splitbrain.harness.system import OperationFailed, VersionedStore
from splitbrain.harness.workload import Plan, ReplicaAnswer, Schema, Workload
from splitbrain.workloads.resting_keys import Use, read_before_the_end, resting_keys, uses

DELETED = 0.1
"""The share of deletes among the writes to busy keys."""


class Writing(msgspec.Struct, forbid_unknown_fields=True):
    """What a put or a delete is called."""

    write: int


class Wrote(msgspec.Struct, forbid_unknown_fields=True):
    """What a put or a delete was called, and the writes that its context covered, as far as the client was told."""

    write: int
    seen: list[int]


SCHEMAS = (
    Schema("put", invoked=Writing, ok=Wrote),
    Schema("delete", invoked=Writing, ok=Wrote),
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
            case "delete":
                return await self._delete(key, invocation.value["write"])
            case "read":
                return Completion("ok", (await self._read(key)).writes)
            case _:
                return Completion("ok", ReplicaAnswer.of(await self._connection.replica(key), int).as_value())

    async def close(self) -> None:
        await self._connection.close()

    async def _read(self, key: bytes) -> Known:
        found = await self._connection.get(key)
        known = Known(found.context, sorted(int(value) for value in found.values))
        self._known[key] = known
        return known

    async def _put(self, key: bytes, write: int) -> Completion:
        known = self._known.get(key, Known(None, []))
        value = {"write": write, "seen": known.writes}
        try:
            context = await self._connection.put(key, str(write).encode(), known.context)
        except OperationFailed as problem:
            return _failed(problem, value)
        self._known[key] = Known(context, [write])
        return Completion("ok", value)

    async def _delete(self, key: bytes, write: int) -> Completion:
        known = self._known.get(key)
        if known is None or known.context is None:
            try:
                known = await self._read(key)
            except OperationFailed as problem:
                # Nothing was deleted yet, whatever became of the read.
                raise OperationFailed(problem.code, f"while reading: {problem}", definite=True) from None
        value = {"write": write, "seen": known.writes}
        if known.context is None:
            return Completion("fail", value, "no-context: the system gives none, so nothing can be deleted")
        try:
            context = await self._connection.delete(key, known.context)
        except OperationFailed as problem:
            return _failed(problem, value)
        self._known[key] = Known(context, [write])
        return Completion("ok", value)


def _failed(problem: OperationFailed, value: Mapping[str, object]) -> Completion:
    # What it had seen matters even where the outcome is indeterminate.
    return Completion("fail" if problem.definite else "info", value, f"{problem.code}: {problem}")


def _keys(plan: Plan) -> list[str]:
    """The busy ones and the resting ones."""
    return [*plan.keys("r"), *resting_keys("r", plan.whole("resting"))]


def _write(number: int, busy: list[str], resting: Mapping[int, Use], seed: int) -> Invocation:
    """The write of that number."""
    use = resting.get(number)
    if use is None:
        deletes, key = fraction(split(seed, number)) < DELETED, busy[number % len(busy)]
    else:
        # Half of the keys end with deletes, half of these with two: three in four of those that return, whose delete a
        # node may miss, and one in four of the others. What was never written can't be deleted.
        drawn, key, share = fraction(split(seed, use.key)), use.key, 0.75 if use.returns else 0.25
        deletes = use.begun > 0 and drawn < (share if use.left == 0 else share / 2) and use.left < 2
    return Invocation("delete" if deletes else "put", {"write": number}, key)


def _generator(plan: Plan) -> Generator:
    busy, keys = plan.keys("r"), _keys(plan)
    resting, seed = uses(keys[len(busy) :], seed=split(plan.seed, "resting")), split(plan.seed, "deletes")
    writes = numbered(lambda number: _write(number, busy, resting, seed))
    read = [*busy, *read_before_the_end(keys[len(busy) :])]
    reads = numbered(lambda number: Invocation("read", key=read[number % len(read)]))
    busy_reads = numbered(lambda number: Invocation("read", key=busy[number % len(busy)]))
    return mix(plan.seed, (5, writes), (3, busy_reads), (1, reads), (1, replica_polls(plan, keys)))


WORKLOAD = Workload(
    name="registers",
    summary="numbered puts and deletes, with contexts; no acknowledged write may be lost or undone, no sibling false",
    interface="VersionedStore",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: RegistersClient(connection),
    generator=_generator,
    final=lambda plan: converge_then_read(plan, _keys(plan)),
    checkers={"lost-writes": {}, "siblings": {}, "convergence": {}, "availability": {}, "latency": {}},
    config={"keys": "3", "resting": "40"},
)
