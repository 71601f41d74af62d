"""Threads: restricting generators to threads, and waiting for one another.

1. A generator in a narrowed context learns only of events of its own threads.
2. Spare threads belong to all clients together. A generator that distinguishes threads leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.harness.generators.core import (
    NOTHING,
    PENDING,
    Context,
    Generator,
    Pending,
    Source,
    Step,
    Test,
    Thread,
    at_ns,
    lift,
)
from splitbrain.harness.generators.order import any_of, sequence
from splitbrain.harness.operation import Invocation


def clients(source: Source, nemesis_source: Source = None) -> Generator:
    """The source on client threads only. nemesis_source: what the nemesis does meanwhile."""
    on_clients = on_threads(lambda thread: thread != NEMESIS, source)
    return on_clients if nemesis_source is None else any_of(on_clients, nemesis(nemesis_source))


def nemesis(source: Source) -> Generator:
    """The source on the nemesis only."""
    return on_threads(lambda thread: thread == NEMESIS, source)


def on_threads(wanted: Callable[[Thread], bool], source: Source) -> Generator:
    """The source on the wanted threads only."""
    return OnThreads(wanted, lift(source))


@dataclass(frozen=True, slots=True)
class OnThreads:
    """See `on_threads`."""

    wanted: Callable[[Thread], bool]
    inner: Generator

    def op(self, test: Test, context: Context) -> Step:
        step = self.inner.op(test, context.only(self.wanted))
        return None if step is None else (step[0], OnThreads(self.wanted, step[1]))

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        thread = context.thread(event.process)
        if thread is None or not self.wanted(thread):
            return self
        inner = self.inner.update(test, context.only(self.wanted), event)
        return self if inner is self.inner else OnThreads(self.wanted, inner)


def reserve(*counted: tuple[int, Source], rest: Source) -> Generator:
    """The first so many client threads do the first source, the next so many the second, others the rest.

    counted: (threads, source). Put it inside `clients`.
    """
    ranges: list[Generator] = []
    start = 0
    for count, source in counted:
        ranges.append(on_threads(_between(start, start + count), source))
        start += count
    return any_of(*ranges, on_threads(lambda thread: thread == NEMESIS or thread >= start, rest))


def _between(start: int, end: int) -> Callable[[Thread], bool]:
    return lambda thread: thread != NEMESIS and start <= thread < end


def each_thread(source: Source) -> Generator:
    """Every thread does all of the source by itself."""
    return Each(lift(source), by_process=False)


def each_process(source: Source) -> Generator:
    """Every process does all of the source by itself. The successor of a retired process begins anew."""
    return Each(lift(source), by_process=True)


@dataclass(frozen=True, slots=True)
class Each:
    """See `each_thread`. left: the rest of the source, for each thread or process that has begun."""

    source: Generator
    by_process: bool
    left: Mapping[Thread, Generator] = field(default_factory=lambda: MappingProxyType({}))

    def op(self, test: Test, context: Context) -> Step:
        soonest: tuple[int, Thread, Invocation, Generator] | None = None
        wakes: list[int] = []
        left = dict(self.left)
        waiting = any(
            not isinstance(left.get(self._key(thread, context)), type(NOTHING))
            for thread in context.busy
            if _is_base(thread, context)
        )
        for thread in context.free:
            if not _is_base(thread, context):
                continue
            key = self._key(thread, context)
            step = left.get(key, self.source).op(test, _alone(thread, context))
            match step:
                case None:
                    left[key] = NOTHING
                case (Pending(until_ns), after):
                    waiting = True
                    wakes += [] if until_ns is None else [until_ns]
                    left[key] = after
                case (Invocation() as offered, after):
                    at = at_ns(offered, context)
                    if soonest is None or at < soonest[0]:
                        soonest = (at, key, offered, after)
        if soonest is not None and soonest[0] <= context.time_ns:
            _, key, offered, after = soonest
            left[key] = after
            return offered, replace(self, left=left)
        if waiting or soonest is not None:
            # As in `any_of`: what is for later is asked for again.
            wakes += [] if soonest is None else [soonest[0]]
            return Pending(min(wakes, default=None)), replace(self, left=left)
        return None

    def _key(self, thread: Thread, context: Context) -> Thread:
        return context.process(thread) if self.by_process else thread

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        thread = context.thread(event.process)
        if thread is None:
            return self
        key = self._key(thread, context)
        began = self.left.get(key)
        if began is None:
            return self
        return replace(self, left={**self.left, key: began.update(test, _alone(thread, context), event)})


def _is_base(thread: Thread, context: Context) -> bool:
    return thread == NEMESIS or thread < context.concurrency


def _alone(thread: Thread, context: Context) -> Context:
    return context.only(lambda other: other == thread)


def process_limit(count: int, source: Source) -> Generator:
    """The source until `count` different processes have worked for it."""
    return ProcessLimit(lift(source), count)


@dataclass(frozen=True, slots=True)
class ProcessLimit:
    """See `process_limit`. seen: the processes counted so far."""

    inner: Generator
    count: int
    seen: frozenset[Thread] = frozenset()

    def op(self, test: Test, context: Context) -> Step:
        step = self.inner.op(test, context)
        if step is None or isinstance(step[0], Pending):
            return None if step is None else (step[0], replace(self, inner=step[1]))
        offered, after = step
        assert isinstance(offered, Invocation) and offered.process is not None
        seen = self.seen | {offered.process}
        return (offered, replace(self, inner=after, seen=seen)) if len(seen) <= self.count else None

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return replace(self, inner=self.inner.update(test, context, event))


def synchronize(source: Source) -> Generator:
    """The source, beginning only when all threads are free at once."""
    return Synchronize(lift(source))


@dataclass(frozen=True, slots=True)
class Synchronize:
    """See `synchronize`."""

    inner: Generator

    def op(self, test: Test, context: Context) -> Step:
        if context.busy:
            return PENDING, self
        return self.inner.op(test, context)

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return self


def phases(*sources: Source) -> Generator:
    """All of the first source; then, when every thread is free, all of the second, and so on."""
    return sequence(*(synchronize(source) for source in sources))
