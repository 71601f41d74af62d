"""Append: transactions append to lists and read them, so that each read shows the order of all writes before it.

1. Every element is appended once. A key is written for a while and then left, so lists stay short.
2. No anomaly may be there that the model forbids which the setting `consistency` names; strict serializability unless
   another one is given.

Kingsbury and Alvaro, Elle (VLDB 2020), section 3: list-append is the workload from which most can be inferred.
"""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.transactions.consistency_models import canonical
from splitbrain.harness.generators import Generator, numbered
from splitbrain.harness.interfaces import PROBE_NAME, Transactions
from splitbrain.harness.operation import Invocation
from splitbrain.harness.running.final_phase import ask_every_node
from splitbrain.harness.seeds import choose, draw, split
from splitbrain.harness.workload import Plan, Workload
from splitbrain.workloads.transactions.micro_operations_client import SCHEMAS, TransactionsClient, transaction

MOST = 4
"""Micro-operations of a transaction."""
AGE = 64
"""After so many transactions, the oldest key is replaced by a new one."""
LAST_READ = 20
"""Keys that the final transactions read at most."""


def generator(plan: Plan, write: str) -> Generator:
    """Transactions of reads and of writes of that kind, each value written once.

    Raises ValueError if the plan's `consistency` is no model.
    """
    canonical(plan.config["consistency"])
    keys = plan.whole("keys")

    def invocation(number: int) -> Invocation:
        rng = draw(split(plan.seed, number))
        oldest = number // AGE
        micro_operations: list[list[Any]] = []
        for at in range(1 + int(rng.random() * MOST)):
            key = f"x{choose(rng, range(oldest, oldest + keys))}"
            writes = rng.random() < 0.5
            micro_operations.append([write, key, number * MOST + at] if writes else ["r", key, None])
        return transaction(micro_operations)

    return numbered(invocation)


def final_reads_of(plan: Plan) -> Invocation:
    """A transaction that reads the first keys once more: what was written long ago is to be still there."""
    return transaction([["r", f"x{number}", None] for number in range(min(plan.whole("keys"), LAST_READ))])


async def _probe(connection: Transactions) -> None:
    await connection.transact([["append", f"{PROBE_NAME}/list", 1]])
    await connection.transact([["r", f"{PROBE_NAME}/list", None]])


WORKLOAD = Workload(
    name="append",
    summary="transactions that append to lists and read them; strict serializability, or another consistency",
    interface="Transactions",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: TransactionsClient(connection),
    generator=lambda plan: generator(plan, "append"),
    final=lambda plan: ask_every_node(plan, final_reads_of(plan)),
    checkers={
        "transactions": {"model": "list-append"},
        "availability": {},
        "latency": {},
    },
    probe=_probe,
    config={"keys": "5", "consistency": "strict-serializable"},
    judged_by={"consistency": ("transactions", "consistency")},
)
