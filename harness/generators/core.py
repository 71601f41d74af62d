"""What a generator is: a pure value that says what to do next.

1. `op` and `update` change nothing; they return the generator to go on with. An invocation that was offered but not
   taken (something completed before its time came) is asked for again, from the generator before it.
2. A generator that comes with `Pending` is always taken. That is how a generator remembers since when it has been
   waiting. One that combines others answers `Pending` until the moment of what it would offer for later.
3. A generator that answered None is exhausted and stays so.
4. Only leaves look for a free process, in the context they are given. The combinators above them narrow that context.
5. Randomness is a seed in the generator's own state.

After Jepsen 0.3, jepsen.generator (the pure generators).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.harness.operation import Invocation

Thread = int | Literal["nemesis"]
NANOSECONDS = 1_000_000_000
NOTES = frozenset({"stage", "log"})
"""Operations that are only recorded, as the nemesis's: they take no thread and no time."""


@dataclass(frozen=True, slots=True)
class Test:
    """What every generator may know of the test. nodes: their names. concurrency: client threads at first."""

    __test__ = False  # pytest takes whatever is called Test for one

    nodes: tuple[str, ...] = ()
    concurrency: int = 1


@dataclass(frozen=True, slots=True)
class Pending:
    """Nothing to do yet. until_ns: ask again then at the latest; None: when something has completed."""

    until_ns: int | None = None


PENDING = Pending()


@dataclass(frozen=True, slots=True)
class Context:
    """The moment a generator is asked at.

    time_ns: since the start of the run. free, busy: threads, free ones in the order in which to use them.
    processes: the process each thread is at present. concurrency: client threads from this number on are
    spare. spare: a thread that may be added for an operation which must start on schedule.
    """

    time_ns: int
    free: tuple[Thread, ...]
    busy: tuple[Thread, ...] = ()
    processes: Mapping[Thread, Thread] = field(default_factory=dict)
    concurrency: int = 1
    spare: Thread | None = None

    def process(self, thread: Thread) -> Thread:
        """The process that runs on the thread."""
        return self.processes.get(thread, thread)

    def thread(self, process: Thread) -> Thread | None:
        """The thread the process runs on, or None. O(threads)."""
        for thread, at_present in self.processes.items():
            if at_present == process:
                return thread
        return None

    def only(self, wanted: Callable[[Thread], bool]) -> Context:
        """The same moment as if there were no other threads than those wanted."""
        # Built anew, not by `replace`, here and wherever else an operation passes: five times as fast.
        return Context(
            self.time_ns,
            tuple(thread for thread in self.free if wanted(thread)),
            tuple(thread for thread in self.busy if wanted(thread)),
            self.processes,
            self.concurrency,
            self.spare if self.spare is not None and wanted(self.spare) else None,
        )

    def with_spare(self) -> Context:
        """The same moment with the spare thread free, to be used last."""
        if self.spare is None:
            return self
        return Context(self.time_ns, (*self.free, self.spare), self.busy, self.processes, self.concurrency)

    def next_process(self) -> Thread | None:
        """The process that should do the next operation, or None while all are busy.

        The nemesis is only taken where there are no clients: it must not do their work while they are busy.
        """
        for thread in self.free:
            if thread != NEMESIS:
                return self.process(thread)
        if self.free and self.spare is None and all(thread == NEMESIS for thread in self.busy):
            return NEMESIS
        return None

    def is_free(self, process: Thread) -> bool:
        """Whether the process could start an operation."""
        return any(self.process(thread) == process for thread in self.free)


class Generator(Protocol):
    """See the module's rules."""

    def op(self, test: Test, context: Context) -> Step:
        """What to do next and the generator after it, or None once exhausted."""

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        """The generator after an invocation or completion, in the context right after it.

        A process that is about to be retired is still in that context.
        """


Step = tuple[Invocation | Pending, Generator] | None
Source = Generator | Invocation | None


@dataclass(frozen=True, slots=True)
class Nothing:
    """A generator that is exhausted from the start."""

    def op(self, test: Test, context: Context) -> Step:
        return None

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return self


NOTHING = Nothing()


@dataclass(frozen=True, slots=True)
class Once:
    """One invocation, as soon as a process is free: the leaf of all others."""

    invocation: Invocation

    def op(self, test: Test, context: Context) -> Step:
        invocation = self.invocation
        if invocation.process is None:
            process = context.next_process()
            if process is None:
                return PENDING, self
        else:
            process = invocation.process
            if invocation.f not in NOTES and not context.is_free(process):
                return PENDING, self
        time_ns = context.time_ns if invocation.time_ns is None else invocation.time_ns
        offered = Invocation(invocation.f, invocation.value, invocation.key, invocation.node, process, time_ns)
        return offered, NOTHING

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return self


def lift(source: Source) -> Generator:
    """A generator from what may stand for one: an invocation happens once, None is nothing."""
    match source:
        case None:
            return NOTHING
        case Invocation():
            return Once(source)
        case _:
            return source


def at_ns(invocation: Invocation, context: Context) -> int:
    """When the invocation should start."""
    return context.time_ns if invocation.time_ns is None else invocation.time_ns


def seconds(duration_s: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(duration_s * NANOSECONDS)
