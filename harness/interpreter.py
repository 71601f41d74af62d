"""The interpreter: does what a generator says, at the time it says, and records what became of it.

1. Events are recorded in the order in which they happen, each before anything that follows from it.
2. A thread has one operation open at a time, and one process number; `info` retires the process: its connections are
   closed, and the thread goes on as the next number never used. There are `concurrency` threads at first.
3. Open loop: an operation that must start on schedule (`stagger`) while all threads are busy starts on a spare one,
   up to `SPARE_FACTOR` times the concurrency. Beyond that it starts late, and how late is counted.
4. A connection's `OperationFailed` is a `fail` if definite, else an `info`; no answer in time is an `info`. Anything
   else it raises is the harness's own failure: an `info` with code `crash`, and it is remembered.
5. The nemesis does one operation at a time; an action that raises was without effect, and the run goes on.
6. What is cancelled leaves its operations open in the history: nobody knows.
Runs on any asyncio loop; on a VirtualLoop the same generator and seed give the same events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from checkers.history import NEMESIS, Event, EventType
from harness.generators import Context, Generator, Pending, Test, Thread
from harness.operation import Completion, Invocation
from harness.system import OperationFailed

SPARE_FACTOR = 10
"""Outstanding operations at 10 times the concurrency: the system has stalled, and more would only measure us."""
NEMESIS_TIMEOUT_S = 60.0
"""For restarting a node and waiting for its answer; a nemesis that hangs must not hang the run."""
CLOSE_TIMEOUT_S = 5.0
NOTES = frozenset({"stage", "log"})
"""What the nemesis is only asked to write down."""


class OperationClient(Protocol):
    """What the interpreter needs of `harness.workload.Client`."""

    async def invoke(self, invocation: Invocation) -> Completion: ...

    async def close(self) -> None: ...


class Nemesis(Protocol):
    """Does the harm."""

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        """Do it, look whether it took effect, and return the completion's value, with `evidence`."""


OpenClient = Callable[[int, str], Awaitable[OperationClient]]
"""(process, node) -> a client connected through that node."""


@dataclass
class Tally:
    """What the interpreter noticed of itself.

    operations: client operations started. late: those that started after their time for want of a free thread;
    latest_ns: the worst of them. threads: client threads there were in the end. crashes: texts of rule 4's failures.
    """

    operations: int = 0
    late: int = 0
    latest_ns: int = 0
    threads: int = 0
    crashes: list[str] = field(default_factory=list)


class Interpreter:
    """Interprets one generator after another in one history.

    test: names the nodes and the concurrency. open_client: see `OpenClient`. nemesis: None if the generators have
    nothing for it. record: takes each event, in order. operation_timeout_s: until an operation is given up.
    Threads are spread over the nodes in turn; an invocation that names a node goes through that one instead.
    """

    def __init__(
        self,
        test: Test,
        *,
        open_client: OpenClient,
        record: Callable[[Event], None],
        nemesis: Nemesis | None = None,
        operation_timeout_s: float = 5.0,
    ) -> None:
        if not test.nodes or test.concurrency < 1:
            raise ValueError("a test needs at least one node and a concurrency of at least 1")
        self.tally = Tally(threads=test.concurrency)
        self._test = test
        self._open_client = open_client
        self._record = record
        self._nemesis = nemesis
        self._operation_timeout_s = operation_timeout_s
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._passed_ns = 0
        self._index = 0
        self._most_threads = test.concurrency * (1 + SPARE_FACTOR)
        self._next_process = test.concurrency
        self._processes: dict[Thread, Thread] = {thread: thread for thread in range(test.concurrency)}
        self._processes[NEMESIS] = NEMESIS
        self._free: list[Thread] = list(self._processes)
        self._spare: list[int] = []
        self._busy: dict[Thread, asyncio.Task[None]] = {}
        self._clients: dict[Thread, dict[str, OperationClient]] = {}
        self._completed: list[tuple[Thread, Event]] = []
        self._closing: dict[asyncio.Task[None], None] = {}
        self._failure: BaseException | None = None
        self._waker: asyncio.Future[None] | None = None

    @property
    def now_ns(self) -> int:
        """Nanoseconds since the interpreter was made; never backwards."""
        self._passed_ns = max(self._passed_ns, round((self._loop.time() - self._start) * 1e9))
        return self._passed_ns

    async def run(self, generator: Generator) -> None:
        """Do all the generator says, until it is exhausted and every operation has completed.

        Raises what a generator or `record` raised; the operations under way are cancelled first, also when this
        is cancelled itself.
        """
        try:
            await self._drive(generator)
        finally:
            for task in [*self._busy.values()]:
                task.cancel()
            for thread, task in [*self._busy.items()]:
                await asyncio.gather(task, return_exceptions=True)
                self._release(thread)

    async def close(self) -> None:
        """Close every client. Idempotent."""
        for thread in list(self._clients):
            self._abandon(thread)
        for task in list(self._closing):
            await asyncio.gather(task, return_exceptions=True)

    def stage(self, name: str) -> None:
        """Note in the history where in the run we are."""
        self._event(NEMESIS, "info", Invocation("stage", name), None)

    async def _drive(self, generator: Generator) -> None:
        test = self._test
        while True:
            if self._failure is not None:
                raise self._failure
            while self._completed:
                thread, event = self._completed.pop(0)
                self._release(thread)
                generator = generator.update(test, self._context(), event)
                if event.type == "info" and thread != NEMESIS:
                    self._retire(thread)
            match generator.op(test, self._context()):
                case None:
                    if not self._busy:
                        return
                    await self._wait(None)
                case (Pending(until_ns), waiting):
                    generator = waiting
                    if until_ns is None and not self._busy:
                        raise RuntimeError("the generator waits for a completion, but no operation is under way")
                    await self._wait(until_ns)
                case (Invocation() as invocation, following):
                    now_ns = self.now_ns
                    due_ns = now_ns if invocation.time_ns is None else invocation.time_ns
                    if due_ns > now_ns:
                        await self._wait(due_ns)
                        continue
                    generator = following.update(test, self._context(), self._begin(invocation, now_ns - due_ns))

    def _context(self) -> Context:
        spare: Thread | None = None
        if self._spare:
            spare = self._spare[0]
        elif self.tally.threads < self._most_threads:
            spare = self.tally.threads
        return Context(
            self.now_ns, tuple(self._free), tuple(self._busy), self._processes, self._test.concurrency, spare
        )

    async def _wait(self, until_ns: int | None) -> None:
        """Until an operation completes, or until then."""
        if self._completed or self._failure is not None:
            return
        waker = self._waker = self._loop.create_future()
        timer = None
        if until_ns is not None:
            timer = self._loop.call_at(self._start + until_ns / 1e9, self._wake, until_ns)
        try:
            await waker
        finally:
            self._waker = None
            if timer is not None:
                timer.cancel()

    def _wake(self, reached_ns: int = 0) -> None:
        # A timer can fire a rounding error early, and what is due must then be due.
        self._passed_ns = max(self._passed_ns, reached_ns)
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def _begin(self, invocation: Invocation, late_ns: int) -> Event:
        """Start an operation. Returns its invocation as recorded."""
        thread = self._thread(invocation)
        process = self._processes[thread]
        if isinstance(thread, str) or isinstance(process, str):
            event = self._event(NEMESIS, "info", invocation, None)
            if invocation.f not in NOTES:
                self._free.remove(thread)
                self._busy[thread] = self._loop.create_task(self._torment(invocation))
            return event
        node = invocation.node or self._test.nodes[thread % len(self._test.nodes)]
        if node not in self._test.nodes:
            raise ValueError(f"{invocation.f} names node {node!r}; there are {', '.join(self._test.nodes)}")
        self.tally.operations += 1
        if late_ns > 0:
            self._note_lateness(late_ns)
        event = self._event(process, "invoke", invocation, node)
        self._busy[thread] = self._loop.create_task(self._perform(thread, process, node, invocation))
        return event

    def _thread(self, invocation: Invocation) -> Thread:
        """The thread of the process that the invocation names; it leaves the free or spare ones if a client's."""
        for thread in self._free:
            if self._processes[thread] == invocation.process:
                if thread != NEMESIS:
                    self._free.remove(thread)
                return thread
        for spare in self._spare:
            if self._processes[spare] == invocation.process:
                self._spare.remove(spare)
                return spare
        if invocation.process == self.tally.threads < self._most_threads and not self._spare:
            # A thread's name until it has its first process: the generator was offered it as spare.
            thread = self.tally.threads
            self.tally.threads += 1
            self._processes[thread] = self._fresh_process()
            return thread
        raise ValueError(f"{invocation.f} is to be done by process {invocation.process}, which is not free")
