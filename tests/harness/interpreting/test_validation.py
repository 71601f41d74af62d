from __future__ import annotations

import pytest

from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.harness.generators import Context, Test, clients, limit, repeat
from splitbrain.harness.interpreting.validation import (
    InvalidOperation,
    completion_problems,
    operation_problems,
    validated,
)
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.workload import Schema
from tests.harness.fixed_latency import play

SCHEMAS = (Schema("add", int, int), Schema("read", None, list[int]))
BY_F = {schema.f: schema for schema in SCHEMAS}
CONTEXT = Context(0, (0,), (1,), {0: 0, 1: 1}, 2)
TEST = Test(("n1", "n2"), 2)


def test_what_fits_passes() -> None:
    events = play(clients(validated(SCHEMAS, limit(5, repeat(Invocation("add", 3))))))
    assert len(events) == 10


def test_every_problem_of_an_operation_is_named() -> None:
    bad = Invocation("add", "3", node="n7", process=1, time_ns=-1)
    problems = operation_problems(BY_F, bad, TEST, CONTEXT)
    assert [problem.split(":")[0] for problem in problems] == [
        "its value '3' is wrong",
        "its process is not free",
        "its node 'n7' is none of n1, n2",
        "its time -1 ns is before the start",
    ]
    with pytest.raises(InvalidOperation, match=r"'3' is wrong.*n7"):
        play(clients(validated(SCHEMAS, Invocation("add", "3", node="n7"))))


def test_an_operation_no_schema_knows_is_named() -> None:
    with pytest.raises(InvalidOperation, match="none of add, read"):
        play(clients(validated(SCHEMAS, Invocation("remove", 3))))


def test_a_bad_completion_is_named() -> None:
    with pytest.raises(InvalidOperation, match=r"completion 1 of 'read'.*Expected `int`"):
        play(
            clients(validated(SCHEMAS, Invocation("read"))),
            outcome=lambda _: Completion("ok", [1, "2"]),
        )


def test_a_completion_that_is_not_ok_must_say_why() -> None:
    assert completion_problems(BY_F, Event(1, 0, 0, "info", "add", value=3)) == ["it is info and has no error"]
    assert completion_problems(BY_F, Event(1, 0, 0, "fail", "add", value=3, error="x: y")) == []
    assert completion_problems(BY_F, Event(1, 0, 0, "ok", "add", value=3, error="x: y")) == [
        "it is ok and has an error"
    ]


def test_the_nemesis_is_left_alone() -> None:
    assert operation_problems(BY_F, Invocation("kill", process=NEMESIS), TEST, CONTEXT) == []
