"""Carts: the shopping carts of Dynamo's paper. Clients add items, remove some, and check out.

1. A cart is the union of its siblings. Every change is a read-modify-write under the context of its read: an add puts
   the union with the item, a remove without it, a checkout the empty cart.
2. Promised is that no addition is lost: what was added is in the cart in the end, unless a remove or an order took it.
   A removed item may come back, since the union takes it in again; nothing else is promised of removals.
3. Items are few, so that one is added twice, or a cart is emptied twice: the same value under another clock.
4. A few carts are busy all the time (`keys`), many more get a few operations and rest (`resting`, see `resting_keys`):
   these mostly end with a checkout.

Dynamo (SOSP 2007), section 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from splitbrain.harness.generators import Generator, mix, numbered
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import converge_then_read, replica_polls
from splitbrain.harness.seeds import choose, draw, split
from splitbrain.harness.system import OperationFailed, VersionedStore
from splitbrain.harness.workload import Plan, ReplicaAnswer, Schema, Workload
from splitbrain.workloads.resting_keys import Use, read_before_the_end, resting_keys, uses

ITEMS = ("bread", "eggs", "figs", "milk", "rice", "salt", "tea", "yeast")
FEW = 2
"""Items of a resting cart: half of the adds are of what is in it already."""
APART = 300
"""Changes from one of a resting cart to its next, at most: so many carts are begun and not yet at rest at any time."""
OPERATIONS = ("add", "add", "add", "add", "add", "add", "add", "remove", "remove", "checkout")
Items = frozenset[str]
SCHEMAS = (
    Schema("add", invoked=str, ok=str),
    Schema("remove", invoked=str, ok=str),
    Schema("checkout", invoked=None, ok=list[str]),
    Schema("read", invoked=None, ok=list[str]),
    Schema("replica", invoked=None, ok=ReplicaAnswer),
)


class CartsClient:
    """Shops through one connection."""

    def __init__(self, connection: VersionedStore) -> None:
        self._connection = connection

    async def invoke(self, invocation: Invocation) -> Completion:
        assert invocation.key is not None
        key, item = invocation.key.encode(), invocation.value
        match invocation.f:
            case "add":
                await self._change(key, lambda items: items | {item})
                return Completion("ok", item)
            case "remove":
                await self._change(key, lambda items: items - {item})
                return Completion("ok", item)
            case "checkout":
                return Completion("ok", sorted(await self._change(key, lambda items: frozenset())))
            case "read":
                return Completion("ok", sorted(_union((await self._connection.get(key)).values)))
            case _:
                held = await self._connection.replica(key)
                return Completion("ok", ReplicaAnswer.of(held, lambda value: sorted(_union([value]))).as_value())

    async def close(self) -> None:
        await self._connection.close()

    async def _change(self, key: bytes, change: Callable[[Items], Items]) -> Items:
        """Returns what was in the cart before."""
        try:
            found = await self._connection.get(key)
        except OperationFailed as problem:
            # Nothing was written yet, whatever became of the read.
            raise OperationFailed(problem.code, f"while reading: {problem}", definite=True) from None
        items = _union(found.values)
        await self._connection.put(key, msgspec.msgpack.encode(sorted(change(items))), found.context)
        return items


def _union(values: Iterable[bytes]) -> Items:
    return frozenset(item for value in values for item in msgspec.msgpack.decode(value, type=list[str]))


def _keys(plan: Plan) -> list[str]:
    return [*plan.keys("cart"), *resting_keys("cart", plan.whole("resting"))]


def _change(number: int, busy: list[str], resting: Mapping[int, Use], seed: int) -> Invocation:
    """The change of that number."""
    use, rng = resting.get(number), draw(split(seed, number))
    f, item = choose(rng, OPERATIONS), choose(rng, ITEMS)
    if use is None:
        key = busy[number % len(busy)]
    else:
        item = choose(rng, ITEMS[:FEW])
        key, f = use.key, "checkout" if use.begun and not use.left and rng.random() < 0.6 else f
    return Invocation(f, None if f == "checkout" else item, key)


def _generator(plan: Plan) -> Generator:
    busy, keys = plan.keys("cart"), _keys(plan)
    resting, seed = uses(keys[len(busy) :], seed=split(plan.seed, "resting"), apart=APART), split(plan.seed, "changes")
    changes = numbered(lambda number: _change(number, busy, resting, seed))
    read = [*busy, *read_before_the_end(keys[len(busy) :])]
    reads = numbered(lambda number: Invocation("read", key=read[number % len(read)]))
    return mix(plan.seed, (7, changes), (2, reads), (1, replica_polls(plan, keys)))


WORKLOAD = Workload(
    name="carts",
    summary="shopping carts merged by union: no addition may be lost; what was removed may come back",
    interface="VersionedStore",
    schemas=SCHEMAS,
    client=lambda connection, shared, config: CartsClient(connection),
    generator=_generator,
    final=lambda plan: converge_then_read(plan, _keys(plan)),
    checkers={"carts": {}, "siblings": {}, "convergence": {}, "availability": {}, "latency": {}},
    config={"keys": "5", "resting": "40"},
)
