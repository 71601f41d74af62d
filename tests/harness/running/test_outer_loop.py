from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.results import Result
from splitbrain.harness.running.run import run
from splitbrain.harness.systems.dynamo.store_system import Dynamo
from tests.harness.running.interrupts_run import TimeIsUp, ring

EXPERIMENT = Experiment("sets", nodes=3, faults=("partition",), time_limit_s=3.0, rate=50.0, seed=1)


def history(result: Result) -> bytes:
    return (result.folder / "history.jsonl").read_bytes()


def test_a_run_in_a_coroutine_records_what_it_records_elsewhere(tmp_path: Path) -> None:
    async def main() -> Result:
        return run(EXPERIMENT, out=tmp_path / "inside")

    inside, outside = asyncio.run(main()), run(EXPERIMENT, out=tmp_path / "outside")
    assert inside.status == "valid"
    assert history(inside) == history(outside)


def test_the_callers_loop_and_task_go_on_after_a_run(tmp_path: Path) -> None:
    async def main() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        other = asyncio.create_task(asyncio.sleep(0, "went on"))
        assert run(EXPERIMENT, out=tmp_path).status == "valid"
        assert not other.done()
        assert (asyncio.get_running_loop(), asyncio.current_task()) == (loop, task)
        assert await other == "went on"
        async with asyncio.timeout(60):  # It asks for the current task.
            await asyncio.sleep(0)

    asyncio.run(main(), debug=True)


def test_a_run_in_a_callback_of_a_loop_has_no_task_to_set_aside(tmp_path: Path) -> None:
    async def main() -> Result:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        loop.call_soon(lambda: done.set_result(run(EXPERIMENT, out=tmp_path)))
        return await done

    assert asyncio.run(main()).status == "valid"


def test_coroutines_may_run_on_threads_meanwhile(tmp_path: Path) -> None:
    async def main() -> list[Result]:
        runs = (asyncio.to_thread(run, EXPERIMENT, out=tmp_path / name) for name in "ab")
        return await asyncio.gather(*runs)

    first, second = asyncio.run(main())
    assert first.status == "valid"
    assert history(first) == history(second)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A SIGALRM, whose handler raises TimeIsUp, when the first client connects."""
    connect = Dynamo.connect

    async def ringing(self: Dynamo, environment: object, node: str) -> object:
        os.kill(os.getpid(), signal.SIGALRM)
        return await connect(self, environment, node)  # type: ignore[arg-type]

    monkeypatch.setattr(Dynamo, "connect", ringing)
    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("rung")
def test_a_time_limit_ends_a_run_in_a_coroutine_and_leaves_its_loop_in_order(tmp_path: Path) -> None:
    async def main() -> str:
        task = asyncio.current_task()
        with pytest.raises(TimeIsUp):
            run(EXPERIMENT, out=tmp_path)
        assert asyncio.current_task() is task
        return await asyncio.sleep(0, "went on")

    assert asyncio.run(main()) == "went on"


def test_ctrl_c_ends_a_run_in_a_coroutine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # asyncio's own handler only cancels the task, which a run that blocks it would never hear of.
    async def interrupted(self: Dynamo, environment: object, node: str) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return await connect(self, environment, node)  # type: ignore[arg-type]

    async def main() -> None:
        run(EXPERIMENT, out=tmp_path)

    connect = Dynamo.connect
    monkeypatch.setattr(Dynamo, "connect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())


def test_a_client_that_starts_a_run_crashes_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nested(self: Dynamo, environment: object, node: str) -> object:
        return run(EXPERIMENT, out=tmp_path / "inner")

    monkeypatch.setattr(Dynamo, "connect", nested)
    result = run(EXPERIMENT, out=tmp_path / "outer")
    assert result.status == "broken"
    assert "can't start a run of its own within a run" in result.reason
    assert not (tmp_path / "inner").exists()
