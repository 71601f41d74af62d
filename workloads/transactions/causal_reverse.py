"""Causal reverse: values are written one after the other, each to a row of its own, and read all together.

1. A group of values is written and read for a while, then the next one.
2. Whoever sees a value sees every value whose write was over before the write of that one began.

Source: jepsen.tests.causal-reverse (Jepsen 0.3), and the "comments" test of CockroachDB from which it came.
"""

from __future__ import annotations

from splitbrain.harness.generators import Generator, numbered
from splitbrain.harness.interfaces import Transactions
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import final_reads
from splitbrain.harness.seeds import fraction, split
from splitbrain.harness.workload import Plan, Schema, Workload

VALUES = 16
"""Of a group; each is written once."""
SCHEMAS = (
    Schema("write", invoked=int, ok=int),
    Schema("read", invoked=None, ok=list[int]),
)


class CausalReverseClient:
    """Writes a value to its row; reads all rows of the key."""

    def __init__(self, connection: Transactions) -> None:
        self._connection = connection

    async def invoke(self, invocation: Invocation) -> Completion:
        group = invocation.key
        if invocation.f == "write":
            await self._connection.transact([["w", f"{group}-{invocation.value}", invocation.value]])
            return Completion("ok", invocation.value)
        read = await self._connection.transact([["r", f"{group}-{value}", None] for value in range(VALUES)])
        return Completion("ok", [value for _, _, value in read if value is not None])

    async def close(self) -> None:
        await self._connection.close()


def _generator(plan: Plan) -> Generator:
    def invocation(number: int) -> Invocation:
        group, at = divmod(number, 2 * VALUES)
        key = f"g{group}"
        # Of each pair one is the write, in either order.
        write_first = fraction(split(plan.seed, number // 2)) < 0.5
        return Invocation("write", at // 2, key) if write_first == (at % 2 == 0) else Invocation("read", key=key)

    return numbered(invocation)


WORKLOAD = Workload(
    name="causal-reverse",
    summary="values written one after the other and read together; no later one is seen without an earlier one",
    interface="Transactions",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: CausalReverseClient(connection),
    generator=_generator,
    final=lambda plan: final_reads(["g0"], plan.nodes),
    checkers={"causal-reverse": {}, "availability": {}, "latency": {}},
)
