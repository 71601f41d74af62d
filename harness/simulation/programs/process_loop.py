"""A process's event loop: asyncio's own, turned by its simulated machine.

1. It is what `asyncio.get_running_loop()` gives inside the process. Tasks, futures, timers, queues, locks, timeouts and
   task groups are asyncio's own code on it.
2. It turns only while its machine lets it: not while paused, and never again once the process is dead. Its clock is the
   machine's.
3. A turn takes `TURN_S`, so that a process which never sleeps does not stop time for all others.
4. Sets of tasks, futures, transports and writers are ordered by numbers given in turn, never by addresses: asyncio
   keeps such sets, and programs do.
5. What it can't do is refused by name, in an error and in the process's log.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import sys
import warnings
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Awaitable, Callable
from contextvars import Context
from itertools import count
from typing import Any, NoReturn, TypeVarTuple, Unpack

from splitbrain.harness.simulation.programs.addresses import Addresses
from splitbrain.harness.simulation.programs.refusals import NotSimulatedError
from splitbrain.harness.simulation.programs.sockets import HostSockets
from splitbrain.harness.simulation.programs.tcp import SimulatedTcp
from splitbrain.harness.simulation.simulated_machine import SimulatedMachine, Timer
from splitbrain.harness.simulation.socket_methods import SocketMethods

Ts = TypeVarTuple("Ts")

_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+")
TURN_S = 0.000_01
REFUSED = {
    "threads": ["run_in_executor", "set_default_executor"],
    "subprocesses": ["subprocess_exec", "subprocess_shell"],
    "real sockets": [
        "add_reader",
        "remove_reader",
        "add_writer",
        "remove_writer",
        "sock_accept",
        "sock_connect",
        "sock_recv",
        "sock_recv_into",
        "sock_recvfrom",
        "sock_recvfrom_into",
        "sock_sendall",
        "sock_sendto",
        "sock_sendfile",
        "sendfile",
        "connect_accepted_socket",
    ],
    "Unix sockets": ["create_unix_connection", "create_unix_server"],
    "pipes": ["connect_read_pipe", "connect_write_pipe"],
    "TLS": ["start_tls"],
    "a loop inside the loop": ["run_forever", "run_until_complete"],
}
"""By what is missing: the loop's methods that need it."""


def without_addresses(text: str) -> str:
    """The text without the addresses of objects, which differ from run to run."""
    return _ADDRESS.sub("at 0x...", text)


class ProcessTask(asyncio.Task[Any]):
    """A task whose place in a set is that of its making."""

    def __init__(self, coroutine: Any, number: int, **options: Any) -> None:
        self._number = number
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number


class ProcessFuture(asyncio.Future[Any]):
    """A future whose place in a set is that of its making."""

    def __init__(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


# What asyncio says of them is what it says of its own.
ProcessTask.__name__, ProcessFuture.__name__ = "Task", "Future"


class _NothingToSelect:
    """There is nothing outside to wait for: the machine turns the loop when something is due."""

    def select(self, timeout: float | None) -> list[Any]:
        return []


class ProcessLoop(SocketMethods, asyncio.BaseEventLoop):
    """One process's loop.

    machine: that it runs on. ended: called once the process has ended by itself, with how. rng, ip, pid: its
    randomness, address and process number. uuids, hashes: count the UUIDs made from its clock, and its objects without
    a hash of their own.
    """

    # What BaseEventLoop's `_run_once` works on.
    _ready: Any
    _scheduled: list[Any]
    _selector: _NothingToSelect
    _clock_resolution: float
    _asyncgen_firstiter_hook: Any
    _asyncgen_finalizer_hook: Any

    def __init__(self, machine: SimulatedMachine, ended: Callable[[BaseException | None], None]) -> None:
        super().__init__()
        self._selector = _NothingToSelect()
        self._clock_resolution = 1e-9
        # What the network and the machine call back begins with no context variables of the harness's.
        self._context = Context()
        self.machine = machine
        self.rng = machine.rng
        self._ended = ended
        self._numbers = count(1)
        self.uuids = count()
        self.hashes = count(1)
        self._turn: Timer | None = None
        self._turn_at = float("inf")
        self._over: list[BaseException | None] = []
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self.set_task_factory(self._make_task)
        self.tcp = SimulatedTcp(machine.host, machine.loop, machine.network, seed=self.rng.getrandbits(64))
        addresses = Addresses(machine.network.nodes)
        self.sockets = HostSockets(self, self.tcp, addresses, machine.endpoint)
        self.ip = addresses.seen((machine.host, 0))[0]
        self.pid = 2 + int(self.rng.random() * 32_766)

    # The life of the process.

    def begin(self, main: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        """Let `main(*args)` run, from the loop's first turn on."""
        self.call_soon(self._begin, main, args)

    def _begin(self, main: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        self.create_task(self._run(main, args)).add_done_callback(self._main_done)

    async def _run(self, main: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        """As `asyncio.run` does it."""
        try:
            running = main(*args)
            if not inspect.isawaitable(running):
                raise TypeError(f"{main!r} is not async: give what asyncio.run would be given, without its call")
            await running
        finally:
            if not self._closed:
                await self._end_others()

    async def _end_others(self) -> None:
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.shutdown_asyncgens()

    def _main_done(self, task: asyncio.Task[None]) -> None:
        self._over.append(asyncio.CancelledError() if task.cancelled() else task.exception())

    def die(self) -> Callable[[], None]:
        """The process is dead: nothing of it runs again. Returns what frees its memory, once the run is over.

        Its coroutines are kept till then, for freeing one runs its finally blocks.
        """
        self._closed = True
        self._ready.clear()
        self._scheduled.clear()
        self.tcp.power_off()
        tasks, self._tasks = self._tasks, {}

        def bury() -> None:
            with warnings.catch_warnings():
                # Of what a finally block begins here, nothing is awaited any more.
                warnings.simplefilter("ignore")
                for task in tasks:
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    coroutine: Any = task.get_coro()
                    with contextlib.suppress(BaseException):
                        coroutine.close()

        return lambda: self._inside(bury)

    def exit(self) -> None:
        """The process ends by itself: its kernel closes its connections."""
        self.tcp.exit()

    # Turns.

    def _turn_soon(self, delay_s: float = 0.0) -> None:
        self._turn_by(self.machine.now() + delay_s)

    def _turn_by(self, when: float) -> None:
        if when < self._turn_at and not self._closed:
            if self._turn is not None:
                self._turn.cancel()
            self._turn_at = when
            self._turn = self.machine.call_at(when, self._take_turn)

    def _take_turn(self) -> None:
        self._turn, self._turn_at = None, float("inf")
        outer = _get_running_loop()
        if outer is not None and asyncio.current_task(outer) is not None:
            # A resume, in a task of the harness's: no task runs inside another.
            self._turn_soon()
            return
        try:
            self._inside(self._run_once)
        except SystemExit as problem:
            self._over.append(problem)
        if self._over:
            self._ended(self._over[0])
        elif self._ready:
            self._turn_soon(TURN_S)
        elif self._scheduled:
            self._turn_by(self._scheduled[0].when())

    def _inside(self, what: Callable[[], None]) -> None:
        """Do it with this loop as the running one."""
        outer, hooks = _get_running_loop(), sys.get_asyncgen_hooks()
        _set_running_loop(self)
        sys.set_asyncgen_hooks(firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook)
        try:
            what()
        finally:
            sys.set_asyncgen_hooks(*hooks)
            _set_running_loop(outer)

    _run_once: Callable[[], None]

    def _process_events(self, events: list[Any]) -> None:
        """There are none: see `_NothingToSelect`."""

    def _write_to_self(self) -> None:
        self._turn_soon()

    def is_running(self) -> bool:
        return _get_running_loop() is self

    # What asyncio's code asks of a loop.

    def time(self) -> float:
        return self.machine.now()

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        if _get_running_loop() is self:
            return super().call_soon(callback, *args, context=context)
        handle = super().call_soon(callback, *args, context=context or self._context.copy())
        self._turn_soon()
        return handle

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if _get_running_loop() is self:
            return super().call_at(when, callback, *args, context=context)
        handle = super().call_at(when, callback, *args, context=context or self._context.copy())
        self._turn_by(when)
        return handle

    def call_exception_handler(self, context: Any) -> None:
        # It may be called while another process runs, whose memory is freed then. The dead say nothing.
        if _get_running_loop() is self:
            super().call_exception_handler(context)
        elif not self._closed:
            self._inside(lambda: asyncio.BaseEventLoop.call_exception_handler(self, context))

    def create_future(self) -> asyncio.Future[Any]:
        return ProcessFuture(next(self._numbers), self)

    def _make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        number = next(self._numbers)
        # asyncio's own names count the tasks of all loops, so they would differ from run to run.
        options["name"] = options.get("name") or f"Task-{number}"
        task = ProcessTask(coroutine, number, loop=loop, **options)
        if not task.done():
            self._tasks[task] = None
            task.add_done_callback(self._forget_task)
        return task

    def _forget_task(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    def add_signal_handler(self, sig: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        """No signal comes: a run's faults kill, and pause."""

    def remove_signal_handler(self, sig: int) -> bool:
        return False

    def log(self, text: str) -> None:
        """What the process prints."""
        self.machine.log(without_addresses(text))

    def refuse(self, what: str, asked: str) -> NoReturn:
        """Raises NotSimulatedError, and says so in the process's log."""
        problem = NotSimulatedError(what, asked)
        self.log(str(problem))
        raise problem


def _refusal(what: str, method: str) -> Any:
    def refuse(self: ProcessLoop, *args: Any, **options: Any) -> NoReturn:
        self.refuse(what, f"loop.{method}()")

    return refuse


for _what, _methods in REFUSED.items():
    for _method in _methods:
        setattr(ProcessLoop, _method, _refusal(_what, _method))
