from __future__ import annotations

import asyncio
import re
from collections import Counter

import pytest
from msgspec.structs import replace

from splitbrain.checkers import check
from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.harness.generators import (
    PENDING,
    Generator,
    Test,
    clients,
    each_thread,
    limit,
    numbered,
    phases,
    repeat,
    sequence,
    sleep,
    stagger,
)
from splitbrain.harness.interpreting.interpreter import SPARE_FACTOR, Interpreter
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.simulation import run_simulated as simulated
from splitbrain.harness.system import OperationFailed
from tests.harness.interpreter_fixture import NODES, InterpreterFixture, ScriptedClient, at_once

READ = Invocation("read")


def test_a_history_has_an_invocation_and_a_completion_for_every_operation() -> None:
    async def scenario() -> None:
        events = await InterpreterFixture().run(clients(numbered(lambda number: Invocation("w", number, "k"), 3)))
        assert [event.index for event in events] == list(range(6))
        assert Counter(event.type for event in events) == {"invoke": 3, "ok": 3}
        assert {event.key for event in events} == {"k"}

    simulated(scenario)


def test_threads_are_spread_over_the_nodes_and_an_operation_may_name_another() -> None:
    async def scenario() -> None:
        fixture = InterpreterFixture(concurrency=4)
        await fixture.run(phases(clients(each_thread(READ)), clients(each_thread(Invocation("read", node="n2")))))
        asked = [(event.process, event.node) for event in fixture.of("invoke")]
        assert sorted(asked[:4]) == [(0, "n1"), (1, "n2"), (2, "n3"), (3, "n1")]
        assert sorted(asked[4:]) == [(process, "n2") for process in range(4)]
        # Process 1 has its connection to n2 already.
        assert len(fixture.opened) == 7
        assert sorted(fixture.closed) == sorted(fixture.opened)

    simulated(scenario)


def test_an_unknown_node_is_an_error_that_names_those_there_are() -> None:
    async def scenario() -> None:
        with pytest.raises(ValueError, match=r"n9.*n1, n2, n3"):
            await InterpreterFixture().run(clients(Invocation("read", node="n9")))

    simulated(scenario)


def test_a_definite_failure_is_a_fail_and_the_process_goes_on() -> None:
    async def refuse(invocation: Invocation) -> Completion:
        raise OperationFailed("too-few", "only 1 of 2 replicas", definite=True)

    async def scenario() -> None:
        fixture = InterpreterFixture(refuse, concurrency=1)
        await fixture.run(clients(repeat(READ, 3)))
        assert [event.error for event in fixture.of("fail")] == ["too-few: only 1 of 2 replicas"] * 3
        assert {event.process for event in fixture.events} == {0}
        assert fixture.opened == [(0, "n1")]

    simulated(scenario)


def test_an_indefinite_failure_retires_the_process_and_its_number_is_never_used_again() -> None:
    async def lose(invocation: Invocation) -> Completion:
        await asyncio.sleep(0.01)
        raise OperationFailed("no-quorum", "1 of 2", definite=False)

    async def scenario() -> None:
        fixture = InterpreterFixture(lose, concurrency=3)
        await fixture.run(clients(repeat(Invocation("w", 5), 10)))
        processes = [event.process for event in fixture.of("invoke")]
        assert len(set(processes)) == 10
        assert all(event.value == 5 for event in fixture.of("info"))
        # The successor goes on at the same node, through a connection of its own.
        assert Counter(node for _, node in fixture.opened) == {"n1": 4, "n2": 3, "n3": 3}
        assert sorted(fixture.closed) == sorted(fixture.opened)

    simulated(scenario)


def test_no_answer_in_time_is_an_info_and_the_client_is_given_up() -> None:
    async def hang(invocation: Invocation) -> Completion:
        await asyncio.sleep(1000)
        return Completion("ok")

    async def scenario() -> None:
        fixture = InterpreterFixture(hang, concurrency=1)
        await fixture.run(clients(repeat(READ, 2)))
        assert [(event.error, event.time) for event in fixture.of("info")] == [
            ("timeout: no answer within 5 s", 5_000_000_000),
            ("timeout: no answer within 5 s", 10_000_000_000),
        ]
        assert fixture.closed == fixture.opened
        assert fixture.interpreter.statistics.crashes == []

    simulated(scenario)


def test_a_client_that_crashes_is_remembered_and_the_run_goes_on() -> None:
    async def crash(invocation: Invocation) -> Completion:
        if invocation.value == 1:
            raise KeyError("oops")
        return Completion("ok")

    async def scenario() -> None:
        fixture = InterpreterFixture(crash, concurrency=1)
        await fixture.run(clients(numbered(lambda number: Invocation("w", number), 4)))
        assert [event.error for event in fixture.of("info")] == ["crash: KeyError: 'oops'"]
        assert len(fixture.of("ok")) == 3
        (crash_text,) = fixture.interpreter.statistics.crashes
        assert re.fullmatch(r"w through n1: crash: KeyError: 'oops' at .*test_interpreter\.py:\d+", crash_text)

    simulated(scenario)


def test_what_could_not_be_connected_certainly_did_not_happen() -> None:
    async def scenario() -> None:
        fixture = InterpreterFixture(failure=OperationFailed("refused", "nobody there", definite=False))
        await fixture.run(clients(limit(1, repeat(READ))))
        assert [event.error for event in fixture.of("fail")] == ["refused: nobody there"]

    simulated(scenario)


def test_operations_start_on_schedule_whatever_is_outstanding() -> None:
    async def started(latency_s: float) -> list[int]:
        async def slow(invocation: Invocation) -> Completion:
            await asyncio.sleep(latency_s)
            return Completion("ok")

        fixture = InterpreterFixture(slow, concurrency=5)
        await fixture.run(clients(limit(50, stagger(0.05, repeat(READ), seed=3))))
        assert fixture.interpreter.statistics.late == 0
        return [event.time for event in fixture.of("invoke")]

    assert simulated(lambda: started(0.001)) == simulated(lambda: started(2.0))


def test_spare_threads_are_bounded_and_what_is_late_is_counted() -> None:
    async def hang(invocation: Invocation) -> Completion:
        await asyncio.sleep(4.9)
        return Completion("ok")

    async def scenario() -> None:
        fixture = InterpreterFixture(hang, concurrency=1)
        await fixture.run(clients(limit(30, stagger(0.01, repeat(READ), seed=3))))
        statistics = fixture.interpreter.statistics
        assert len({event.process for event in fixture.events}) == 1 + SPARE_FACTOR == 11
        assert statistics.spares == SPARE_FACTOR
        assert statistics.operations == 30
        assert statistics.late == 19
        assert 4_000_000_000 < statistics.latest_ns < 10_000_000_000

    simulated(scenario)


@pytest.mark.parametrize("spare_clients", [0, 7])
def test_as_many_clients_may_be_added_as_the_user_says(spare_clients: int) -> None:
    async def hang(invocation: Invocation) -> Completion:
        await asyncio.sleep(4.9)
        return Completion("ok")

    async def scenario() -> None:
        fixture = InterpreterFixture(hang, concurrency=2, spare_clients=spare_clients)
        await fixture.run(clients(limit(30, stagger(0.01, repeat(READ), seed=3))))
        assert len({event.process for event in fixture.events}) == 2 + spare_clients

    simulated(scenario)


def test_a_stall_shows_in_the_latency_of_the_operations_that_waited_for_a_free_client() -> None:
    async def stalling(invocation: Invocation) -> Completion:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(4.0 - now if 1.0 <= now < 4.0 else 0.001)
        return Completion("ok")

    async def scenario() -> None:
        fixture = InterpreterFixture(stalling, concurrency=5, spare_clients=0)
        events = await fixture.run(clients(limit(1000, stagger(0.01, repeat(READ), seed=3))))
        verdict = check("latency", History(events))
        # The ten longest of a thousand were due in the first 0.2 s of the stall.
        assert verdict.evidence["overall"]["p99"] > 2800
        # Counted from their invocations, only the five that were outstanding would show it.
        late = [event for event in fixture.of("invoke") if event.due is not None]
        assert 250 < len(late) == fixture.interpreter.statistics.late
        assert all(event.due is not None and event.due < event.time for event in late)
        assert check("latency", History([replace(event, due=None) for event in events])).evidence["overall"]["p99"] < 10

    simulated(scenario)


def test_an_operation_that_started_on_schedule_does_not_say_when_it_was_due() -> None:
    async def scenario() -> None:
        fixture = InterpreterFixture(concurrency=5)
        await fixture.run(clients(limit(50, stagger(0.05, repeat(READ), seed=3))))
        assert {event.due for event in fixture.events} == {None}

    simulated(scenario)


def test_without_a_schedule_there_are_never_more_processes_than_the_concurrency() -> None:
    async def slow(invocation: Invocation) -> Completion:
        await asyncio.sleep(0.1)
        return Completion("ok")

    async def scenario() -> None:
        fixture = InterpreterFixture(slow, concurrency=3)
        await fixture.run(clients(repeat(READ, 30)))
        assert {event.process for event in fixture.events} == {0, 1, 2}

    simulated(scenario)


def test_one_history_goes_on_through_several_generators() -> None:
    async def scenario() -> None:
        fixture = InterpreterFixture(concurrency=1)
        await fixture.interpreter.run(clients(sequence(READ, sleep(1))))
        fixture.interpreter.stage("recovery")
        await fixture.run(clients(READ))
        assert [(event.index, event.f, event.time) for event in fixture.events] == [
            (0, "read", 0),
            (1, "read", 0),
            (2, "stage", 1_000_000_000),
            (3, "read", 1_000_000_000),
            (4, "read", 1_000_000_000),
        ]

    simulated(scenario)


def test_cancelling_leaves_operations_open_and_their_processes_retired() -> None:
    async def hang(invocation: Invocation) -> Completion:
        await asyncio.sleep(1000)
        return Completion("ok")

    async def scenario() -> None:
        fixture = InterpreterFixture(hang, concurrency=2)
        running = asyncio.ensure_future(fixture.interpreter.run(clients(repeat(READ, 2))))
        await asyncio.sleep(1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert [event.type for event in fixture.events] == ["invoke", "invoke"]
        fixture.answer = at_once
        await fixture.run(clients(repeat(READ, 2)))
        assert {event.process for event in fixture.of("ok")}.isdisjoint({0, 1})

    simulated(scenario)


def test_a_history_that_cannot_be_written_ends_the_run() -> None:
    async def scenario() -> None:
        async def open_client(process: int, node: str) -> ScriptedClient:
            return ScriptedClient(InterpreterFixture(), process, node)

        def record(event: Event) -> None:
            if event.index == 3:
                raise OSError("no space left on device")

        interpreter = Interpreter(Test(NODES, 1), open_client=open_client, record=record)
        with pytest.raises(OSError, match="no space"):
            await interpreter.run(clients(repeat(READ, 10)))
        await interpreter.close()

    simulated(scenario)


def test_a_generator_that_waits_for_nothing_is_an_error_and_no_hang() -> None:
    class Stuck:
        def op(self, test, context):  # type: ignore[no-untyped-def]
            return PENDING, self

        def update(self, test, context, event):  # type: ignore[no-untyped-def]
            return self

    async def scenario() -> None:
        with pytest.raises(RuntimeError, match="no operation is under way"):
            await InterpreterFixture().run(Stuck())

    simulated(scenario)


def test_it_runs_on_a_real_loop_too() -> None:
    async def scenario() -> None:
        fixture = InterpreterFixture()
        await fixture.run(clients(limit(20, stagger(0.001, repeat(READ), seed=1))))
        assert len(fixture.of("ok")) == 20
        times = [event.time for event in fixture.events]
        assert times == sorted(times)

    asyncio.run(scenario())


def test_a_machine_that_was_up_for_long_has_a_coarse_clock_and_no_endless_loop() -> None:
    class Counted:
        def __init__(self) -> None:
            self.inner: Generator = limit(50, stagger(0.01, repeat(READ), seed=1))
            self.asked = 0

        def op(self, test, context):  # type: ignore[no-untyped-def]
            self.asked += 1
            assert self.asked < 1000, "asked again and again for what is never due"
            step = self.inner.op(test, context)
            if step is None:
                return None
            if step[0].time_ns <= context.time_ns:
                self.inner = step[1]
            return step[0], self

        def update(self, test, context, event):  # type: ignore[no-untyped-def]
            return self

    async def scenario() -> None:
        # Thirty years: a float of seconds has steps of 119 ns, and a moment that was asked for may come too early.
        await asyncio.sleep(1e9 + 0.1)
        fixture = InterpreterFixture()
        await fixture.run(clients(Counted()))
        assert len(fixture.of("ok")) == 50

    simulated(scenario)


class NoException(BaseException):
    """As what a test framework's outcomes are."""


@pytest.mark.parametrize("problem", [asyncio.CancelledError(), SystemExit(0), NoException("no such table")])
def test_whatever_a_client_raises_is_a_crash_and_its_thread_goes_on(problem: BaseException) -> None:
    async def raising(invocation: Invocation) -> Completion:
        raise problem

    async def scenario() -> None:
        fixture = InterpreterFixture(raising, concurrency=1)
        events = await fixture.run(clients(repeat(Invocation("read"), 3)))
        assert [event.type for event in events] == ["invoke", "info"] * 3
        assert all((event.error or "").startswith(f"crash: {type(problem).__name__}") for event in events[1::2])
        assert len(fixture.interpreter.statistics.crashes) == 3

    simulated(scenario)


def test_a_client_that_cancels_its_own_task_is_not_taken_for_us() -> None:
    async def cancelling(invocation: Invocation) -> Completion:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return Completion("ok")

    async def scenario() -> None:
        events = await InterpreterFixture(cancelling, concurrency=1).run(clients(repeat(Invocation("read"), 2)))
        assert [event.error for event in events] == [None, "crash: CancelledError"] * 2

    simulated(scenario)
