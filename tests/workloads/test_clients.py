"""Clients of the workloads beyond the store: what they make of answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from splitbrain.harness import catalogue
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.toys.toy_client import ToyConnection
from splitbrain.harness.systems.toys.toy_objects import Objects, Refused


class Direct(ToyConnection):
    """A connection to the objects themselves. mute: operations that are never answered."""

    def __init__(self, objects: Objects, mute: frozenset[str] = frozenset()) -> None:
        super().__init__("direct", ("nowhere", 0))
        self.objects, self.mute = objects, mute

    async def ask(self, op: str, *args: Any, patience_s: float = 0.0) -> Any:
        if op in self.mute:
            raise OperationFailed("timeout", "no answer", definite=False)
        try:
            return self.objects.apply(op, args, 0.0)
        except Refused as refused:
            raise OperationFailed(refused.code, str(refused), definite=True) from None


class Driven:
    """A workload's client on a connection."""

    def __init__(self, workload: str, connection: Direct, config: Mapping[str, str] | None = None) -> None:
        found = catalogue.workload(workload)
        self.client = found.client(connection, found.shared(), {**found.config, **(config or {})})

    def do(self, f: str, value: Any = None, key: str | None = "k") -> Completion:
        return asyncio.run(self.client.invoke(Invocation(f, value, key)))


def test_a_poll_takes_all_that_is_new_and_the_next_one_goes_on_from_there() -> None:
    objects = Objects()
    client = Driven("kafka", Direct(objects))
    objects.logs["a"] = list(range(120))
    assert client.do("poll", [["poll"]]).value == [["poll", {}]]
    client.do("assign", {"a": 0})
    ((_, polled),) = client.do("poll", [["poll"]]).value
    assert polled == {"a": [[offset, offset] for offset in range(120)]}
    assert objects.positions == {"a": 120}
    assert client.do("send", [["send", "a", 7]]).value == [["send", "a", [120, 7]]]
    assert client.do("poll", [["poll"]]).value == [["poll", {"a": [[120, 7]]}]]


def test_a_consumer_that_is_assigned_logs_begins_where_the_group_has_come_to() -> None:
    objects = Objects()
    objects.logs["a"], objects.positions["a"] = ["x", "y"], 1
    client = Driven("kafka", Direct(objects))
    client.do("assign", ["a", "b"])
    assert client.do("poll", [["poll"]]).value == [["poll", {"a": [[1, "y"]]}]]


def test_a_drain_takes_everything() -> None:
    objects = Objects()
    objects.queues["k"] = [3, 4]
    client = Driven("queue", Direct(objects))
    assert client.do("drain").value == [3, 4]
    assert client.do("dequeue") == Completion("ok", None)


def test_a_compare_and_set_that_found_something_else_failed_for_certain() -> None:
    client = Driven("linearizable-register", Direct(Objects()))
    client.do("write", 1)
    with pytest.raises(OperationFailed, match="does not hold 2") as failed:
        client.do("cas", [2, 3])
    assert (failed.value.code, failed.value.definite) == ("mismatch", True)
    assert client.do("cas", [1, 3]).type == "ok"
    assert client.do("read").value == 3


def test_a_client_releases_what_it_was_given_and_nothing_else() -> None:
    objects = Objects()
    one, other = Driven("lock", Direct(objects)), Driven("lock", Direct(objects))
    assert one.do("acquire", {"lease_ms": 50}).value == {"lease_ms": 50, "token": 1}
    with pytest.raises(OperationFailed) as held:
        other.do("acquire", {"lease_ms": 50})
    with pytest.raises(OperationFailed) as not_held:
        other.do("release")
    assert [(each.value.code, each.value.definite) for each in (held, not_held)] == [("held", True), ("not-held", True)]
    assert one.do("release").value == {"token": 1}
    assert other.do("acquire", {"lease_ms": 50}).value == {"lease_ms": 50, "token": 2}


def test_a_transfer_did_not_happen_if_the_accounts_could_not_be_opened() -> None:
    client = Driven("bank", Direct(Objects(), frozenset({"open_accounts"})), {"accounts": "2"})
    with pytest.raises(OperationFailed, match="while opening accounts: no answer") as failed:
        client.do("transfer", {"from": "a0", "to": "a1", "amount": 1})
    assert failed.value.definite


def test_the_bank_has_its_accounts_before_the_first_read() -> None:
    client = Driven("bank", Direct(Objects()), {"accounts": "2"})
    assert client.do("read").value == {"a0": 20, "a1": 20}
    client.do("transfer", {"from": "a0", "to": "a1", "amount": 3})
    assert client.do("read").value == {"a0": 17, "a1": 23}


def test_the_answer_to_somebody_else_is_an_error_that_the_workload_forbids() -> None:
    class Mistaken(Direct):
        async def echo(self, payload: str) -> str:
            return "something else"

    completion = Driven("echo", Mistaken(Objects())).do("echo", "hello")
    assert (completion.type, completion.error) == ("info", "mismatch: the node answered 'something else'")
    assert catalogue.workload("echo").checkers["unhandled-errors"] == {"forbidden": ["mismatch"]}


def test_a_read_of_a_group_shows_the_values_that_were_written() -> None:
    client = Driven("causal-reverse", Direct(Objects()))
    assert client.do("read").value == []
    client.do("write", 3)
    client.do("write", 0)
    assert client.do("read").value == [0, 3]
    assert client.do("read", key="another").value == []


@pytest.mark.parametrize(
    ("workload", "config", "said"),
    [
        ("bank", {"accounts": "1"}, "accounts=1: give 2 or more, or there is nowhere to move money to"),
        ("bank", {"accounts": "many"}, "accounts=many: give a whole number from 1 to 10000"),
        ("kafka", {"keys": "0"}, "keys=0: give a whole number"),
        ("append", {"keys": "-1"}, "keys=-1: give a whole number"),
        ("echo", {"keys": "3"}, "unknown configuration key 'keys'; known: defect"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_by_name(
    workload: str, config: Mapping[str, str], said: str
) -> None:
    with pytest.raises(UsageProblem) as refused:
        Experiment(workload, system="toys", config=config).prepare()
    assert said in str(refused.value)


def test_a_poll_that_ended_early_is_begun_again() -> None:
    objects = Objects()
    connection = Direct(objects, frozenset({"commit"}))
    objects.logs["a"] = ["x"]
    client = Driven("kafka", connection)
    client.do("assign", {"a": 0})
    with pytest.raises(OperationFailed):
        client.do("poll", [["poll"]])
    connection.mute = frozenset()
    assert client.do("poll", [["poll"]]).value == [["poll", {"a": [[0, "x"]]}]]


class Stingy(Direct):
    """A connection that answers so many dequeues, and no more."""

    def __init__(self, objects: Objects, answers: int) -> None:
        super().__init__(objects)
        self.left = answers

    async def dequeue(self, key: str) -> Any:
        if not self.left:
            raise OperationFailed("refused", "no more today", definite=True)
        self.left -= 1
        return await super().dequeue(key)


def test_a_drain_that_took_something_and_then_failed_is_indeterminate() -> None:
    for answers, definite in ((0, True), (1, False), (2, False)):
        objects = Objects()
        client = Driven("queue", Stingy(objects, answers))
        for value in range(3):
            client.do("enqueue", value)
        with pytest.raises(OperationFailed) as failed:
            client.do("drain")
        assert failed.value.definite is definite, answers
