"""Clients of a versioned store, on one that is right and in memory, and that forgets or fails where a test says so."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.system import OperationFailed, ReplicaState, Siblings
from splitbrain.harness.workload import Client
from splitbrain.workloads.carts import CartsClient
from splitbrain.workloads.counters import CountersClient
from splitbrain.workloads.grow_sets import GrowSetsClient
from splitbrain.workloads.registers import RegistersClient


class Store:
    """Siblings by number; a context names the numbers that it covers. failing: operations that fail, and how."""

    def __init__(self) -> None:
        self.held: dict[int, bytes | None] = {}
        self.numbers = count(1)
        self.stale = False
        self.failing: dict[str, OperationFailed] = {}

    async def get(self, key: bytes) -> Siblings:
        self._fail("get")
        if self.stale:
            return Siblings((), b"")
        values = tuple(value for value in self.held.values() if value is not None)
        return Siblings(values, b",".join(b"%d" % number for number in self.held))

    async def put(self, key: bytes, value: bytes, context: bytes | None) -> bytes:
        self._fail("put")
        return self._write(value, context)

    async def delete(self, key: bytes, context: bytes) -> bytes:
        self._fail("delete")
        return self._write(None, context)

    async def replica(self, key: bytes) -> ReplicaState:
        return ReplicaState(True, tuple(map(str, self.held)), tuple(self.held.values()), 0)

    async def close(self) -> None:
        pass

    def _write(self, value: bytes | None, context: bytes | None) -> bytes:
        covered = {int(number) for number in (context or b"").split(b",") if number}
        number = next(self.numbers)
        self.held = {other: held for other, held in self.held.items() if other not in covered} | {number: value}
        return b",".join(b"%d" % each for each in sorted({*covered, number}))

    def _fail(self, what: str) -> None:
        if what in self.failing:
            raise self.failing[what]


def do(client: Client, f: str, value: object = None, key: str = "k") -> Completion:
    return asyncio.run(client.invoke(Invocation(f, value, key)))


TIMEOUT = OperationFailed("timeout", "no answer", definite=False)


def test_a_delete_without_a_context_reads_first_and_says_what_it_had_seen() -> None:
    store = Store()
    do(RegistersClient(store), "put", {"write": 1})
    do(RegistersClient(store), "put", {"write": 2})  # Blind: a sibling.
    deleter = RegistersClient(store)
    assert do(deleter, "delete", {"write": 3}) == Completion("ok", {"write": 3, "seen": [1, 2]})
    assert do(deleter, "read").value == []
    assert do(deleter, "put", {"write": 4}).value == {"write": 4, "seen": []}
    assert do(deleter, "read").value == [4]
    assert do(deleter, "replica").value["values"] == [4]


def test_a_put_after_a_delete_of_its_own_has_seen_the_delete() -> None:
    client = RegistersClient(Store())
    do(client, "put", {"write": 1})
    assert do(client, "delete", {"write": 2}).value == {"write": 2, "seen": [1]}
    assert do(client, "put", {"write": 3}).value == {"write": 3, "seen": [2]}


def test_a_delete_that_is_indeterminate_says_what_it_had_seen_all_the_same() -> None:
    store = Store()
    client = RegistersClient(store)
    do(client, "put", {"write": 1})
    store.failing = {"delete": TIMEOUT}
    assert do(client, "delete", {"write": 2}) == Completion("info", {"write": 2, "seen": [1]}, "timeout: no answer")


def test_what_failed_while_it_was_reading_certainly_did_not_happen() -> None:
    store = Store()
    store.failing = {"get": TIMEOUT}
    clients: list[tuple[Client, str, object]] = [
        (RegistersClient(store), "delete", {"write": 1}),
        (CartsClient(store), "add", "milk"),
        (CountersClient(store, 0), "add", 1),
    ]
    for client, f, value in clients:
        with pytest.raises(OperationFailed) as failed:
            do(client, f, value)
        assert failed.value.definite


def test_a_cart_is_the_union_of_its_siblings_and_empty_after_a_checkout() -> None:
    store = Store()
    client = CartsClient(store)
    do(client, "add", "milk")
    store.stale = True
    do(client, "add", "eggs")  # It had not seen the milk: a sibling.
    store.stale = False
    assert do(client, "read").value == ["eggs", "milk"]
    do(client, "remove", "milk")
    assert do(client, "checkout").value == ["eggs"]
    assert do(client, "read").value == []
    assert do(client, "replica").value["values"] == [[]]


def test_a_counter_counts_an_add_once_though_the_next_read_misses_it() -> None:
    store = Store()
    client = CountersClient(store, 0)
    do(client, "add", 2)
    store.stale = True
    do(client, "add", 3)
    store.stale = False
    do(CountersClient(store, 1), "add", -1)
    assert do(client, "read").value == 4


def test_an_add_to_a_grow_set_replaces_what_its_client_knew_and_nothing_else() -> None:
    store = Store()
    one, other = GrowSetsClient(store), GrowSetsClient(store)
    do(one, "add", 1)
    do(other, "add", 2)
    do(one, "add", 3)
    assert len(store.held) == 2
    assert do(other, "read").value == [1, 2, 3]
    do(other, "add", 4)
    assert len(store.held) == 1
    assert do(one, "read").value == [1, 2, 3, 4]
