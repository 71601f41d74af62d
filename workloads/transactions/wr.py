"""Wr: transactions write registers and read them.

1. Every value is written once. What order the versions of a register have follows from the promised model only.
2. No anomaly may be there that the model forbids which the setting `consistency` names; strict serializability unless
   another one is given.

Kingsbury and Alvaro, Elle (VLDB 2020), section 5: rw-register.
"""

from __future__ import annotations

from splitbrain.harness.running.final_phase import ask_every_node
from splitbrain.harness.workload import Workload
from splitbrain.workloads.transactions.append import final_reads_of, generator
from splitbrain.workloads.transactions.micro_operations_client import SCHEMAS, TransactionsClient

WORKLOAD = Workload(
    name="wr",
    summary="transactions that write registers and read them; strict serializability, or another consistency",
    interface="Transactions",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: TransactionsClient(connection),
    generator=lambda plan: generator(plan, "w"),
    final=lambda plan: ask_every_node(plan, final_reads_of(plan)),
    checkers={
        "transactions": {"model": "rw-register"},
        "availability": {},
        "latency": {},
    },
    config={"keys": "5", "consistency": "strict-serializable"},
    judged_by={"consistency": ("transactions", "consistency")},
)
