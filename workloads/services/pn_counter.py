"""Pn-counter: clients add to counters and take from them.

Every read lies within what the additions that may have happened by then allow.

Source: the pn-counter workload of Maelstrom, and the counter of jepsen.checker (Jepsen 0.3).
"""

from __future__ import annotations

from splitbrain.harness.generators import Generator, mix, numbered
from splitbrain.harness.interfaces import Counter
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import final_reads
from splitbrain.harness.seeds import choose, draw, split
from splitbrain.harness.workload import Plan, Schema, Workload

AMOUNTS = (-2, -1, 1, 2, 3)
SCHEMAS = (
    Schema("add", invoked=int, ok=int),
    Schema("read", invoked=None, ok=int),
)


class PnCounterClient:
    """Adds and reads through one connection."""

    def __init__(self, connection: Counter) -> None:
        self._connection = connection

    async def invoke(self, invocation: Invocation) -> Completion:
        key = invocation.key or ""
        if invocation.f == "read":
            return Completion("ok", await self._connection.total(key))
        await self._connection.add(key, invocation.value)
        return Completion("ok", invocation.value)

    async def close(self) -> None:
        await self._connection.close()


def _generator(plan: Plan) -> Generator:
    keys = plan.keys("c")

    def add(number: int) -> Invocation:
        return Invocation("add", choose(draw(split(plan.seed, number)), AMOUNTS), keys[number % len(keys)])

    reads = numbered(lambda number: Invocation("read", key=keys[number % len(keys)]))
    return mix(plan.seed, (1, numbered(add)), (1, reads))


WORKLOAD = Workload(
    name="pn-counter",
    summary="additions to counters; every read is within what they allow",
    interface="Counter",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: PnCounterClient(connection),
    generator=_generator,
    final=lambda plan: final_reads(plan.keys("c"), plan.nodes),
    checkers={"counter": {}, "availability": {}, "latency": {}},
    config={"keys": "20"},
)
