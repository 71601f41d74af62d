from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from checkers.history import NEMESIS, Event, History, encode
from harness.environment import EnvironmentFailure
from harness.generators import (
    PENDING,
    Generator,
    Test,
    any_of,
    clients,
    each_thread,
    limit,
    nemesis,
    numbered,
    phases,
    repeat,
    sequence,
    sleep,
    stage,
    stagger,
)
from harness.interpreter import SPARE_FACTOR, Interpreter
from harness.operation import Completion, Invocation
from harness.simulation import run_simulated
from harness.system import OperationFailed

READ = Invocation("read")
NODES = ("n1", "n2", "n3")
Answer = Callable[[Invocation], Awaitable[Completion]]


async def at_once(invocation: Invocation) -> Completion:
    return Completion("ok", invocation.value)


class Stand:
    """An interpreter with clients that answer as told, and everything it recorded."""

    def __init__(
        self,
        answer: Answer = at_once,
        *,
        concurrency: int = 2,
        harm: Any = None,
        failure: Exception | None = None,
    ) -> None:
        self.answer = answer
        self.failure = failure
        self.events: list[Event] = []
        self.opened: list[tuple[int, str]] = []
        self.closed: list[tuple[int, str]] = []
        self.interpreter = Interpreter(
            Test(NODES, concurrency), open_client=self._open, record=self.events.append, nemesis=harm
        )

    async def _open(self, process: int, node: str) -> StandClient:
        if self.failure is not None:
            raise self.failure
        self.opened.append((process, node))
        return StandClient(self, process, node)

    async def run(self, generator: Generator) -> list[Event]:
        try:
            await self.interpreter.run(generator)
        finally:
            await self.interpreter.close()
        # Whatever happens, it is a history.
        History.parse([encode(event) for event in self.events])
        return self.events

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.type == kind and event.process != NEMESIS]


class StandClient:
    def __init__(self, stand: Stand, process: int, node: str) -> None:
        self.stand, self.process, self.node = stand, process, node

    async def invoke(self, invocation: Invocation) -> Completion:
        assert (self.process, self.node) not in self.stand.closed, "a closed client was used"
        return await self.stand.answer(invocation)

    async def close(self) -> None:
        self.stand.closed.append((self.process, self.node))


def simulated(scenario: Callable[[], Awaitable[Any]]) -> Any:
    return run_simulated(scenario)


def test_a_history_has_an_invocation_and_a_completion_for_every_operation() -> None:
    async def scenario() -> None:
        events = await Stand().run(clients(numbered(lambda number: Invocation("w", number, "k"), 3)))
        assert [event.index for event in events] == list(range(6))
        assert Counter(event.type for event in events) == {"invoke": 3, "ok": 3}
        assert {event.key for event in events} == {"k"}

    simulated(scenario)


def test_threads_are_spread_over_the_nodes_and_an_operation_may_name_another() -> None:
    async def scenario() -> None:
        stand = Stand(concurrency=4)
        await stand.run(
            phases(clients(each_thread(READ)), clients(each_thread(Invocation("read", node="n2"))))
        )
        asked = [(event.process, event.node) for event in stand.of("invoke")]
        assert sorted(asked[:4]) == [(0, "n1"), (1, "n2"), (2, "n3"), (3, "n1")]
        assert sorted(asked[4:]) == [(process, "n2") for process in range(4)]
        # Process 1 has its connection to n2 already.
        assert len(stand.opened) == 7
        assert sorted(stand.closed) == sorted(stand.opened)

    simulated(scenario)


def test_an_unknown_node_is_an_error_that_names_those_there_are() -> None:
    async def scenario() -> None:
        with pytest.raises(ValueError, match=r"n9.*n1, n2, n3"):
            await Stand().run(clients(Invocation("read", node="n9")))

    simulated(scenario)


def test_a_definite_failure_is_a_fail_and_the_process_goes_on() -> None:
    async def refuse(invocation: Invocation) -> Completion:
        raise OperationFailed("too-few", "only 1 of 2 replicas", definite=True)

    async def scenario() -> None:
        stand = Stand(refuse, concurrency=1)
        await stand.run(clients(repeat(READ, 3)))
        assert [event.error for event in stand.of("fail")] == ["too-few: only 1 of 2 replicas"] * 3
        assert {event.process for event in stand.events} == {0}
        assert stand.opened == [(0, "n1")]

    simulated(scenario)


def test_an_indefinite_failure_retires_the_process_and_its_number_is_never_used_again() -> None:
    async def lose(invocation: Invocation) -> Completion:
        await asyncio.sleep(0.01)
        raise OperationFailed("no-quorum", "1 of 2", definite=False)

    async def scenario() -> None:
        stand = Stand(lose, concurrency=3)
        await stand.run(clients(repeat(Invocation("w", 5), 10)))
        processes = [event.process for event in stand.of("invoke")]
        assert len(set(processes)) == 10
        assert all(event.value == 5 for event in stand.of("info"))
        # The successor goes on at the same node, through a connection of its own.
        assert Counter(node for _, node in stand.opened) == {"n1": 4, "n2": 3, "n3": 3}
        assert sorted(stand.closed) == sorted(stand.opened)

    simulated(scenario)


def test_no_answer_in_time_is_an_info_and_the_client_is_given_up() -> None:
    async def hang(invocation: Invocation) -> Completion:
        await asyncio.sleep(1000)
        return Completion("ok")

    async def scenario() -> None:
        stand = Stand(hang, concurrency=1)
        await stand.run(clients(repeat(READ, 2)))
        assert [(event.error, event.time) for event in stand.of("info")] == [
            ("timeout: no answer within 5 s", 5_000_000_000),
            ("timeout: no answer within 5 s", 10_000_000_000),
        ]
        assert stand.closed == stand.opened
        assert stand.interpreter.tally.crashes == []

    simulated(scenario)


def test_a_client_that_crashes_is_remembered_and_the_run_goes_on() -> None:
    async def crash(invocation: Invocation) -> Completion:
        if invocation.value == 1:
            raise KeyError("oops")
        return Completion("ok")

    async def scenario() -> None:
        stand = Stand(crash, concurrency=1)
        await stand.run(clients(numbered(lambda number: Invocation("w", number), 4)))
        assert [event.error for event in stand.of("info")] == ["crash: KeyError: 'oops'"]
        assert len(stand.of("ok")) == 3
        assert stand.interpreter.tally.crashes == ["w through n1: crash: KeyError: 'oops'"]

    simulated(scenario)


def test_what_could_not_be_connected_certainly_did_not_happen() -> None:
    async def scenario() -> None:
        stand = Stand(failure=OperationFailed("refused", "nobody there", definite=False))
        await stand.run(clients(limit(1, repeat(READ))))
        assert [event.error for event in stand.of("fail")] == ["refused: nobody there"]

    simulated(scenario)


def test_operations_start_on_schedule_whatever_is_outstanding() -> None:
    async def started(latency_s: float) -> list[int]:
        async def slow(invocation: Invocation) -> Completion:
            await asyncio.sleep(latency_s)
            return Completion("ok")

        stand = Stand(slow, concurrency=5)
        await stand.run(clients(limit(50, stagger(0.05, repeat(READ), seed=3))))
        assert stand.interpreter.tally.late == 0
        return [event.time for event in stand.of("invoke")]

    assert simulated(lambda: started(0.001)) == simulated(lambda: started(2.0))


def test_spare_threads_are_bounded_and_what_is_late_is_counted() -> None:
    async def hang(invocation: Invocation) -> Completion:
        await asyncio.sleep(4.9)
        return Completion("ok")

    async def scenario() -> None:
        stand = Stand(hang, concurrency=1)
        await stand.run(clients(limit(30, stagger(0.01, repeat(READ), seed=3))))
        tally = stand.interpreter.tally
        assert len({event.process for event in stand.events}) == 1 + SPARE_FACTOR == 11
        assert tally.spares == SPARE_FACTOR
        assert tally.operations == 30
        assert tally.late == 19
        assert 4_000_000_000 < tally.latest_ns < 10_000_000_000

    simulated(scenario)


def test_without_a_schedule_there_are_never_more_processes_than_the_concurrency() -> None:
    async def slow(invocation: Invocation) -> Completion:
        await asyncio.sleep(0.1)
        return Completion("ok")

    async def scenario() -> None:
        stand = Stand(slow, concurrency=3)
        await stand.run(clients(repeat(READ, 30)))
        assert {event.process for event in stand.events} == {0, 1, 2}

    simulated(scenario)


class Harm:
    """A nemesis that fails when told to."""

    def __init__(self) -> None:
        self.under_way = 0

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        self.under_way += 1
        assert self.under_way == 1, "two nemesis operations at once"
        await asyncio.sleep(0.5)
        self.under_way -= 1
        match invocation.f:
            case "refuse":
                raise EnvironmentFailure("n2 is unreachable; look at its machine")
            case "stumble":
                raise KeyError("bug")
            case "hang":
                await asyncio.sleep(1000)
        return {**invocation.value, "evidence": {"effective": True, "detail": "seen"}}


def harm(f: str) -> Invocation:
    return Invocation(f, {"fault": "kill", "phase": "start"}, process=NEMESIS)


def test_a_nemesis_operation_is_two_lines_the_second_with_evidence() -> None:
    async def scenario() -> None:
        events = await Stand(harm=Harm()).run(nemesis(sequence(stage("load"), harm("kill"), harm("kill"))))
        assert [(event.process, event.type, event.f, event.time) for event in events] == [
            ("nemesis", "info", "stage", 0),
            ("nemesis", "info", "kill", 0),
            ("nemesis", "info", "kill", 500_000_000),
            ("nemesis", "info", "kill", 500_000_000),
            ("nemesis", "info", "kill", 1_000_000_000),
        ]
        assert events[1].value == {"fault": "kill", "phase": "start"}
        assert events[2].value["evidence"] == {"effective": True, "detail": "seen"}

    simulated(scenario)


def test_a_nemesis_that_fails_had_no_effect_and_the_run_goes_on() -> None:
    async def scenario() -> None:
        stand = Stand(harm=Harm())
        events = await stand.run(nemesis(sequence(harm("refuse"), harm("stumble"), harm("kill"))))
        refused, crashed, done = events[1::2]
        assert refused.error == "environment: n2 is unreachable; look at its machine"
        assert refused.value["evidence"] == {
            "effective": False,
            "detail": "n2 is unreachable; look at its machine",
        }
        assert crashed.error == "crash: KeyError: 'bug'"
        assert crashed.value["evidence"]["effective"] is False
        assert done.error is None
        # Only the bug is the harness's own failure.
        assert stand.interpreter.tally.crashes == ["stumble: crash: KeyError: 'bug'"]

    simulated(scenario)


def test_a_nemesis_that_hangs_is_given_up() -> None:
    async def scenario() -> None:
        stand = Stand(harm=Harm())
        events = await stand.run(nemesis(harm("hang")))
        assert events[1].error == "timeout: not done within 60 s"

    simulated(scenario)


def test_clients_go_on_while_the_nemesis_is_at_work() -> None:
    async def scenario() -> None:
        stand = Stand(harm=Harm())
        load = clients(limit(40, stagger(0.01, repeat(READ), seed=1)))
        await stand.run(any_of(load, nemesis(harm("kill"))))
        begun, ended = (event.time for event in stand.events if event.process == NEMESIS)
        assert sum(begun <= event.time < ended for event in stand.of("ok")) > 20

    simulated(scenario)


def test_one_history_goes_on_through_several_generators() -> None:
    async def scenario() -> None:
        stand = Stand(concurrency=1)
        await stand.interpreter.run(clients(sequence(READ, sleep(1))))
        stand.interpreter.stage("recovery")
        await stand.run(clients(READ))
        assert [(event.index, event.f, event.time) for event in stand.events] == [
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
        stand = Stand(hang, concurrency=2)
        running = asyncio.ensure_future(stand.interpreter.run(clients(repeat(READ, 2))))
        await asyncio.sleep(1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert [event.type for event in stand.events] == ["invoke", "invoke"]
        stand.answer = at_once
        await stand.run(clients(repeat(READ, 2)))
        assert {event.process for event in stand.of("ok")}.isdisjoint({0, 1})

    simulated(scenario)


def test_a_history_that_cannot_be_written_ends_the_run() -> None:
    async def scenario() -> None:
        async def open_client(process: int, node: str) -> StandClient:
            return StandClient(Stand(), process, node)

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
            await Stand().run(Stuck())

    simulated(scenario)


def test_it_runs_on_a_real_loop_too() -> None:
    async def scenario() -> None:
        stand = Stand()
        await stand.run(clients(limit(20, stagger(0.001, repeat(READ), seed=1))))
        assert len(stand.of("ok")) == 20
        times = [event.time for event in stand.events]
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
        stand = Stand()
        await stand.run(clients(Counted()))
        assert len(stand.of("ok")) == 50

    simulated(scenario)
