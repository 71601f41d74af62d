"""Counters: clients add to counters that never forget (PN-counters), up and down.

1. An add is a read-modify-write: the client merges all siblings that it reads with what it wrote last, adds in its own
   actor's count, and puts the result under the context of its read.
2. Promised is the sum, once the replicas have converged: each final read shows all acknowledged adds, and of the
   indeterminate ones any. Until then a read may miss some, so none is made before the end.
3. A client is an actor. The successor of a retired process is another one: an add that nobody knows the end of must
   not be counted again by the next.

Dynamo (SOSP 2007), section 4.4, leaves merging to clients; Shapiro et al., RR-7506 (2011), section 3.1.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from splitbrain.harness.generators import Generator, mix, numbered
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import converge_then_read, replica_polls
from splitbrain.harness.seeds import choose, draw, split
from splitbrain.harness.system import OperationFailed, VersionedStore
from splitbrain.harness.workload import Plan, ReplicaAnswer, Schema, Workload
from splitbrain.store.versions.crdts import PNCounter
from splitbrain.workloads.resting_keys import resting_keys, uses

AMOUNTS = (1, 2, 5, -1, -3)
SCHEMAS = (
    Schema("add", invoked=int, ok=int),
    Schema("read", invoked=None, ok=int),
    Schema("replica", invoked=None, ok=ReplicaAnswer),
)


class CountersClient:
    """Adds and reads through one connection. actor: no other client has it."""

    def __init__(self, connection: VersionedStore, actor: int) -> None:
        self._connection = connection
        self._actor = f"client {actor}".encode()
        self._wrote: dict[bytes, PNCounter] = {}

    async def invoke(self, invocation: Invocation) -> Completion:
        assert invocation.key is not None
        key = invocation.key.encode()
        match invocation.f:
            case "add":
                await self._add(key, invocation.value)
                return Completion("ok", invocation.value)
            case "read":
                return Completion("ok", _merged((await self._connection.get(key)).values).value)
            case _:
                held = await self._connection.replica(key)
                return Completion("ok", ReplicaAnswer.of(held, lambda value: PNCounter.decode(value).value).as_value())

    async def close(self) -> None:
        await self._connection.close()

    async def _add(self, key: bytes, amount: int) -> None:
        try:
            found = await self._connection.get(key)
        except OperationFailed as problem:
            # Nothing was written yet, whatever became of the read.
            raise OperationFailed(problem.code, f"while reading: {problem}", definite=True) from None
        # The read may miss this client's own last add, which would then be counted once for both.
        before = _merged(found.values).merge(self._wrote.get(key, PNCounter()))
        after = before.add(self._actor, amount)
        await self._connection.put(key, after.encode(), found.context)
        self._wrote[key] = after


def _merged(values: tuple[bytes, ...]) -> PNCounter:
    counter = PNCounter()
    for value in values:
        counter = counter.merge(PNCounter.decode(value))
    return counter


def _client(connection: VersionedStore, actors: Iterator[int]) -> CountersClient:
    return CountersClient(connection, next(actors))


def _keys(plan: Plan) -> list[str]:
    return [*plan.keys("c"), *resting_keys("c", plan.whole("resting"))]


def _generator(plan: Plan) -> Generator:
    busy, keys = plan.keys("c"), _keys(plan)
    resting, seed = uses(keys[len(busy) :], seed=split(plan.seed, "resting")), split(plan.seed, "amounts")

    def add(number: int) -> Invocation:
        key = resting[number].key if number in resting else busy[number % len(busy)]
        return Invocation("add", choose(draw(split(seed, number)), AMOUNTS), key)

    return mix(plan.seed, (9, numbered(add)), (1, replica_polls(plan, keys)))


WORKLOAD = Workload(
    name="counters",
    summary="adds to PN-counters by read-modify-write; in the end every acknowledged add must count, once",
    interface="VersionedStore",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: _client(connection, shared),
    generator=_generator,
    final=lambda plan: converge_then_read(plan, _keys(plan)),
    checkers={"counter": {}, "siblings": {}, "convergence": {}, "availability": {}, "latency": {}},
    shared=count,
    config={"keys": "3", "resting": "20"},
)
