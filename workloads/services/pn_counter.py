"""Pn-counter: clients add to counters and take from them.

Every read lies within what the additions that may have happened by then allow. Where counters need only converge
(`reads=at-the-end`), nothing is read until some quiet seconds have passed at the end.

`g-counter` is the same without taking away.

Source: the pn-counter and g-counter workloads of Maelstrom, and the counter of jepsen.checker (Jepsen 0.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from splitbrain.harness.generators import Generator, mix, numbered, sequence, sleep, stage
from splitbrain.harness.interfaces import Counter
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import final_reads
from splitbrain.harness.seeds import choose, draw, split
from splitbrain.harness.workload import Plan, Schema, Workload
from splitbrain.workloads.services.broadcast import QUIET_S

AMOUNTS = (-2, -1, 1, 2, 3)
READS = ("throughout", "at-the-end")
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


def _generator(plan: Plan, amounts: Sequence[int] = AMOUNTS) -> Generator:
    keys = plan.keys("c")

    def add(number: int) -> Invocation:
        return Invocation("add", choose(draw(split(plan.seed, number)), amounts), keys[number % len(keys)])

    if plan.choice("reads", READS) == "at-the-end":
        return numbered(add)
    reads = numbered(lambda number: Invocation("read", key=keys[number % len(keys)]))
    return mix(plan.seed, (1, numbered(add)), (1, reads))


def _final(plan: Plan) -> Generator:
    reads = final_reads(plan.keys("c"), plan.nodes)
    if plan.choice("reads", READS) == "at-the-end":
        return sequence(stage("convergence"), sleep(QUIET_S), reads)
    return reads


WORKLOAD = Workload(
    name="pn-counter",
    summary="additions to counters; every read is within what they allow",
    interface="Counter",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: PnCounterClient(connection),
    generator=_generator,
    final=_final,
    checkers={"counter": {}, "availability": {}, "latency": {}},
    config={"keys": "20", "reads": "throughout"},
)
G_COUNTER = replace(
    WORKLOAD,
    name="g-counter",
    summary="additions to counters that only grow; every read is within what they allow",
    generator=lambda plan: _generator(plan, tuple(amount for amount in AMOUNTS if amount > 0)),
)
