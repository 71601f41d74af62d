from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from splitbrain.checkers.histories.event import NEMESIS
from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.generators import any_of, clients, limit, nemesis, repeat, sequence, stage, stagger
from splitbrain.harness.operation import Invocation
from splitbrain.harness.simulation import run_simulated as simulated
from tests.harness.interpreter_fixture import InterpreterFixture

READ = Invocation("read")


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


def kill(f: str) -> Invocation:
    return Invocation(f, {"fault": "kill", "phase": "start"}, process=NEMESIS)


def test_a_nemesis_operation_is_two_lines_the_second_with_evidence() -> None:
    async def scenario() -> None:
        events = await InterpreterFixture(nemesis=Harm()).run(
            nemesis(sequence(stage("load"), kill("kill"), kill("kill")))
        )
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
        fixture = InterpreterFixture(nemesis=Harm())
        events = await fixture.run(nemesis(sequence(kill("refuse"), kill("stumble"), kill("kill"))))
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
        assert [text.partition(" at ")[0] for text in fixture.interpreter.statistics.crashes] == [
            "stumble: crash: KeyError: 'bug'"
        ]

    simulated(scenario)


def test_a_nemesis_that_hangs_is_given_up() -> None:
    async def scenario() -> None:
        fixture = InterpreterFixture(nemesis=Harm())
        events = await fixture.run(nemesis(kill("hang")))
        assert events[1].error == "timeout: not done within 60 s"

    simulated(scenario)


def test_clients_go_on_while_the_nemesis_is_at_work() -> None:
    async def scenario() -> None:
        fixture = InterpreterFixture(nemesis=Harm())
        load = clients(limit(40, stagger(0.01, repeat(READ), seed=1)))
        await fixture.run(any_of(load, nemesis(kill("kill"))))
        begun, ended = (event.time for event in fixture.events if event.process == NEMESIS)
        assert sum(begun <= event.time < ended for event in fixture.of("ok")) > 20

    simulated(scenario)


def test_a_nemesis_whose_library_cancels_what_it_waits_for_has_crashed_and_the_run_goes_on() -> None:
    class Cancelled:
        async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
            pending = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.01, pending.cancel)
            await pending
            return {}

    async def scenario() -> None:
        fixture = InterpreterFixture(nemesis=Cancelled())
        events = await fixture.run(nemesis(sequence(kill("kill"), kill("kill"))))
        assert [event.error for event in events] == [None, "crash: CancelledError"] * 2
        assert [text.partition(" at ")[0] for text in fixture.interpreter.statistics.crashes] == [
            "kill: crash: CancelledError"
        ] * 2

    simulated(scenario)
