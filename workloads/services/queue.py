"""Queue: numbers are enqueued and dequeued; at the end, clients drain the queues.

1. Every number is enqueued once.
2. What was enqueued comes out, once, and nothing else does. No order is asked for.
3. A drain that ends early after it took something is indeterminate: what it took is out.
4. `queue-at-least-once` is for queues that deliver again what nobody acknowledged: values may come out twice.

Source: the total-queue of jepsen.checker (Jepsen 0.3).
"""

from __future__ import annotations

from dataclasses import replace

from splitbrain.harness.generators import Generator, mix, numbered, sequence, sleep, stage
from splitbrain.harness.interfaces import Queue
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import ask_every_node
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.workload import Plan, Schema, Workload

SCHEMAS = (
    Schema("enqueue", invoked=int, ok=int),
    Schema("dequeue", invoked=None, ok=int | None),
    Schema("drain", invoked=None, ok=list[int]),
)


class QueueClient:
    """Enqueues, dequeues, and drains through one connection."""

    def __init__(self, connection: Queue) -> None:
        self._connection = connection

    async def invoke(self, invocation: Invocation) -> Completion:
        key = invocation.key or ""
        match invocation.f:
            case "enqueue":
                await self._connection.enqueue(key, invocation.value)
                return Completion("ok", invocation.value)
            case "dequeue":
                return Completion("ok", await self._connection.dequeue(key))
            case _:
                return Completion("ok", await self._drain(key))

    async def close(self) -> None:
        await self._connection.close()

    async def _drain(self, key: str) -> list[int]:
        taken: list[int] = []
        try:
            while (value := await self._connection.dequeue(key)) is not None:
                taken.append(value)
        except OperationFailed as problem:
            if not taken:
                raise
            raise OperationFailed(problem.code, f"{problem}; it had taken {len(taken)}", definite=False) from None
        return taken


def _generator(plan: Plan) -> Generator:
    keys = plan.keys("q")
    enqueues = numbered(lambda number: Invocation("enqueue", number, keys[number % len(keys)]))
    dequeues = numbered(lambda number: Invocation("dequeue", key=keys[number % len(keys)]))
    return mix(plan.seed, (5, enqueues), (4, dequeues))


def _final(plan: Plan) -> Generator:
    return ask_every_node(plan, *(Invocation("drain", key=key) for key in plan.keys("q")))


WORKLOAD = Workload(
    name="queue",
    summary="numbers enqueued, dequeued and drained; each comes out, once",
    interface="Queue",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: QueueClient(connection),
    generator=_generator,
    final=_final,
    checkers={"total-queue": {}, "availability": {}, "latency": {}},
    config={"keys": "2"},
)
QUIET_S = 5.0
"""Until what a client took and never acknowledged is there again, before clients drain."""
AT_LEAST_ONCE = replace(
    WORKLOAD,
    name="queue-at-least-once",
    summary="numbers enqueued, dequeued and drained; each comes out, perhaps more than once",
    final=lambda plan: sequence(stage("convergence"), sleep(QUIET_S), _final(plan)),
    checkers={**WORKLOAD.checkers, "total-queue": {"at_least_once": True}},
)
