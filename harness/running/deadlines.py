"""Deadlines: every run ends, whatever the code does that runs in it.

1. What takes longer than `PREPARE_S` to be prepared is refused. The nodes are started within `START_S`, and a run ends
   `MARGIN_S` after its time limit. Else it is `broken`.
2. In simulation both count virtual time, of which more is granted: it costs little. Real time counts too, for code that
   holds the loop up stops the virtual clock. While that clock goes on, a simulation may take longer: it is a big one.
3. Code that swallows whatever ends it, or never returns from C, can't be stopped from within. The guard ends its
   process `GUARD_S` later (`splitbrain.harness.doors.guard`). In pytest there is no guard: pytest-timeout is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TypeVar

from splitbrain.harness.doors import guard
from splitbrain.harness.environment import Environment, EnvironmentFailure
from splitbrain.harness.running.interrupts import Interrupts
from splitbrain.harness.system import System

T = TypeVar("T")

START_S = 60.0
"""How long all nodes together may take to start."""
PREPARE_S = 60.0
"""How long workload and system may take to say what they are."""
MARGIN_S = 100.0
"""Besides the load: to start, heal, recover and converge (30 s each at most), and read."""
VIRTUAL_MARGIN_S = 240.0
GUARD_S = 12.0
"""Time to clean up, and to judge what was recorded."""
STANDSTILL_S, LEAST_S = 60.0, 1.0
"""A simulation goes on if its clock has gone on by so much in so much real time."""
CLOSE_S = 5.0
"""How long what was given up may take to close its connections."""


class HarnessError(Exception):
    """The harness itself failed, or a user's code in it."""


class Overdue(HarnessError):
    """The run should have ended long ago. The message says how long, as `130 s`."""


class OutOfTime(TimeoutError):
    """Work was not done in time. The work itself may raise a TimeoutError of its own."""


async def started(system: System, environment: Environment, nodes: Sequence[str]) -> None:
    """Start the nodes, at the same time. Raises the first failure, or EnvironmentFailure (rule 1)."""
    tasks = [asyncio.create_task(system.start(environment, environment.machines[node])) for node in nodes]
    try:
        await asyncio.wait(tasks, timeout=START_S)
    finally:
        # Not awaited without end: it may swallow its cancellation.
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
    if left:
        slow = ", ".join(node for node, task in zip(nodes, tasks, strict=True) if task in left)
        await asyncio.wait(left, timeout=CLOSE_S)
        raise EnvironmentFailure(f"the system's start did not return within {START_S:g} s on {slow}; correct it there")
    for task in tasks:
        task.result()


async def within(limit_s: float, work: Coroutine[None, None, T]) -> T:
    """What the work returns or raises. Raises OutOfTime once its time is up, even if it swallows its cancellation:
    then it is left behind.

    limit_s: in seconds, and `CLOSE_S` more to end once it is cancelled.
    """

    async def kept() -> tuple[T | None, BaseException | None]:
        try:
            return await work, None
        except BaseException as problem:  # Out of a task, SystemExit would end the loop.
            return None, problem

    task = asyncio.create_task(kept())
    try:
        await asyncio.wait([task], timeout=limit_s)
    finally:
        in_time = task.done()
        if not in_time:
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_S)
    if not in_time:
        raise OutOfTime(f"not done within {limit_s:g} s")
    returned, problem = task.result()
    if problem is not None:
        raise problem
    return returned  # type: ignore[return-value]


def prepare(interrupts: Interrupts) -> None:
    """Bound what is asked of the workload and the system before the run; `ended` lifts it."""
    interrupts.limit(PREPARE_S, Overdue(f"{PREPARE_S:g} s"))
    guard.must_end(PREPARE_S + GUARD_S)


def ended(interrupts: Interrupts) -> None:
    """What was bounded is over."""
    interrupts.no_limit()
    guard.must_end(None)


def limit(interrupts: Interrupts, time_limit_s: float, *, simulated: bool) -> None:
    """End the run when its time is up. To be called on its loop, when its environment is open."""
    real_s = time_limit_s + MARGIN_S
    if not simulated:
        interrupts.limit(real_s, Overdue(f"{real_s:g} s"))
        guard.must_end(real_s + GUARD_S)
        return
    loop, virtual_s = asyncio.get_running_loop(), time_limit_s + VIRTUAL_MARGIN_S
    loop.call_later(virtual_s, interrupts.end, Overdue(f"{virtual_s:g} s"))
    shown_s = -LEAST_S

    def more() -> float:
        nonlocal shown_s
        before_s, shown_s = shown_s, loop.time()
        if shown_s - before_s < LEAST_S:
            return 0.0
        guard.must_end(STANDSTILL_S + GUARD_S)
        return STANDSTILL_S

    # First looked at before the time is up, so that there is something to compare with by then.
    first_s = max(0.0, real_s - STANDSTILL_S)
    guard.must_end(first_s + GUARD_S)  # Before `more` may say otherwise.
    interrupts.limit(first_s, Overdue(f"{real_s:g} s of real time"), more)
