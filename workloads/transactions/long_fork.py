"""Long fork: rows are written once, and read together with those of their group.

1. A group is two rows. While one is written and then the other, clients read both.
2. All reads of a group must have seen its writes happen in one order.

Source: jepsen.tests.long-fork (Jepsen 0.3). The anomaly: Sovran and others, Walter (SOSP 2011).
"""

from __future__ import annotations

from splitbrain.harness.generators import Generator, numbered
from splitbrain.harness.operation import Invocation
from splitbrain.harness.running.final_phase import ask_every_node
from splitbrain.harness.seeds import draw, shuffled, split
from splitbrain.harness.workload import Plan, Workload
from splitbrain.workloads.transactions.micro_operations_client import SCHEMAS, TransactionsClient, transaction

GROUP_SIZE = 2
OPERATIONS = 10
"""On each group: its writes, and reads before, between and after them."""
FIRST_WRITE = 3


def _rows(group: int) -> list[str]:
    return [f"f{group}-{row}" for row in range(GROUP_SIZE)]


def _generator(plan: Plan) -> Generator:
    def invocation(number: int) -> Invocation:
        group, at = divmod(number, OPERATIONS)
        rows = shuffled(draw(split(plan.seed, group)), _rows(group))
        write = at - FIRST_WRITE
        if 0 <= write < GROUP_SIZE:
            return transaction([["w", rows[write], 1]])
        return transaction([["r", row, None] for row in rows])

    return numbered(invocation)


WORKLOAD = Workload(
    name="long-fork",
    summary="rows written once and read in groups; all reads see the writes in one order",
    interface="Transactions",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: TransactionsClient(connection),
    generator=_generator,
    final=lambda plan: ask_every_node(plan, transaction([["r", row, None] for row in _rows(0)])),
    checkers={"long-fork": {"group_size": GROUP_SIZE}, "availability": {}, "latency": {}},
)
