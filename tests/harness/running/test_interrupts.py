from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.interrupts import Interrupts, interrupting, until_done
from splitbrain.harness.running.run import run
from splitbrain.harness.simulation import run_simulated
from splitbrain.harness.terminal import Progress
from tests.harness.running.interrupts_run import SIGNALS, TimeIsUp, left, ring, strike, wrong

EXPERIMENT = Experiment("sets", nodes=3, faults=("partition",), time_limit_s=3.0, rate=50.0, seed=1)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_an_interrupt_at_a_random_moment_ends_the_run_and_leaves_nothing(
    number: signal.Signals, tmp_path: Path
) -> None:
    rng = random.Random(number)
    before = left()
    for moment in range(4):
        done = strike(number, rng.random() * 0.6, EXPERIMENT, tmp_path / str(moment))
        assert wrong(done) is None, done
        assert left() == before


def test_a_signals_exception_is_not_taken_for_a_clients_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import splitbrain.harness.systems.dynamo.store_system as dynamo

    connect = dynamo.Dynamo.connect

    async def ringing(self: dynamo.Dynamo, environment: object, node: str) -> dynamo.DynamoConnection:
        connection = await connect(self, environment, node)  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGALRM)
        return connection

    monkeypatch.setattr(dynamo.Dynamo, "connect", ringing)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(TimeIsUp):
            run(EXPERIMENT, out=tmp_path, progress=Progress(quiet=True))
    finally:
        signal.signal(signal.SIGALRM, before)
    history = tmp_path / "latest" / "history.jsonl"
    assert not history.exists() or "TimeIsUp" not in history.read_text()


def test_code_that_holds_the_loop_up_gets_the_interrupt_where_it_stands(tmp_path: Path) -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        interrupts.attach(task)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt) as caught:
            time.sleep(3600)
        assert interrupting(caught.value)

    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        run_simulated(main)


def test_a_second_interrupt_disturbs_nothing() -> None:
    turns: list[str] = []

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        interrupts.attach(task)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(1)
        interrupts.hold()
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(1)
        turns.append("cleaned up")

    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        run_simulated(main)
    assert turns == ["cleaned up"]


def test_handlers_are_given_back_as_they_were() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_an_interrupt_at_the_last_moment_is_raised_too() -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        interrupts.hold()
        signal.raise_signal(signal.SIGINT)


def test_in_another_thread_signals_are_left_alone() -> None:
    found: list[object] = []

    def elsewhere() -> None:
        with Interrupts():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]


def test_a_loop_goes_on_after_a_callback_that_ends_the_program() -> None:
    escaped: list[BaseException] = []

    async def main() -> str:
        asyncio.get_running_loop().call_soon(exit, 0)
        await asyncio.sleep(1)
        return "went on"

    assert run_simulated(main, escaped.append) == "went on"
    assert [type(problem) for problem in escaped] == [SystemExit]


def test_without_anybody_to_tell_what_comes_out_of_a_loop_is_raised() -> None:
    loop = asyncio.new_event_loop()
    try:
        task = loop.create_task(asyncio.sleep(0.01))
        loop.call_soon(exit, 7)
        with pytest.raises(SystemExit):
            until_done(loop, task, None)
        assert loop.run_until_complete(task) is None
    finally:
        loop.close()
