"""Grow-sets: clients add to sets by merging, without reading first.

1. Each client keeps the set as it last knew it (a G-Set, which only grows), and its context. An add puts the set with
   the new element under that context, whatever others did meanwhile. Theirs become siblings, and the next read merges
   them.
2. Every integer is added once, to one key. An acknowledged add must be in the final reads, whose siblings are united.

Unlike `sets` it writes under old contexts, and many siblings at once. Shapiro et al., RR-7506 (2011), section 3.3.1.
"""

from __future__ import annotations

from typing import NamedTuple

from splitbrain.harness.generators import Generator, mix, numbered
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import converge_then_read, replica_polls
from splitbrain.harness.seeds import split
from splitbrain.harness.system import VersionedStore
from splitbrain.harness.workload import Plan, ReplicaAnswer, Schema, Workload
from splitbrain.store.versions.crdts import GrowSet
from splitbrain.workloads.resting_keys import resting_keys, uses

SCHEMAS = (
    Schema("add", invoked=int, ok=int),
    Schema("read", invoked=None, ok=list[int]),
    Schema("replica", invoked=None, ok=ReplicaAnswer),
)


class Known(NamedTuple):
    """What a client last knew of a key."""

    context: bytes | None = None
    elements: GrowSet = GrowSet()


class GrowSetsClient:
    """Adds and reads through one connection."""

    def __init__(self, connection: VersionedStore) -> None:
        self._connection = connection
        self._known: dict[bytes, Known] = {}

    async def invoke(self, invocation: Invocation) -> Completion:
        assert invocation.key is not None
        key = invocation.key.encode()
        match invocation.f:
            case "add":
                known = self._known.get(key, Known())
                elements = known.elements.add(str(invocation.value).encode())
                # Should this fail, the client still knows what it knew, and the context that covers it.
                context = await self._connection.put(key, elements.encode(), known.context)
                self._known[key] = Known(context, elements)
                return Completion("ok", invocation.value)
            case "read":
                found = await self._connection.get(key)
                elements = GrowSet()
                for value in found.values:
                    elements = elements.merge(GrowSet.decode(value))
                self._known[key] = Known(found.context, elements)
                return Completion("ok", _listed(elements))
            case _:
                held = await self._connection.replica(key)
                return Completion("ok", ReplicaAnswer.of(held, lambda value: _listed(GrowSet.decode(value))).as_value())

    async def close(self) -> None:
        await self._connection.close()


def _listed(elements: GrowSet) -> list[int]:
    return sorted(int(element) for element in elements.elements)


def _keys(plan: Plan) -> list[str]:
    return [*plan.keys("g"), *resting_keys("g", plan.whole("resting"))]


def _generator(plan: Plan) -> Generator:
    busy, keys = plan.keys("g"), _keys(plan)
    resting = uses(keys[len(busy) :], seed=split(plan.seed, "resting"))

    def add(number: int) -> Invocation:
        return Invocation("add", number, resting[number].key if number in resting else busy[number % len(busy)])

    reads = numbered(lambda number: Invocation("read", key=busy[number % len(busy)]))
    return mix(plan.seed, (5, numbered(add)), (4, reads), (1, replica_polls(plan, keys)))


WORKLOAD = Workload(
    name="grow-sets",
    summary="integers added to grow-only sets by merging, under old contexts; no acknowledged add may be lost",
    interface="VersionedStore",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: GrowSetsClient(connection),
    generator=_generator,
    final=lambda plan: converge_then_read(plan, _keys(plan)),
    checkers={"lost-writes": {}, "siblings": {}, "convergence": {}, "availability": {}, "latency": {}},
    config={"keys": "8", "resting": "20"},
)
