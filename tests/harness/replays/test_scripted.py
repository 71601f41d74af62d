from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

import pytest

from splitbrain.checkers.histories.event import Event
from splitbrain.harness.generators import clients
from splitbrain.harness.interpreting.validation import validated
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.replays.schedule_file import UnreadableSchedule, encode, read_schedule
from splitbrain.harness.replays.scripted import ScriptedOperation, scripted
from splitbrain.harness.simulation import run_simulated
from splitbrain.harness.workload import Schema
from tests.harness.interpreter_fixture import InterpreterFixture

Operation = ScriptedOperation
SCHEMAS = (Schema("add", invoked=Any, ok=Any), Schema("read", invoked=None, ok=Any))


def invoked(
    *operations: Operation, takes_s: float = 0.01, outcome: Literal["ok", "info"] = "ok", spares: int = 5
) -> list[Event]:
    """The invocations of two processes that are given these operations, each of which takes so long."""

    async def answer(invocation: Invocation) -> Completion:
        await asyncio.sleep(takes_s)
        return Completion(outcome, invocation.value, "lost: no answer" if outcome == "info" else None)

    async def main() -> list[Event]:
        fixture = InterpreterFixture(answer, concurrency=2, spare_clients=spares)
        return await fixture.run(clients(validated(SCHEMAS, scripted(operations))))

    return [event for event in run_simulated(main) if event.type == "invoke"]


def seen(events: list[Event]) -> list[tuple[float, object, str, object]]:
    return [(event.time / 1e9, event.process, event.f, event.value) for event in events]


def test_each_operation_starts_at_its_time_on_its_process_through_its_node() -> None:
    events = invoked(
        Operation(0.5, 1, "add", "s0", 7, "n3"), Operation(0.0, 0, "read", "s1"), Operation(0.25, 1, "read", "s0")
    )
    assert seen(events) == [(0.0, 0, "read", None), (0.25, 1, "read", None), (0.5, 1, "add", 7)]
    assert [(event.key, event.node) for event in events] == [("s1", "n1"), ("s0", "n2"), ("s0", "n3")]


def test_an_operation_whose_process_is_busy_is_done_by_its_successor_and_so_are_the_later_ones() -> None:
    # The second one is busy while a third process takes over, so another spare one waits beside it at the end.
    script = [Operation(at_s, process, "add", "s0") for at_s, process in ((0.0, 0), (0.2, 1), (0.5, 0), (0.6, 1))]
    events = invoked(*script, Operation(3.0, 0, "add", "s0"), Operation(3.0, 1, "add", "s0"), takes_s=1.0)
    assert [event.time / 1e9 for event in events] == [0.0, 0.2, 0.5, 0.6, 3.0, 3.0]
    zero, one, for_zero, for_one, later_zero, later_one = [event.process for event in events]
    assert (zero, one) == (0, 1) and len({zero, one, for_zero, for_one}) == 4
    assert (later_zero, later_one) == (for_zero, for_one)


def test_a_process_that_was_retired_goes_on_under_another_number_on_its_own_thread() -> None:
    events = invoked(
        *(Operation(at_s, process, "add", "s0") for at_s, process in ((0.0, 0), (0.1, 1), (1.0, 0), (1.1, 1))),
        outcome="info",
    )
    processes = [event.process for event in events]
    assert processes[:2] == [0, 1] and len(set(processes)) == 4
    # Their threads' own nodes: that of an operation without one.
    assert [event.node for event in events] == ["n1", "n2", "n1", "n2"]


def test_without_any_spare_process_an_operation_waits_and_says_since_when() -> None:
    events = invoked(*(Operation(0.0, 0, "add", "s0", number) for number in range(3)), takes_s=1.0, spares=0)
    assert [(event.time / 1e9, event.due) for event in events] == [(0.0, None), (0.0, None), (1.0, 0)]


def test_taking_an_operation_out_leaves_the_others_as_they_were() -> None:
    operations = [Operation(number / 10, number % 2, "add", "s0", number) for number in range(10)]
    whole = seen(invoked(*operations))
    for number in range(10):
        without = seen(invoked(*(each for each in operations if each.value != number)))
        assert without == [each for each in whole if each[3] != number]


def test_a_schedule_is_read_as_it_was_written(tmp_path: Path) -> None:
    operations = (Operation(0.123456789, 3, "put", "r0", {"write": 1, "seen": [2]}, "n1"), Operation(1.0, 0, "read"))
    (tmp_path / "schedule.json").write_bytes(encode((), operations))
    assert read_schedule(tmp_path).operations == operations
    (tmp_path / "schedule.json").write_bytes(encode((), None))
    assert read_schedule(tmp_path).operations is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"version": 2, "strikes": [], "clouds": []}', "has version 2, and 1 is known"),
        (b'{"version": 1, "strikes": [{"at_s": 1}]}', "is no schedule"),
        (b'{"version": 1, "strikes": [], "more": 1}', "is no schedule"),
        (b"{", "is no schedule"),
        (None, "No such file"),
    ],
)
def test_a_schedule_that_can_not_be_used_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    if content is not None:
        (tmp_path / "schedule.json").write_bytes(content)
    with pytest.raises(UnreadableSchedule) as problem:
        read_schedule(tmp_path)
    assert said in str(problem.value) and "\n" not in str(problem.value)
