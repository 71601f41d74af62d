"""Echo: a node repeats what a client says. The smallest workload, to see whether clients and nodes talk at all.

An answer that is not what was said is an error with the code "mismatch", which no run may have.

Source: the echo workload of Maelstrom.
"""

from __future__ import annotations

from splitbrain.harness.generators import numbered
from splitbrain.harness.interfaces import Echo
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import ask_every_node
from splitbrain.harness.workload import Schema, Workload

MISMATCH = "mismatch"
SCHEMAS = (Schema("echo", invoked=str, ok=str),)


class EchoClient:
    """Says things through one connection."""

    def __init__(self, connection: Echo) -> None:
        self._connection = connection

    async def invoke(self, invocation: Invocation) -> Completion:
        answer = await self._connection.echo(invocation.value)
        if answer != invocation.value:
            return Completion("info", None, f"{MISMATCH}: the node answered {answer!r}")
        return Completion("ok", answer)

    async def close(self) -> None:
        await self._connection.close()


WORKLOAD = Workload(
    name="echo",
    summary="nodes repeat what they are told; no client gets the answer of another",
    interface="Echo",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: EchoClient(connection),
    generator=lambda plan: numbered(lambda number: Invocation("echo", f"please echo {number}")),
    final=lambda plan: ask_every_node(plan, Invocation("echo", "the last one")),
    checkers={"unhandled-errors": {"forbidden": [MISMATCH]}, "availability": {}, "latency": {}},
)
