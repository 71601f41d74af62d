"""Interrupts: what ends a run from outside, delivered where the run can handle it.

1. What a signal's handler raises in a run is kept, and the run's task is cancelled at the next turn of its loop. Raised
   between any two lines it could lose a wake-up, and the run would wait for ever, or a client could swallow it.
2. Code that blocks the loop for longer than `PATIENCE_S` gets the exception raised in place, then again every
   `NEXT_PATIENCE_S`.
3. SIGINT and SIGTERM become a KeyboardInterrupt; only the first of them counts. Handlers of other signals, such as a
   test's time limit, are called unchanged.
4. A deadline ends a run in the same way.
5. Signals belong to the main thread. A run in another thread has only the deadline and `end_all`, and nothing is raised
   in place.
6. A run that starts while `end_all` is called either is ended by it or never starts (`unless_ended`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

from splitbrain.checkers.error_origin import at_origin
from splitbrain.harness.running.results import Result

T = TypeVar("T")

PATIENCE_S, NEXT_PATIENCE_S = 2.0, 1.0
"""A turn of the loop takes milliseconds. The next client may block it as the one before did."""
ESCAPES_LIMIT = 1000
"""Most exceptions out of one loop: a cancelled task needs a few turns to end."""
_OURS = (signal.SIGINT, signal.SIGTERM)
_current: Interrupts | None = None
_entered: list[Interrupts] = []
"""Those of all threads."""
_before = threading.local()
"""Its `ended`: what `unless_ended` was given on this thread."""


class RunInterrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM ended a run. result: what was recorded until then, judged; None if nothing was."""

    result: Result | None = None


def interrupting(problem: BaseException) -> bool:
    """Whether this exception is the one that ends the run under way.

    Where no `Interrupts` is entered, a KeyboardInterrupt is.
    """
    return isinstance(problem, KeyboardInterrupt) if _current is None else problem is _current.problem


def named(problem: BaseException) -> str:
    """An exception's name, and its text if it has one.

    >>> named(SystemExit(0)), named(asyncio.CancelledError())
    ('SystemExit: 0', 'CancelledError')
    """
    return ": ".join(part for part in (type(problem).__name__, said(problem)) if part)


def located(problem: BaseException) -> str:
    """An exception's name and text on one line, and the line of a user's code that it came from."""
    return at_origin(" ".join(named(problem).split()), problem)


def said(problem: BaseException) -> str:
    """An exception's text; its class may be a user's, and raise anything rather than give one."""
    try:
        return str(problem)
    except BaseException as failure:
        if interrupting(failure):
            raise
        return "(its text can't be had)"


def end_all(problem: BaseException) -> None:
    """End every run under way in this process; each raises `problem` at its end. Signal handlers may call it.

    A run on another thread than the main one hears of no signal by itself.
    """
    for interrupts in list(_entered):
        interrupts.end(problem)


@contextlib.contextmanager
def unless_ended(ended: Callable[[], BaseException | None]) -> Iterator[None]:
    """Within it, a run on this thread that enters its `Interrupts` when `ended` gives an exception is ended by that.

    Whoever calls `end_all` has to see to it first that `ended` gives the exception: then no run slips through between.
    """
    _before.ended = ended
    try:
        yield
    finally:
        del _before.ended


def of_a_run(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Whether a run under way drives this loop."""
    return loop is not None and any(interrupts._loop is loop for interrupts in list(_entered))


class Interrupts:
    """While it is entered, whatever ends the run is delivered here. At its exit it raises what a signal's handler
    raised.

    problem: what ends the run, or None.
    """

    def __init__(self) -> None:
        self.problem: BaseException | None = None
        self._signalled: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._held = False
        self._turned = False
        self._in_place = self._raised = False
        self._deadline: tuple[float, BaseException] | None = None
        self._more: Callable[[], float] = lambda: 0.0
        self._before: dict[int, Any] = {}
        self._main = threading.current_thread() is threading.main_thread()
        self._thread = threading.Thread(target=self._watch, name="interrupts", daemon=True)
        self._read_end, self._write_end = -1, -1

    def __enter__(self) -> Interrupts:
        global _current
        with _signals_blocked():
            # A pipe, as a handler may not touch a lock: the very thread that it stopped may hold it.
            self._read_end, self._write_end = os.pipe()
            self._thread.start()
            _entered.append(self)
            if self._main:
                _current = self
                for number in signal.valid_signals():
                    handler = signal.getsignal(number)
                    if number in _OURS:
                        self._before[number] = signal.signal(number, self._interrupt)
                    elif callable(handler):
                        self._before[number] = signal.signal(number, self._keeping(handler))
        # Once it is among those that `end_all` ends, and not before.
        ended = getattr(_before, "ended", None)
        if ended is not None and (problem := ended()) is not None:
            self._kept(problem)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _current
        self._held = True
        _entered.remove(self)
        os.close(self._write_end)
        self._thread.join()
        os.close(self._read_end)
        with _signals_blocked():
            for number, handler in self._before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            if self._main:
                _current = None
        # It may have come after the run looked whether there was one.
        if self._signalled is not None and problem is not self._signalled:
            raise self._signalled

    def attach(self, task: asyncio.Task[Any]) -> None:
        """From now on cancel this task, as often as it takes. Call it on the task's loop."""
        self._loop, self._task = task.get_loop(), task
        if self.problem is not None:
            self._call_loop()

    def check(self) -> None:
        """Raise what a signal's handler raised by now; for work that has no loop yet."""
        if self._signalled is not None:
            raise self._signalled

    def hold(self) -> None:
        """From now on cancel and raise nothing: what the run has left to do is short, or has to be done."""
        self._held = True

    def limit(self, seconds: float, overdue: BaseException, more: Callable[[], float] = lambda: 0.0) -> None:
        """End the run with `overdue` after so many seconds of real time.

        more: asked by then, on another thread, how many seconds more are granted.
        """
        self._deadline, self._more = (time.monotonic() + seconds, overdue), more
        self._wake_watcher()

    def no_limit(self) -> None:
        """Forget the limit that was set."""
        self._deadline = None
        self._wake_watcher()

    def end(self, problem: BaseException) -> None:
        """End the run, if nothing does yet."""
        if self.problem is None:
            self.problem = problem
        if not self._held:
            self._call_loop()
            self._wake_watcher()

    def judged(self, result: Result | None) -> None:
        """Give a `RunInterrupted` the result of what was recorded until it came."""
        if isinstance(self.problem, RunInterrupted):
            self.problem.result = result

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._in_place:  # Our own: a run that its deadline ends was not interrupted.
            self._in_place = False
            if self.problem is not None and not self._held and not self._turned:
                raise self.problem
        elif self._signalled is None:
            self._kept(RunInterrupted())

    def _keeping(self, handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            try:
                handler(number, frame)
            except BaseException as problem:
                if self._signalled is None:
                    self._kept(problem)

        return handle

    def _kept(self, problem: BaseException) -> None:
        self._signalled = problem
        self.end(problem)

    def _wake_watcher(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._write_end, b"!")

    def _call_loop(self) -> None:
        self._turned = False
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # It may just have been closed.
                self._loop.call_soon_threadsafe(self._turn)

    def _turn(self) -> None:
        self._turned = True
        if self._task is not None and not self._held:
            self._task.cancel()

    def _watch(self) -> None:
        """On a thread of its own, until the pipe is closed."""
        while True:
            ready, _, _ = select.select([self._read_end], [], [], self._patience_s())
            if ready:
                if not os.read(self._read_end, 64):
                    return
            elif self._held:
                continue
            elif self.problem is None:
                self._grant(self._deadline)
            elif self._turned:
                self._call_loop()  # It was cancelled and goes on: some code swallowed the cancellation.
            elif self._main:
                self._in_place = self._raised = True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def _grant(self, due: tuple[float, BaseException] | None) -> None:
        """The time is up: grant more, or end the run."""
        if due is None:  # It was lifted meanwhile.
            return
        if (more_s := self._more()) > 0:
            self._deadline = (time.monotonic() + more_s, due[1])
        else:
            self.end(due[1])

    def _patience_s(self) -> float | None:
        if self._held:
            return None
        if self.problem is not None:
            return NEXT_PATIENCE_S if self._raised else PATIENCE_S
        due = self._deadline
        return None if due is None else max(0.0, due[0] - time.monotonic())


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Within it no signal comes: half of the handlers would be the run's, and half whose they were before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_really(main: Callable[[], Awaitable[T]], escaped: Callable[[BaseException], None]) -> T:
    """Run `main()` on a new event loop until it ends, then cancel what it left behind. escaped: see `until_done`.

    `asyncio.run` would wait without end for a task that swallows its cancellation.
    """
    loop = asyncio.new_event_loop()
    try:
        return until_done(loop, loop.create_task(_awaited(main)), escaped)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            until_done(loop, loop.create_task(asyncio.wait(left, timeout=PATIENCE_S)), lambda problem: None)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _awaited(main: Callable[[], Awaitable[T]]) -> T:
    return await main()


def until_done(
    loop: asyncio.AbstractEventLoop, task: asyncio.Task[T], escaped: Callable[[BaseException], None] | None
) -> T:
    """Run the loop until the task is done; returns or raises what the task does.

    escaped: called with exceptions out of the loop itself (a callback's SystemExit), after which the loop goes on.
    None: they are raised.
    """
    escapes = 0
    while not task.done():
        try:
            loop.run_until_complete(task)
        except BaseException as problem:
            if task.done():
                break
            escapes += 1
            if escaped is None or escapes > ESCAPES_LIMIT:
                raise
            escaped(problem)
    return task.result()
