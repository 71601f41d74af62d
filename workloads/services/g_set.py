"""G-set: integers are added to sets that only grow, each once.

An acknowledged add must be in the final reads of every node. Where nodes converge in their own time, they have some
quiet seconds for it.

Source: the g-set workload of Maelstrom.
"""

from __future__ import annotations

from splitbrain.harness.generators import Generator, mix, numbered, sequence, sleep, stage
from splitbrain.harness.interfaces import Set
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import final_reads
from splitbrain.harness.workload import Plan, Schema, Workload
from splitbrain.workloads.services.broadcast import QUIET_S

SCHEMAS = (
    Schema("add", invoked=int, ok=int),
    Schema("read", invoked=None, ok=list[int]),
)


class GSetClient:
    """Adds and reads through one connection."""

    def __init__(self, connection: Set) -> None:
        self._connection = connection

    async def invoke(self, invocation: Invocation) -> Completion:
        key = invocation.key or ""
        if invocation.f == "read":
            return Completion("ok", sorted(await self._connection.elements(key)))
        await self._connection.add_element(key, invocation.value)
        return Completion("ok", invocation.value)

    async def close(self) -> None:
        await self._connection.close()


def _generator(plan: Plan) -> Generator:
    keys = plan.keys("g")
    adds = numbered(lambda number: Invocation("add", number, keys[number % len(keys)]))
    reads = numbered(lambda number: Invocation("read", key=keys[number % len(keys)]))
    return mix(plan.seed, (4, adds), (1, reads))


WORKLOAD = Workload(
    name="g-set",
    summary="integers added to sets that only grow; no acknowledged add may be lost",
    interface="Set",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: GSetClient(connection),
    generator=_generator,
    final=lambda plan: sequence(stage("convergence"), sleep(QUIET_S), final_reads(plan.keys("g"), plan.nodes)),
    checkers={"lost-writes": {}, "availability": {}, "latency": {}},
    config={"keys": "4"},
)
