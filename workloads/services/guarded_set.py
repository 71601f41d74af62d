"""Guarded set: clients add to a set of their own that a lock guards, and are slow at times.

1. The set is no part of the system: all clients of a run share it. Whoever holds the lock reads the set, thinks, and
   writes it back with one more element.
2. One client in ten thinks for longer than its lease, as one does whose machine is paused. Then another holds the lock
   too, and whoever writes last undoes what the other added.
3. With `fencing=yes`, the set refuses a writer whose token is older than one that it has seen: no add is lost, whatever
   the clocks and the clients do. With `fencing=no` the lock alone has to guard it, which no lock with leases can.

Kleppmann, How to do distributed locking (2016); Jepsen, etcd 3.4.3 (2020), which lost updates of such a set.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from splitbrain.harness.generators import Generator, mix, numbered
from splitbrain.harness.interfaces import Lock
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import final_reads
from splitbrain.harness.seeds import draw, split
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.workload import Plan, Schema, Workload

LEASE_S = 2.0
THOUGHT_MS, SLOW_THOUGHT_MS = 5, 2_600
SLOW = 0.1
"""The share of adds whose client is slow."""


SCHEMAS = (
    Schema("add", invoked=int, ok=int),
    Schema("read", invoked=None, ok=list[int]),
)


@dataclass
class GuardedSets:
    """What the locks guard. elements: by lock. seen: the largest token that was seen, by lock."""

    elements: dict[str, list[int]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)


class GuardedSetClient:
    """Adds and reads, each under the lock."""

    def __init__(self, connection: Lock, shared: GuardedSets, config: Mapping[str, str]) -> None:
        self._connection = connection
        self._shared = shared
        self._fencing = config["fencing"] == "yes"

    async def invoke(self, invocation: Invocation) -> Completion:
        name = invocation.key or ""
        if invocation.f == "read":
            return Completion("ok", sorted(self._shared.elements.get(name, [])))
        token = await self._connection.acquire(name, LEASE_S)
        if token is None:
            raise OperationFailed("held", "somebody else holds the lock", definite=True)
        try:
            return await self._added(name, token, invocation.value)
        finally:
            # The add is done or refused by now, whatever becomes of the lock: it ends with its lease.
            with contextlib.suppress(OperationFailed):
                await self._connection.release(name, token)

    async def close(self) -> None:
        await self._connection.close()

    async def _added(self, name: str, token: int, element: int) -> Completion:
        self._admit(name, token)
        found = list(self._shared.elements.get(name, []))
        await asyncio.sleep(_thought_ms(element) / 1000)
        self._admit(name, token)
        self._shared.elements[name] = [*found, element]
        return Completion("ok", element)

    def _admit(self, name: str, token: int) -> None:
        """Refuse a token older than one seen before."""
        newest = self._shared.seen[name] = max(token, self._shared.seen.get(name, token))
        if self._fencing and token < newest:
            raise OperationFailed("fenced", f"token {token} is older than {newest}", definite=True)


def _thought_ms(element: int) -> int:
    """How long the client thinks that adds this element."""
    return SLOW_THOUGHT_MS if draw(split(element, "thought")).random() < SLOW else THOUGHT_MS


def _generator(plan: Plan) -> Generator:
    plan.choice("fencing", ("yes", "no"))
    keys = plan.keys("lock")
    adds = numbered(lambda number: Invocation("add", number, keys[number % len(keys)]))
    reads = numbered(lambda number: Invocation("read", key=keys[number % len(keys)]))
    return mix(plan.seed, (4, adds), (1, reads))


def _final(plan: Plan) -> Generator:
    return final_reads(plan.keys("lock"), plan.nodes)


WORKLOAD = Workload(
    name="guarded-set",
    summary="a set that a lock guards, with clients that are slow at times; no acknowledged add may be lost",
    interface="Lock",
    schemas=SCHEMAS,
    client=GuardedSetClient,
    generator=_generator,
    final=_final,
    checkers={"lost-writes": {}, "availability": {}, "latency": {}},
    shared=GuardedSets,
    config={"keys": "4", "fencing": "yes"},
)
