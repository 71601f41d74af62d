"""Drivers that block: on threads, side by side, with what they raise."""

from __future__ import annotations

import asyncio
import threading

import pytest

from splitbrain.harness.systems.kit import on_thread
from splitbrain.harness.systems.kit.blocking import THREADS


def test_blocking_work_runs_beside_the_loop_and_returns_what_it_returns() -> None:
    async def two() -> list[str]:
        met = threading.Barrier(2, timeout=60)

        def work(name: str) -> str:
            met.wait()  # Neither returns before the other has begun.
            return name

        return list(await asyncio.gather(on_thread(lambda: work("a")), on_thread(lambda: work("b"))))

    assert asyncio.run(two()) == ["a", "b"]


def test_what_it_raises_is_raised() -> None:
    def fail() -> None:
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        asyncio.run(on_thread(fail))


def test_work_that_is_given_up_before_a_thread_is_free_never_begins() -> None:
    async def full() -> list[str]:
        release, done = threading.Event(), list[str]()
        busy = [asyncio.create_task(on_thread(lambda: release.wait(60))) for _ in range(THREADS)]
        await asyncio.sleep(0)
        late = asyncio.create_task(on_thread(lambda: done.append("late")))
        await asyncio.sleep(0)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        await asyncio.sleep(0)  # What was given up is taken from the queue in the loop's next turn.
        release.set()
        await asyncio.gather(*busy)
        await on_thread(lambda: done.append("after"))
        return done

    assert asyncio.run(full()) == ["after"]
