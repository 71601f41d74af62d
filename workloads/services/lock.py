"""Lock: clients take locks for a lease, and give them back.

1. A client that holds a lock releases it with its next operation on that lock. One that does not come to that, because
   it crashed, leaves the lock to its lease.
2. No two clients hold a lock at once, and fencing tokens only grow.

Gray and Cheriton, Leases (SOSP 1989); Kleppmann, How to do distributed locking (2016).
"""

from __future__ import annotations

import msgspec

from splitbrain.harness.generators import Generator, numbered, sequence, stage
from splitbrain.harness.interfaces import Lock
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import FINAL_READS
from splitbrain.harness.seeds import choose, draw, split
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.workload import Plan, Schema, Workload

LEASE_MS = 15_000
"""Longer than a node usually stays down, so that a lock is still held when it is back."""
HELD, NOT_HELD = "held", "not-held"


class Lease(msgspec.Struct, forbid_unknown_fields=True):
    """For how long a lock is asked for."""

    lease_ms: int


class Granted(msgspec.Struct, forbid_unknown_fields=True):
    """A lock that was given, and its fencing token."""

    lease_ms: int
    token: int


class Token(msgspec.Struct, forbid_unknown_fields=True):
    """What a lock was held under."""

    token: int | None


SCHEMAS = (
    Schema("acquire", invoked=Lease, ok=Granted),
    Schema("release", invoked=None, ok=Token),
)


class LockClient:
    """Acquires and releases through one connection, and remembers what it holds. tokens: by lock."""

    def __init__(self, connection: Lock) -> None:
        self._connection = connection
        self._tokens: dict[str, int] = {}

    async def invoke(self, invocation: Invocation) -> Completion:
        name = invocation.key or ""
        if invocation.f == "release":
            return await self._release(name)
        lease_ms = invocation.value["lease_ms"]
        token = await self._connection.acquire(name, lease_ms / 1000)
        if token is None:
            raise OperationFailed(HELD, "somebody else holds the lock", definite=True)
        self._tokens[name] = token
        return Completion("ok", {"lease_ms": lease_ms, "token": token})

    async def close(self) -> None:
        await self._connection.close()

    async def _release(self, name: str) -> Completion:
        token = self._tokens.pop(name, None)
        if token is None:
            raise OperationFailed(NOT_HELD, "this client does not hold the lock", definite=True)
        if not await self._connection.release(name, token):
            raise OperationFailed(NOT_HELD, "the lease was over", definite=True)
        return Completion("ok", {"token": token})


def _generator(plan: Plan) -> Generator:
    locks = plan.keys("lock")

    def invocation(number: int) -> Invocation:
        rng = draw(split(plan.seed, number))
        name = choose(rng, locks)
        if rng.random() < 0.6:
            return Invocation("acquire", {"lease_ms": LEASE_MS}, name)
        return Invocation("release", key=name)

    return numbered(invocation)


def _final(plan: Plan) -> Generator:
    """A lock of its own through every node."""
    lease = {"lease_ms": LEASE_MS}
    return sequence(stage(FINAL_READS), *(Invocation("acquire", lease, f"last-{node}", node) for node in plan.nodes))


WORKLOAD = Workload(
    name="lock",
    summary="locks taken for a lease and given back; nobody holds one that another holds, and tokens grow",
    interface="Lock",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: LockClient(connection),
    generator=_generator,
    final=_final,
    checkers={"lock": {}, "availability": {}, "latency": {}},
    config={"keys": "40"},
)
