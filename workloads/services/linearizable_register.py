"""Linearizable register: clients read, write, and compare and set.

1. A key is used for a while and then left, so that crashed operations on it do not add up.
2. The operations on each key could have happened one after the other, each at a moment between its beginning and end.

Herlihy and Wing (1990). Source: the register of jepsen.tests.linearizable-register (Jepsen 0.3).
"""

from __future__ import annotations

from splitbrain.harness.generators import Generator, numbered
from splitbrain.harness.interfaces import Register
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import final_reads
from splitbrain.harness.seeds import draw, split
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.workload import Plan, Schema, Workload

VALUES = 5
"""Few, so that a compare-and-set often finds what it expects."""
OPERATIONS = 40
"""On each key."""
SCHEMAS = (
    Schema("read", invoked=None, ok=int | None),
    Schema("write", invoked=int, ok=int),
    Schema("cas", invoked=tuple[int, int], ok=tuple[int, int]),
)


class RegisterClient:
    """Reads, writes, and compares and sets through one connection."""

    def __init__(self, connection: Register) -> None:
        self._connection = connection

    async def invoke(self, invocation: Invocation) -> Completion:
        key, value = invocation.key or "", invocation.value
        match invocation.f:
            case "read":
                return Completion("ok", await self._connection.read(key))
            case "write":
                await self._connection.write(key, value)
            case _:
                if not await self._connection.cas(key, *value):
                    raise OperationFailed("mismatch", f"the register does not hold {value[0]}", definite=True)
        return Completion("ok", value)

    async def close(self) -> None:
        await self._connection.close()


def _generator(plan: Plan) -> Generator:
    keys = plan.whole("keys")

    def invocation(number: int) -> Invocation:
        rng = draw(split(plan.seed, number))
        key = f"l{number // (OPERATIONS * keys) * keys + number % keys}"
        old, new = int(rng.random() * VALUES), int(rng.random() * VALUES)
        match int(rng.random() * 4):
            case 0:
                return Invocation("write", new, key)
            case 1:
                return Invocation("cas", [old, new], key)
            case _:
                return Invocation("read", key=key)

    return numbered(invocation)


WORKLOAD = Workload(
    name="linearizable-register",
    summary="reads, writes, and compare-and-set on registers; linearizability",
    interface="Register",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: RegisterClient(connection),
    generator=_generator,
    final=lambda plan: final_reads(plan.keys("l"), plan.nodes),
    checkers={"linearizable": {"model": "cas-register", "timeout_s": 60}, "availability": {}, "latency": {}},
    config={"keys": "4"},
)
