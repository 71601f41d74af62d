"""Unique ids: every client asks for ids, and no two may be the same.

Source: the unique-ids workload of Maelstrom, and the checker of jepsen.checker (Jepsen 0.3).
"""

from __future__ import annotations

from splitbrain.harness.generators import repeat
from splitbrain.harness.interfaces import UniqueIds
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import ask_every_node
from splitbrain.harness.workload import Schema, Workload

SCHEMAS = (Schema("generate", invoked=None, ok=int | str | list[int | str]),)


class UniqueIdsClient:
    """Asks for ids through one connection."""

    def __init__(self, connection: UniqueIds) -> None:
        self._connection = connection

    async def invoke(self, invocation: Invocation) -> Completion:
        return Completion("ok", await self._connection.generate())

    async def close(self) -> None:
        await self._connection.close()


WORKLOAD = Workload(
    name="unique-ids",
    summary="ids from all nodes; no id is given out twice",
    interface="UniqueIds",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: UniqueIdsClient(connection),
    generator=lambda plan: repeat(Invocation("generate")),
    final=lambda plan: ask_every_node(plan, Invocation("generate")),
    checkers={"unique-ids": {}, "availability": {}, "latency": {}},
)
