"""Workers: where a campaign does its work, any `Executor` of Python's.

1. A pool of processes here, each started afresh (`spawn`), so that imports are paid once in many runs. On several
   machines Dask's.
2. A process that dies costs one task. The pool can't say which of those under way it was, so those are done again, one
   at a time: the one that ends a process again is the one.
3. A process of the pool has a limit of memory, and a limit of CPU for each task. It dies with its parent, and hears no
   Ctrl-C: what is under way is finished.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for
from typing import Protocol, TypeVar

from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.running.interrupts import named

MEMORY_MB = 4096
"""Of address space, which is some times what a run touches."""
TASKS_A_PROCESS = 200
GLANCE_S = 0.2

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Task(Protocol[R_co]):
    """Something to be done on a worker. It and what it gives are pickled.

    cpu_s: seconds of CPU after which a process of the pool is ended.
    """

    @property
    def cpu_s(self) -> int: ...

    def do(self) -> R_co: ...

    def failed(self, reason: str) -> R_co:
        """What it gives if its worker failed."""


@dataclass
class Workers:
    """Executors to do tasks on.

    opened: makes an executor for so many tasks at once; called again when one broke. at_once: how many. then: called
    when all is done.
    """

    opened: Callable[[int], Executor]
    at_once: int
    then: Callable[[], None] = lambda: None
    _executor: Executor | None = field(default=None, init=False)

    def done(self, tasks: Iterator[Task[R]]) -> Iterator[R]:
        """Do the tasks, in any order. One is taken when a worker is free for it, so that the iterator may end early."""
        suspects: list[Task[R]] = []
        under_way: dict[Future[R], Task[R]] = {}
        more = True
        while more or under_way or suspects:
            # Rule 2: alone, so that whatever ends the process was this one.
            while suspects and not under_way:
                yield self._alone(suspects.pop(0))
            while more and not suspects and len(under_way) < self.at_once:
                taken = next(tasks, None)
                if taken is None:
                    more = False
                else:
                    under_way[self._submit(taken)] = taken
            over, _ = wait(under_way, timeout=GLANCE_S, return_when=FIRST_COMPLETED)
            for future in over:
                task = under_way.pop(future)
                if isinstance(future.exception(), BrokenExecutor):
                    suspects.append(task)
                    self._drop()
                else:
                    yield _result(task, future)

    def close(self) -> None:
        """End the workers once they have done what is under way."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None
        self.then()

    def _submit(self, task: Task[R]) -> Future[R]:
        if self._executor is None:
            self._executor = self.opened(self.at_once)
        try:
            return self._executor.submit(_do, task)
        except BrokenExecutor:
            self._drop()
            return self._submit(task)

    def _alone(self, task: Task[R]) -> R:
        future = self._submit(task)
        wait([future])
        if isinstance(future.exception(), BrokenExecutor):
            self._drop()
        return _result(task, future)

    def _drop(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None


def _result(task: Task[R], future: Future[R]) -> R:
    problem = future.exception()
    if problem is None:
        return future.result()
    if isinstance(problem, BrokenExecutor):
        reason = f"its worker's process ended: out of memory, {task.cpu_s} s of CPU, or code that ends the process"
    else:
        reason = f"its worker failed, {' '.join(named(problem).split())}"
    return task.failed(reason)


def processes(memory_mb: int = MEMORY_MB) -> Callable[[int], Executor]:
    """A pool of processes on this machine. memory_mb: the address space of each."""

    def opened(jobs: int) -> Executor:
        return ProcessPoolExecutor(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare,
            initargs=(memory_mb,),
            max_tasks_per_child=TASKS_A_PROCESS,
        )

    return opened


def dask(address: str) -> Workers:
    """The workers of a Dask cluster. address: `dask://HOST:PORT`, of its scheduler. Raises UsageProblem.

    Dask's own limits of memory hold there, and its own rule for a task whose worker dies: it is tried again, and given
    up after a few times.
    """
    scheme, separator, rest = address.partition("://")
    if scheme != "dask" or not separator or not rest:
        raise UsageProblem(f"--executor {address}: give dask://HOST:PORT, the address of a Dask scheduler")
    try:
        from distributed import Client
    except ImportError:
        raise UsageProblem(
            "--executor dask://... needs Dask; install it with: pip install 'splitbrain[dask]'"
        ) from None
    try:
        client = Client(f"tcp://{rest}", timeout="10s")
    except (OSError, ValueError, TimeoutError) as problem:
        text = f"no Dask scheduler answers at {rest} ({' '.join(named(problem).split())})"
        raise UsageProblem(f"{text}; start one with `dask scheduler`, and workers with `dask worker`") from None
    at_once = max(1, sum(client.ncores().values()))
    return Workers(lambda jobs: client.get_executor(pure=False), at_once, client.close)


_limited = False
"""Whether this process is one of a pool of ours."""


def _do(task: Task[R]) -> R:
    if _limited:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit_s = int(used.ru_utime + used.ru_stime) + task.cpu_s
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, resource.RLIM_INFINITY))
    return task.do()


def _prepare(memory_mb: int) -> None:
    """Rule 3."""
    global _limited
    _limited = True
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)
