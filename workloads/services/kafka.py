"""Kafka: records are sent to logs, and consumers poll them in order.

1. Every record is a number of its own. A send is acknowledged with the record's offset.
2. A consumer is assigned logs: from what was committed, or from given offsets. A poll takes all that is new, moves on,
   and commits how far it came.
3. At the end, consumers are assigned all logs from the start. So every record that was acknowledged is polled.

Source: jepsen.tests.kafka (Jepsen 0.3), whose shape the operations have.
"""

from __future__ import annotations

from typing import Any

from splitbrain.harness.generators import (
    Generator,
    clients,
    delay,
    each_thread,
    mix,
    numbered,
    repeat,
    sequence,
    until_ok,
)
from splitbrain.harness.interfaces import Log
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import READ_PAUSE_S, ask_every_node
from splitbrain.harness.seeds import draw, split
from splitbrain.harness.workload import Plan, Schema, Workload

FINAL_TRIES = 25
"""Of a consumer at the end, a second apart: who leads a log may still be elected."""
Records = dict[str, list[tuple[int, int]]]
SCHEMAS = (
    Schema("send", invoked=list[tuple[str, str, int]], ok=list[tuple[str, str, tuple[int, int]]]),
    Schema("poll", invoked=list[tuple[str]], ok=list[tuple[str, Records]]),
    Schema("assign", invoked=list[str] | dict[str, int], ok=list[str] | dict[str, int]),
)


class KafkaClient:
    """A producer and consumer. positions: the offset that it polls next, by key."""

    def __init__(self, connection: Log) -> None:
        self._connection = connection
        self._positions: dict[str, int] = {}

    async def invoke(self, invocation: Invocation) -> Completion:
        match invocation.f:
            case "send":
                ((_, key, value),) = invocation.value
                offset = await self._connection.send(key, value)
                return Completion("ok", [["send", key, [offset, value]]])
            case "poll":
                return Completion("ok", [["poll", await self._poll()]])
            case _:
                given = invocation.value
                positions = given if isinstance(given, dict) else await self._connection.committed(given)
                self._positions = dict(positions)
                return Completion("ok", given)

    async def close(self) -> None:
        await self._connection.close()

    async def _poll(self) -> dict[str, list[list[Any]]]:
        """All that is new. Where it ends early, nothing it took counts, and the next poll begins where this one did."""
        taken: dict[str, list[list[Any]]] = {}
        positions = dict(self._positions)
        while positions and (records := await self._connection.poll(positions)):
            for key, some in records.items():
                taken.setdefault(key, []).extend(some)
                positions[key] = some[-1][0] + 1
        if taken:
            await self._connection.commit(positions)
        self._positions = positions
        return taken


def _generator(plan: Plan) -> Generator:
    keys = plan.keys("k")
    sends = numbered(lambda number: Invocation("send", [["send", keys[number % len(keys)], number]]))

    def assign(number: int) -> Invocation:
        rng = draw(split(plan.seed, number))
        return Invocation("assign", [key for key in keys if rng.random() < 0.7] or keys)

    return mix(plan.seed, (8, sends), (8, repeat(Invocation("poll", [["poll"]]))), (1, numbered(assign)))


def _final(plan: Plan) -> Generator:
    """Every client reads the logs from their beginning to their end, as soon as that succeeds."""
    keys = plan.keys("k")
    consumer = (Invocation("assign", dict.fromkeys(keys, 0)), Invocation("poll", [["poll"]]))
    trying = (until_ok(delay(READ_PAUSE_S, repeat(each, FINAL_TRIES))) for each in consumer)
    return sequence(ask_every_node(plan, Invocation("assign", keys)), clients(each_thread(sequence(*trying))))


WORKLOAD = Workload(
    name="kafka",
    summary="records sent to logs and polled; none lost, twice, out of order, or skipped",
    interface="Log",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: KafkaClient(connection),
    generator=_generator,
    final=_final,
    checkers={"kafka": {}, "availability": {}, "latency": {}},
    config={"keys": "4"},
)
