"""An asyncio event loop with virtual time: nothing waits, and every run is the same.

1. Time stands still while callbacks run, and jumps to the next timer when none is ready.
2. Callbacks due at one moment run in the order in which they were scheduled.
3. Nothing ready and nothing scheduled is a deadlock, and an error: no event can come from outside.
4. There is no outside: no signals, subprocesses or threads. Sockets are those of a simulated network.

Any coroutine runs on it unchanged, unless it depends on the order of a set (`asyncio.wait`, the cancellations of a
TaskGroup).
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Awaitable, Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, NoReturn, Protocol, TypeVar

from splitbrain.harness.running.interrupts import until_done
from splitbrain.harness.simulation.socket_methods import SocketMethods

T = TypeVar("T")


LEFTOVER_S = 60.0
"""Virtual seconds in which tasks that were left behind must end once they are cancelled."""


class DeadlockError(RuntimeError):
    """Something is awaited that nothing will ever bring about."""


class Deliveries(Protocol):
    """What a network needs of a loop, whose time may be virtual or real."""

    def time(self) -> float: ...

    def deliver(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """Call back after so many seconds. Callbacks that are due at one moment run in the order of these calls."""


class VirtualLoop(SocketMethods, asyncio.BaseEventLoop):
    """The loop. Scheduling is O(log timers), about 1 us; `time()` starts at 0.0 s."""

    # What BaseEventLoop keeps for its own `_run_once`, which we replace: the two move together.
    _ready: Any
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        # Tuples compare in C; the number makes equal times first come, first served.
        self._timers: list[tuple[float, int, asyncio.TimerHandle | None, Callable[..., object], Any]] = []
        self._number = count()
        self._cancelled = 0
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._at_close: list[Callable[[], object]] = []
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        return self._now

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        handle._scheduled = True  # type: ignore[attr-defined]
        heappush(self._timers, (when, next(self._number), handle, callback, args))
        return handle

    def deliver(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """`call_later` without a handle, for what is never cancelled and happens a hundred thousand times."""
        heappush(self._timers, (self._now + delay_s, next(self._number), None, callback, args))

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        # A retransmission timer is cancelled by every answer; left in the heap they would outnumber the rest.
        if not handle._scheduled:  # type: ignore[attr-defined]
            return
        self._cancelled += 1
        if self._cancelled > 1000 and 2 * self._cancelled > len(self._timers):
            self._timers = [timer for timer in self._timers if timer[2] is None or not timer[2].cancelled()]
            heapify(self._timers)
            self._cancelled = 0

    def _run_once(self) -> None:
        ready = self._ready
        if not ready and not self._stopping:
            self._advance()
        # Only those ready now: what they schedule comes after what else is due at this moment.
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _advance(self) -> None:
        """Jump to the next timer, and run or ready all that is due then."""
        timers = self._timers
        while timers:
            when, _, handle, callback, args = heappop(timers)
            if handle is not None:
                handle._scheduled = False  # type: ignore[attr-defined]
                if handle.cancelled():
                    self._cancelled -= 1
                    continue
            if when > self._now:
                self._now = when
            if handle is not None:
                handle._run()
                return
            try:
                callback(*args)
            except (SystemExit, KeyboardInterrupt):
                raise  # As asyncio does with a handle's.
            except BaseException as problem:
                self.call_exception_handler({"message": f"{callback!r} failed", "exception": problem})
            return
        waiting = ", ".join(_where(task) for task in self._tasks) or "nothing"
        raise DeadlockError(f"no timer is set and nothing is ready; still awaited: {waiting}")

    def _make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        # asyncio's own registry is a set that is ordered by addresses; ours is ordered by creation.
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
        self._tasks[task] = None
        task.add_done_callback(self._forget_task)
        return task

    def _forget_task(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    def cancel_leftovers(self) -> None:
        """Cancel every task that is not done, oldest first, and run them to their ends."""
        leftovers = list(self._tasks)
        for task in leftovers:
            task.cancel()
        for task in leftovers:
            # One that waits for another thing while it is cancelled, in vain, must not keep the others.
            until_done(self, self.create_task(_ended(task)), lambda problem: None)

    def at_close(self, callback: Callable[[], object]) -> None:
        """Call back once nothing can happen any more; what was asked for last comes first."""
        self._at_close.append(callback)

    def close(self) -> None:
        while self._at_close:
            self._at_close.pop()()
        super().close()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> NoReturn:
        raise RuntimeError(f"threads have no place in virtual time: call {func!r} itself")

    def _write_to_self(self) -> None:
        """Nothing to wake: `call_soon_threadsafe` is called from this very thread."""


def run_simulated(main: Callable[[], Awaitable[T]], escaped: Callable[[BaseException], None] | None = None) -> T:
    """Run `main()` on a new VirtualLoop until it ends, then cancel what it left behind, oldest first.

    escaped: see `until_done`; without one, what comes out of the loop is raised.
    Returns what it returns, raises what it raises, and DeadlockError where it would wait for ever.
    """
    loop = VirtualLoop()
    thresholds = gc.get_threshold()
    # Of what nodes, network and clients make, nearly all is freed without it: collections found little, often.
    gc.set_threshold(10_000, *thresholds[1:])
    try:
        return until_done(loop, loop.create_task(_awaited(main)), escaped)
    finally:
        gc.set_threshold(*thresholds)
        try:
            loop.cancel_leftovers()
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


async def _awaited(main: Callable[[], Awaitable[T]]) -> T:
    return await main()


async def _ended(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task], timeout=LEFTOVER_S)
    if task.done() and not task.cancelled() and (problem := task.exception()) is not None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a task failed while it was cancelled", "exception": problem, "task": task}
        )


def _where(task: asyncio.Task[Any]) -> str:
    name = getattr(task.get_coro(), "__qualname__", "a coroutine")
    frames = task.get_stack(limit=1)
    return f"{name} (line {frames[-1].f_lineno})" if frames else name
