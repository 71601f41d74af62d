"""A program's life: it starts, stands still, is killed, and ends by itself."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from splitbrain.harness.simulation import run_simulated
from splitbrain.harness.simulation.programs.process_loop import ProcessLoop
from tests.harness.simulation.programs.bench import Bench, on_machines

PORT = 7000


async def everything_of_asyncio() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert isinstance(loop, ProcessLoop)
    assert asyncio.get_event_loop() is loop
    assert loop.is_running()
    queue: asyncio.Queue[int] = asyncio.Queue(2)
    lock, event, semaphore, condition = asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(2), asyncio.Condition()
    got: list[int] = []

    async def produce() -> None:
        for number in range(10):
            async with lock:
                await queue.put(number)
        event.set()

    async def consume() -> None:
        await event.wait() if queue.full() and event.is_set() else None
        for _ in range(10):
            async with semaphore:
                got.append(await queue.get())
            await asyncio.sleep(0.1)
        async with condition:
            condition.notify_all()

    async def ends() -> None:
        async with condition:
            await condition.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ends())
        tasks.create_task(produce())
        tasks.create_task(consume())
    assert got == list(range(10))
    assert event.is_set()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(100), 5)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await asyncio.sleep(100)
    assert await asyncio.gather(asyncio.sleep(1, "a"), asyncio.sleep(2, "b")) == ["a", "b"]
    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(100))
            tasks.create_task(raises())
    done, pending = await asyncio.wait([asyncio.ensure_future(asyncio.sleep(each)) for each in (1, 50)], timeout=2)
    assert (len(done), len(pending)) == (1, 1)
    print(f"{loop.time() - began:.3f}")


async def raises() -> None:
    raise ZeroDivisionError("asked to")


def test_asyncio_s_own_parts_work_on_a_process_s_loop() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", everything_of_asyncio)
        await asyncio.sleep(60)
        took, end = await bench.log("n1")
        assert end == "exited"
        # A second for ten items, two timeouts of 5 s, 2 s of gathering, 2 s of waiting; turns take some microseconds.
        assert float(took) == pytest.approx(1 + 5 + 5 + 2 + 2, abs=0.01)

    on_machines(scenario)


acts: list[str] = []


async def cleans_up(number: int) -> None:
    async def generate() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(1000)
        finally:
            acts.append("generator")
            print("generator")

    async def worker() -> None:
        _, writer = await asyncio.open_connection("n2", PORT)
        try:
            writer.write(b"working\n")
            async for _ in generate():
                await asyncio.sleep(1000)
        finally:
            acts.append("task")
            print("task")
            writer.write(b"cleaned up\n")

    tasks = [asyncio.create_task(worker()) for _ in range(number)]
    await asyncio.gather(*tasks)


async def listens() -> None:
    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                print(line.decode().strip())
        except OSError as problem:
            print(type(problem).__name__)

    await (await asyncio.start_server(hear, None, PORT)).serve_forever()


def test_no_finally_block_of_a_killed_process_runs_while_the_run_goes_on() -> None:
    acts.clear()

    async def scenario(bench: Bench) -> None:
        await bench.start("n2", listens)
        await asyncio.sleep(0.1)
        await bench.start("n1", cleans_up, 3)
        await asyncio.sleep(1)
        await bench.machine("n1").kill()
        gc.collect()
        await asyncio.sleep(100)
        gc.collect()
        assert acts == []
        assert await bench.log("n1") == ["killed"]
        assert await bench.log("n2") == ["working"] * 3

    on_machines(scenario)
    # Memory is freed in the end, and that runs them, in a world in which nothing answers.
    assert acts.count("task") == 3


def test_a_process_that_ends_runs_its_finally_blocks_and_cancels_its_tasks() -> None:
    acts.clear()

    async def short() -> None:
        task = asyncio.create_task(cleans_up(2))
        await asyncio.sleep(1)
        assert not task.done()

    async def scenario(bench: Bench) -> None:
        await bench.start("n2", listens)
        await asyncio.sleep(0.1)
        await bench.start("n1", short)
        await asyncio.sleep(10)
        assert not await bench.machine("n1").running()
        assert sorted(await bench.log("n1")) == ["exited", "generator", "generator", "task", "task"]
        assert (await bench.log("n2")).count("cleaned up") == 2

    on_machines(scenario)


def test_a_paused_process_stands_still_and_its_timers_fire_when_it_is_resumed() -> None:
    async def ticks() -> None:
        loop = asyncio.get_running_loop()
        while True:
            print(f"{loop.time():.1f}")
            await asyncio.sleep(1)

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", ticks)
        await asyncio.sleep(1.5)
        await bench.machine("n1").pause()
        await asyncio.sleep(10)
        assert await bench.log("n1") == ["0.0", "1.0"]
        await bench.machine("n1").resume()
        await asyncio.sleep(2)
        assert await bench.log("n1") == ["0.0", "1.0", "11.5", "12.5"]

    on_machines(scenario)


def test_a_process_killed_while_it_is_paused_never_goes_on() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", listens)
        await asyncio.sleep(1)
        await bench.machine("n1").pause()
        _, writer = await asyncio.open_connection("n1", PORT)
        writer.write(b"hello\n")
        await asyncio.sleep(1)
        await bench.machine("n1").kill()
        await bench.machine("n1").resume()
        await asyncio.sleep(10)
        assert await bench.log("n1") == ["killed"]

    on_machines(scenario)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda: sys.exit(3), "exited: 3"),
        (lambda: os._exit(4), "exited: 4"),
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_how_a_program_ended_is_the_end_of_its_log(end: Any, said: str) -> None:
    async def ends() -> None:
        await asyncio.sleep(1)
        end()

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", ends)
        await asyncio.sleep(0.5)
        assert await bench.machine("n1").running()
        await asyncio.sleep(1)
        assert not await bench.machine("n1").running()
        assert (await bench.log("n1"))[-1] == said

    on_machines(scenario)


def test_an_exit_out_of_a_callback_ends_the_process_and_nothing_else() -> None:
    async def exits() -> None:
        asyncio.get_running_loop().call_later(1, sys.exit, "enough")
        await asyncio.sleep(1000)

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", exits)
        await bench.start("n2", listens)
        await asyncio.sleep(2)
        assert await bench.log("n1") == ["exited: enough"]
        assert await bench.machine("n2").running()

    on_machines(scenario)


def test_a_main_that_is_not_async_is_refused_with_the_remedy() -> None:
    def main() -> None:
        pass

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", main)  # type: ignore[arg-type]
        await asyncio.sleep(1)
        assert "is not async: give what asyncio.run would be given" in (await bench.log("n1"))[-1]

    on_machines(scenario)


def test_an_exception_in_a_task_is_logged_and_the_process_goes_on() -> None:
    async def careless() -> None:
        asyncio.create_task(raises())  # noqa: RUF006 - careless
        await asyncio.sleep(1)
        gc.collect()
        print("goes on")
        await asyncio.sleep(100)

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", careless)
        await asyncio.sleep(2)
        log = await bench.log("n1")
        assert log[0] == "Task exception was never retrieved"
        assert log[-2:] == ["ZeroDivisionError: asked to", "goes on"]

    on_machines(scenario)


def test_a_process_that_never_sleeps_does_not_stop_time_for_the_others() -> None:
    async def spins() -> None:
        while True:
            await asyncio.sleep(0)

    async def scenario(bench: Bench) -> float:
        await bench.start("n1", spins)
        await asyncio.sleep(0.1)
        return asyncio.get_running_loop().time()

    assert on_machines(scenario) == 0.1


def test_sets_of_tasks_and_of_protocols_have_the_same_order_in_every_run() -> None:
    async def collects() -> None:
        tasks = {asyncio.create_task(asyncio.sleep(1, number), name=f"t{number}") for number in range(50)}
        done, _ = await asyncio.wait(tasks)
        protocols = {asyncio.StreamReaderProtocol(asyncio.StreamReader()) for _ in range(50)}
        first = {id(each): number for number, each in enumerate(sorted(protocols, key=hash))}
        print([task.get_name() for task in tasks], [task.result() for task in done])
        print([first[id(each)] for each in protocols])
        print(await asyncio.gather(*asyncio.as_completed([_one(n) for n in range(20)])))

    async def _one(number: int) -> int:
        return number

    async def scenario(bench: Bench) -> list[str]:
        ballast = [object() for _ in range(ballasts.pop())]
        await bench.start("n1", collects)
        await asyncio.sleep(2)
        assert ballast is not None
        return await bench.log("n1")

    ballasts = [1, 777, 12_345]
    runs = [on_machines(scenario) for _ in range(3)]
    assert runs[0] == runs[1] == runs[2]
    assert len(runs[0]) == 4


def test_context_variables_of_the_harness_are_no_process_s() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def shows() -> None:
        print(variable.get())
        server = await asyncio.start_server(lambda reader, writer: print(variable.get()), None, PORT)
        variable.set("process")
        await server.serve_forever()

    async def scenario(bench: Bench) -> None:
        variable.set("harness")
        await bench.start("n1", shows)
        await asyncio.sleep(1)
        await asyncio.open_connection("n1", PORT)
        await asyncio.sleep(1)
        assert await bench.log("n1") == ["unset", "unset"]
        assert variable.get() == "harness"

    on_machines(scenario)


def test_a_client_without_an_environment_is_told_to_open_one() -> None:
    async def main() -> None:
        await asyncio.open_connection("n1", PORT)

    with pytest.raises(RuntimeError, match="open a SimulatedEnvironment first"):
        run_simulated(main)


def test_a_process_that_nobody_killed_ends_with_the_run() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", cleans_up, 1)
        await bench.start("n2", listens)
        await asyncio.sleep(1)
        bench.environment._machines.clear()  # so that closing the environment kills nothing

    before = sys.modules["time"].time
    on_machines(scenario)
    assert sys.modules["time"].time is before
