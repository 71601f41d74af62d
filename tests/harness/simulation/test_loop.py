from __future__ import annotations

import asyncio

import pytest

from splitbrain.harness.simulation.loop import DeadlockError, VirtualLoop, run_simulated


def test_a_day_takes_no_time_and_ends_at_its_time() -> None:
    async def main() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    assert run_simulated(main) == 86_400


def test_what_is_due_at_one_moment_happens_in_the_order_it_was_scheduled() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        happened: list[int] = []
        for number in range(100):
            if number % 2:
                loop.call_later(1.0, happened.append, number)
            else:
                loop.deliver(1.0, happened.append, number)
        await asyncio.sleep(2)
        return happened

    assert run_simulated(main) == list(range(100))


def test_a_deadlock_is_an_error_that_names_what_waits() -> None:
    async def waits_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        await asyncio.gather(waits_for_ever())

    with pytest.raises(DeadlockError, match="waits_for_ever"):
        run_simulated(main)


def test_timeouts_work_in_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7.5):
                await asyncio.sleep(100)
        return asyncio.get_running_loop().time()

    assert run_simulated(main) == 7.5


def test_a_cancelled_timer_never_runs_nor_moves_the_clock() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        for number in range(5000):
            loop.call_later(1000 + number, pytest.fail, "a cancelled timer ran").cancel()
        await asyncio.sleep(1)
        return loop.time()

    assert run_simulated(main) == 1


def test_leftovers_are_cancelled_oldest_first() -> None:
    ended: list[int] = []

    async def lingers(number: int) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(number)

    async def main() -> list[asyncio.Task[None]]:
        tasks = [asyncio.ensure_future(lingers(number)) for number in range(50)]
        await asyncio.sleep(1)
        return tasks

    assert all(task.cancelled() for task in run_simulated(main))
    assert ended == list(range(50))


def test_threads_are_refused() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, print)

    with pytest.raises(RuntimeError, match="no place in virtual time"):
        run_simulated(main)


def test_what_main_raises_is_raised() -> None:
    async def main() -> None:
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        run_simulated(main)


def test_a_callback_that_fails_does_not_stop_the_others() -> None:
    async def main() -> tuple[list[str], list[str]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        told: list[str] = []
        happened: list[str] = []
        loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))

        def fails() -> None:
            raise RuntimeError("broken")

        loop.deliver(1.0, fails)
        loop.deliver(1.0, happened.append, "went on")
        await asyncio.sleep(2)
        return told, happened

    assert run_simulated(main) == (["broken"], ["went on"])
