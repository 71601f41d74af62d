"""Broadcast: clients give messages to nodes, and every node must learn of all of them.

1. Every message is a number of its own, given to one node.
2. At the end, after some quiet seconds, every node is asked for its messages. None may be missing anywhere.

A system that tells its nodes of neighbours tells them of a grid, unless it is configured otherwise.

Source: the broadcast workload of Maelstrom.
"""

from __future__ import annotations

from splitbrain.harness.generators import Generator, mix, numbered, repeat, sequence, sleep, stage
from splitbrain.harness.interfaces import Broadcast
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import final_reads
from splitbrain.harness.workload import Plan, Schema, Workload

KEY = "messages"
QUIET_S = 10.0
"""From the heal to the final reads: as long as nodes may take to tell one another what they missed."""
SCHEMAS = (
    Schema("broadcast", invoked=int, ok=int),
    Schema("read", invoked=None, ok=list[int]),
)


class BroadcastClient:
    """Broadcasts and reads through one node."""

    def __init__(self, connection: Broadcast) -> None:
        self._connection = connection

    async def invoke(self, invocation: Invocation) -> Completion:
        if invocation.f == "read":
            return Completion("ok", sorted(await self._connection.messages()))
        await self._connection.broadcast(invocation.value)
        return Completion("ok", invocation.value)

    async def close(self) -> None:
        await self._connection.close()


def _generator(plan: Plan) -> Generator:
    messages = numbered(lambda number: Invocation("broadcast", number, KEY))
    return mix(plan.seed, (2, messages), (1, repeat(Invocation("read", key=KEY))))


WORKLOAD = Workload(
    name="broadcast",
    summary="messages given to single nodes; every node learns of every one",
    interface="Broadcast",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: BroadcastClient(connection),
    generator=_generator,
    final=lambda plan: sequence(stage("convergence"), sleep(QUIET_S), final_reads([KEY], plan.nodes)),
    checkers={"broadcast": {}, "availability": {}, "latency": {}},
    settings={"topology": "grid"},
)
