"""The interfaces: each has a probe that asks a little of everything and leaves nothing behind."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from splitbrain.harness import interfaces
from splitbrain.harness.interfaces import PROBES
from splitbrain.harness.running import recovery
from splitbrain.harness.system import Connection, OperationFailed
from splitbrain.harness.systems.toys.toy_client import ToyConnection
from splitbrain.harness.systems.toys.toy_objects import Objects

PROTOCOLS = {
    name: kind
    for name, kind in vars(interfaces).items()
    if inspect.isclass(kind) and issubclass(kind, Connection) and kind is not Connection
}


class Direct(ToyConnection):
    """A connection to the objects themselves. asked: the operations, in order."""

    def __init__(self, objects: Objects) -> None:
        super().__init__("direct", ("nowhere", 0))
        self.objects, self.asked = objects, list[str]()

    async def ask(self, op: str, *args: Any, patience_s: float = 0.0) -> Any:
        self.asked.append(op)
        return self.objects.apply(op, args, 0.0)


async def _awaited(probe: Callable[[Any], Awaitable[None]], connection: Any) -> None:
    await probe(connection)


def test_every_interface_has_a_probe_and_recovery_knows_it() -> None:
    assert PROTOCOLS.keys() == PROBES.keys()
    assert recovery.PROBES.keys() == {"VersionedStore", *PROBES}


def test_one_connection_can_speak_all_of_them() -> None:
    methods = [name for kind in PROTOCOLS.values() for name in vars(kind) if not name.startswith("_")]
    assert len(methods) == len(set(methods)), "no two interfaces have a method of one name"
    assert all(isinstance(Direct(Objects()), kind) for kind in PROTOCOLS.values())


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_asks_its_interface_and_leaves_what_operations_can_see_as_it_was(name: str) -> None:
    objects = Objects()
    connection = Direct(objects)
    asyncio.run(_awaited(PROBES[name], connection))
    methods = {method for method in vars(PROTOCOLS[name]) if not method.startswith("_")}
    assert set(connection.asked) <= methods
    assert connection.asked
    # A bank's accounts and a channel's messages have no name under which a probe could hide.
    assert (objects.accounts, objects.heard) == ({}, [])
    seen = [
        objects.registers,
        objects.rows,
        objects.sets,
        objects.queues,
        objects.counters,
        objects.logs,
        objects.tokens,
    ]
    assert {key for some in seen for key in some} <= {interfaces.PROBE_NAME}


def test_the_probe_of_a_lock_that_is_held_is_answered_all_the_same() -> None:
    objects = Objects()
    assert objects.apply("acquire", [interfaces.PROBE_NAME, 60.0], 0.0) == 1
    connection = Direct(objects)
    asyncio.run(_awaited(PROBES["Lock"], connection))
    assert connection.asked == ["acquire"]


def test_a_probe_that_is_not_answered_fails_as_operations_do() -> None:
    class Mute(Direct):
        async def ask(self, op: str, *args: Any, patience_s: float = 0.0) -> Any:
            raise OperationFailed("timeout", "no answer", definite=False)

    for probe in PROBES.values():
        with pytest.raises(OperationFailed):
            asyncio.run(_awaited(probe, Mute(Objects())))


def test_a_list_that_fits_no_datagram_is_read_in_pages() -> None:
    objects = Objects()
    connection = Direct(objects)
    objects.heard, objects.sets["s"] = list(range(4500)), [7]
    assert asyncio.run(connection.messages()) == list(range(4500))
    assert connection.asked == ["messages"] * 4
    assert asyncio.run(connection.elements("s")) == [7]


def test_a_request_that_fits_no_datagram_is_refused_and_says_what_to_do() -> None:
    connection = ToyConnection("c", ("nowhere", 0))
    with pytest.raises(OperationFailed, match="does not fit a datagram; use fewer keys") as refused:
        asyncio.run(connection.poll({f"k{number}": 0 for number in range(10_000)}))
    assert refused.value.definite
