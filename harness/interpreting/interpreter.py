"""The interpreter: performs what a generator says, at the time it says, and records the outcomes.

1. Events are recorded in the order in which they happen, each before anything that follows from it.
2. A thread has one operation open at a time, and one process number. `info` retires the process: its connections are
   closed, and the thread continues under a number that was never used. There are `concurrency` threads at first.
3. Open loop: an operation that must start on schedule (`stagger`) while all threads are busy starts on a spare one, up
   to `spare_clients` of them. Beyond that it waits for a free client, and its invocation says when it was `due`.
   Latency counts from then, or a stall would hide itself (coordinated omission).
4. A connection's `OperationFailed` is a `fail` if definite, else an `info`. No answer in time is an `info`. Anything
   else it raises, CancelledError and SystemExit too, is the harness's own failure: an `info` with code `crash`, which
   is counted.
5. The nemesis does as many operations at once as it may (`nemesis_limit`). It counts as busy while it does any, and as
   free while it may begin another. An action that raises had no effect, and the run goes on.
6. Operations that we cancel stay open in the history: their outcome is indeterminate. We cancel only when a run ends
   early, so any other cancellation is the client's own. A task that does not end when cancelled is left behind, and
   counted.
7. An exception that ends the run itself (`interrupts`) is never a client's answer, even if it is raised in a client's
   code.

Runs on any asyncio loop. On a VirtualLoop the same generator and seed give the same events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from splitbrain.checkers.error_origin import at_origin
from splitbrain.checkers.histories.event import NEMESIS, Event, EventType
from splitbrain.harness.generators import NOTES, Context, Generator, Pending, Test, Thread
from splitbrain.harness.interpreting.injection import injected
from splitbrain.harness.operation import Completion, Invocation, Nemesis
from splitbrain.harness.running.interrupts import interrupting, located, named
from splitbrain.harness.system import OperationFailed

SPARE_FACTOR = 10
"""By default, clients may be added up to 10 times the concurrency: with more outstanding operations than
that the system has stalled, and each client costs a socket."""
CLOSE_TIMEOUT_S = 5.0
LATE_NS = 10_000_000
"""Below this an operation is on schedule: a busy loop's own lag."""


class OperationClient(Protocol):
    """What the interpreter needs of `workload.Client`."""

    async def invoke(self, invocation: Invocation) -> Completion: ...

    async def close(self) -> None: ...


OpenClient = Callable[[int, str], Awaitable[OperationClient]]
"""(process, node) -> a client connected through that node."""


@dataclass
class Statistics:
    """What the interpreter noticed about itself.

    operations: client operations started. late: those that started more than `LATE_NS` after they were due; latest_ns:
    the worst lateness. spares: threads that were added. crashes: the texts of rule 4's failures, and of what the
    nemesis raised that was no EnvironmentFailure.
    """

    operations: int = 0
    late: int = 0
    latest_ns: int = 0
    spares: int = 0
    crashes: list[str] = field(default_factory=list)


class Interpreter:
    """Interprets one generator after another in one history.

    test: names the nodes and the concurrency. open_client: see `OpenClient`. nemesis: None if the generators have
    nothing for it. record: takes each event, in order. operation_timeout_s: until an operation is given up.
    spare_clients: how many threads may be added (rule 3); None for `SPARE_FACTOR` times the concurrency. nemesis_limit:
    rule 5. members: the nodes that serve at present, which may change; None for all of the test's.
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
        spare_clients: int | None = None,
        nemesis_limit: int = 1,
        members: Sequence[str] | None = None,
    ) -> None:
        if not test.nodes or test.concurrency < 1:
            raise ValueError("a test needs at least one node and a concurrency of at least 1")
        self.statistics = Statistics()
        self._test = test
        self._open_client = open_client
        self._record = record
        self._nemesis = nemesis
        self._operation_timeout_s = operation_timeout_s
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._passed_ns = 0
        self._index = 0
        self._spares_most = SPARE_FACTOR * test.concurrency if spare_clients is None else spare_clients
        self._spares_made = 0
        self._next_process = test.concurrency
        self._processes: dict[Thread, Thread] = {thread: thread for thread in range(test.concurrency)}
        self._processes[NEMESIS] = NEMESIS
        self._free: list[Thread] = list(self._processes)
        self._spare: list[Thread] = []
        self._busy: dict[Thread, asyncio.Task[None]] = {}
        self._nemesis_limit = nemesis_limit
        self._members = test.nodes if members is None else members
        self._injections = 0
        self._injecting: dict[asyncio.Task[None], None] = {}
        self._clients: dict[Thread, dict[str, OperationClient]] = {}
        self._completed: list[tuple[Thread, Event]] = []
        self._closing: dict[asyncio.Task[None], None] = {}
        self._failure: BaseException | None = None
        self._ending = False
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
            under_way = [*self._busy.values(), *self._injecting]
            if under_way:
                self._ending = True
                for task in under_way:
                    task.cancel()
                await self._ended(under_way, "operations")
            for thread in [*self._busy, *[NEMESIS] * self._injections]:
                self._release(thread)
                self._retire(thread)
            self._completed.clear()

    async def close(self) -> None:
        """Close every client. Idempotent."""
        for thread in list(self._clients):
            self._abandon(thread)
        await self._ended(list(self._closing), "closes")

    async def _ended(self, tasks: Collection[asyncio.Task[None]], what: str) -> None:
        """Wait, within bounds, for tasks that are to end by themselves."""
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=2 * CLOSE_TIMEOUT_S)
            if left:
                self.statistics.crashes.append(f"{len(left)} {what} of clients did not end when they were cancelled")

    def stage(self, name: str) -> None:
        """Note in the history which stage of the run begins."""
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
                if event.type == "info":
                    self._retire(thread)
            match generator.op(test, self._context()):
                case None:
                    if not self._under_way:
                        return
                    await self._wait(None)
                case (Pending(until_ns), waiting):
                    generator = waiting
                    if until_ns is None and not self._under_way:
                        raise RuntimeError("the generator waits for a completion, but no operation is under way")
                    await self._wait(until_ns)
                case (Invocation() as invocation, following):
                    now_ns = self.now_ns
                    due_ns = now_ns if invocation.time_ns is None else invocation.time_ns
                    if due_ns > now_ns:
                        await self._wait(due_ns)
                        continue
                    generator = following.update(test, self._context(), self._begin(invocation, due_ns))

    @property
    def _under_way(self) -> bool:
        return bool(self._busy or self._injections)

    def _context(self) -> Context:
        if not self._spare and self.statistics.spares < self._spares_most:
            # Offered before it is needed: an operation has its process's number before it starts.
            thread = self._test.concurrency + self._spares_made
            self._spares_made += 1
            self._processes[thread] = self._fresh_process()
            self._spare.append(thread)
        spare = self._spare[0] if self._spare else None
        busy = (*self._busy, NEMESIS) if self._injections else tuple(self._busy)
        return Context(self.now_ns, tuple(self._free), busy, self._processes, self._test.concurrency, spare)

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

    def _begin(self, invocation: Invocation, due_ns: int) -> Event:
        """Start an operation that was due at that moment. Returns its invocation as recorded."""
        if invocation.process == NEMESIS and invocation.f in NOTES:
            return self._event(NEMESIS, "info", invocation, None)
        thread = self._take(invocation)
        if thread == NEMESIS:
            event = self._event(NEMESIS, "info", invocation, invocation.node)
            task = self._loop.create_task(self._guarded(lambda: self._inject(invocation)))
            self._injecting[task] = None
            task.add_done_callback(self._injecting.pop)
            return event
        node = invocation.node or self._members[thread % len(self._members)]
        if node not in self._test.nodes:
            raise ValueError(f"{invocation.f} names node {node!r}; there are {', '.join(self._test.nodes)}")
        process = self._processes[thread]
        assert isinstance(process, int)
        self.statistics.operations += 1
        late_ns = self.now_ns - due_ns
        late = late_ns > LATE_NS
        if late:
            self.statistics.late += 1
            self.statistics.latest_ns = max(self.statistics.latest_ns, late_ns)
        event = self._event(process, "invoke", invocation, node, due_ns=due_ns if late else None)
        work = self._guarded(lambda: self._perform(thread, process, node, invocation))
        self._busy[thread] = self._loop.create_task(work)
        return event

    def _take(self, invocation: Invocation) -> Thread:
        """The thread of the process that the invocation names, which is free no more."""
        for idle in (self._free, self._spare):
            for thread in idle:
                if self._processes[thread] == invocation.process:
                    self._injections += thread == NEMESIS
                    if thread == NEMESIS and self._injections < self._nemesis_limit:
                        return thread
                    idle.remove(thread)
                    if idle is self._spare:
                        self.statistics.spares = max(self.statistics.spares, self._spares_made)
                    return thread
        raise ValueError(f"{invocation.f} is to be done by process {invocation.process}, which is not free")

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do the work; what it raises ends the run. A task that is cancelled before its first step begins none."""
        try:
            await work()
        except BaseException as problem:
            if not self._ending:
                self._failure = problem
                self._wake()

    async def _perform(self, thread: Thread, process: int, node: str, invocation: Invocation) -> None:
        completion = await self._complete(thread, process, node, invocation)
        value = invocation.value if completion.value is None else completion.value
        completed = replace(invocation, value=value)
        self._complete_event(thread, self._event(process, completion.type, completed, node, completion.error))

    async def _complete(self, thread: Thread, process: int, node: str, invocation: Invocation) -> Completion:
        limit_s = self._operation_timeout_s
        if node not in self._members:
            return Completion("fail", None, f"not-a-member: {node} is not in the cluster at present")
        try:
            async with asyncio.timeout(limit_s) as limit:
                client = await self._client(thread, process, node)
                return await client.invoke(invocation)
        except OperationFailed as failed:
            return Completion("fail" if failed.definite else "info", None, f"{failed.code}: {failed}")
        except BaseException as problem:
            if self._ending or interrupting(problem):
                raise
            if limit.expired():
                return Completion("info", None, f"timeout: no answer within {limit_s:g} s")
            error = f"crash: {named(problem)}"
            self.statistics.crashes.append(at_origin(f"{invocation.f} through {node}: {error}", problem))
            return Completion("info", None, error)

    async def _client(self, thread: Thread, process: int, node: str) -> OperationClient:
        clients = self._clients.setdefault(thread, {})
        if node not in clients:
            try:
                clients[node] = await self._open_client(process, node)
            except OperationFailed as failed:
                # Nothing was asked of anyone yet, so nothing can have happened.
                raise OperationFailed(failed.code, str(failed), definite=True) from failed
        return clients[node]

    async def _inject(self, invocation: Invocation) -> None:
        value, error = await injected(self._nemesis, invocation, self.statistics.crashes, lambda: self._ending)
        completed = replace(invocation, value=value)
        self._complete_event(NEMESIS, self._event(NEMESIS, "info", completed, invocation.node, error))

    def _complete_event(self, thread: Thread, event: Event) -> None:
        self._completed.append((thread, event))
        self._wake()

    def _event(
        self,
        process: Thread,
        kind: EventType,
        invocation: Invocation,
        node: str | None,
        error: str | None = None,
        due_ns: int | None = None,
    ) -> Event:
        """Record an event, at this moment."""
        if error is not None:  # A file's name may hold bytes that are no text, and no history could take them.
            error = error.encode("utf-8", "backslashreplace").decode()
        event = Event(
            self._index,
            self.now_ns,
            process,
            kind,
            invocation.f,
            invocation.key,
            invocation.value,
            node,
            error,
            due_ns,
        )
        self._index += 1
        self._record(event)
        return event

    def _release(self, thread: Thread) -> None:
        if thread == NEMESIS:
            self._injections -= 1
            if NEMESIS not in self._free:
                self._free.append(NEMESIS)
            return
        del self._busy[thread]
        (self._spare if thread >= self._test.concurrency else self._free).append(thread)

    def _retire(self, thread: Thread) -> None:
        """Rule 2."""
        if thread != NEMESIS:
            self._processes[thread] = self._fresh_process()
            self._abandon(thread)

    def _fresh_process(self) -> int:
        self._next_process += 1
        return self._next_process - 1

    def _abandon(self, thread: Thread) -> None:
        """Close the thread's clients, in the background: one that was given up may not answer to this either."""
        for node, client in self._clients.pop(thread, {}).items():
            task = self._loop.create_task(self._closed(node, client))
            self._closing[task] = None
            task.add_done_callback(self._closing.pop)

    async def _closed(self, node: str, client: OperationClient) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await client.close()
        except BaseException as problem:
            if interrupting(problem):
                raise
            self.statistics.crashes.append(f"close of a client of {node}: {located(problem)}")
