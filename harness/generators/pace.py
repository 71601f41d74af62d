"""Pace: rates, pauses and deadlines.

1. `stagger` is open loop: its schedule is fixed by its seed and its start, and does not wait. An operation that could
   not start in time is late, and its time says since when. It may use the spare threads.
2. `delay` is closed loop: it waits for a free thread, and the next interval counts from there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from splitbrain.checkers.histories.event import Event
from splitbrain.harness.generators.core import Context, Generator, Pending, Source, Step, Test, at_ns, lift, seconds
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import fraction, split


def stagger(interval_s: float, source: Source, *, seed: int) -> Generator:
    """Invocations of the source on an open-loop schedule: the first at once, gaps uniform in 0..2 * interval.

    interval_s: seconds between two on average (1 / rate). A source that names a time to be asked again at
    (a `sleep`) moves the schedule there.
    """
    return Stagger(lift(source), 2 * seconds(interval_s), seed)


@dataclass(frozen=True, slots=True)
class Stagger:
    """See `stagger`. widest_ns: the longest gap. due_ns: when the next is due; None before the first."""

    inner: Generator
    widest_ns: int
    seed: int
    number: int = 0
    due_ns: int | None = None

    def op(self, test: Test, context: Context) -> Step:
        due_ns = context.time_ns if self.due_ns is None else self.due_ns
        step = self.inner.op(test, context.with_spare())
        match step:
            case None:
                return None
            case (Pending(until_ns) as pending, after):
                resumed_ns = due_ns if until_ns is None else max(due_ns, until_ns)
                return pending, Stagger(after, self.widest_ns, self.seed, self.number, resumed_ns)
            case (Invocation() as offered, after):
                if offered.time_ns is not None and offered.time_ns > context.time_ns:
                    due_ns = max(due_ns, offered.time_ns)
                gap_ns = int(fraction(split(self.seed, self.number)) * self.widest_ns)
                following = Stagger(after, self.widest_ns, self.seed, self.number + 1, due_ns + gap_ns)
                due = Invocation(offered.f, offered.value, offered.key, offered.node, offered.process, due_ns)
                return due, following

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        inner = self.inner.update(test, context, event)
        if inner is self.inner:
            return self
        return Stagger(inner, self.widest_ns, self.seed, self.number, self.due_ns)


def delay(interval_s: float, source: Source) -> Generator:
    """The source's invocations at least this far apart, closed loop: one late start delays all after it."""
    return Delay(lift(source), seconds(interval_s))


@dataclass(frozen=True, slots=True)
class Delay:
    """See `delay`. due_ns: not before this."""

    inner: Generator
    interval_ns: int
    due_ns: int = 0

    def op(self, test: Test, context: Context) -> Step:
        step = self.inner.op(test, context)
        match step:
            case None:
                return None
            case (Pending() as pending, after):
                return pending, replace(self, inner=after)
            case (Invocation() as offered, after):
                start_ns = max(at_ns(offered, context), self.due_ns)
                following = replace(self, inner=after, due_ns=start_ns + self.interval_ns)
                return replace(offered, time_ns=start_ns), following

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return replace(self, inner=self.inner.update(test, context, event))


def sleep(duration_s: float) -> Generator:
    """Nothing for this long, counted from when it is first asked."""
    return Sleep(seconds(duration_s))


@dataclass(frozen=True, slots=True)
class Sleep:
    """See `sleep`."""

    duration_ns: int
    until_ns: int | None = None

    def op(self, test: Test, context: Context) -> Step:
        until_ns = context.time_ns + self.duration_ns if self.until_ns is None else self.until_ns
        if context.time_ns >= until_ns:
            return None
        return Pending(until_ns), Sleep(self.duration_ns, until_ns)

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return self


def time_limit(duration_s: float, source: Source) -> Generator:
    """The source, with nothing that would start later than this after it is first asked.

    Operations under way at the end go on. What was due before the end and waits for a free thread is dropped.
    """
    return TimeLimit(lift(source), seconds(duration_s))


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """See `time_limit`."""

    inner: Generator
    duration_ns: int
    end_ns: int | None = None

    def op(self, test: Test, context: Context) -> Step:
        end_ns = context.time_ns + self.duration_ns if self.end_ns is None else self.end_ns
        if context.time_ns >= end_ns:
            return None
        step = self.inner.op(test, context)
        match step:
            case None:
                return None
            case (Pending(until_ns), after):
                wake_ns = end_ns if until_ns is None else min(until_ns, end_ns)
                return Pending(wake_ns), replace(self, inner=after, end_ns=end_ns)
            case (Invocation() as offered, after):
                start_ns = at_ns(offered, context)
                if start_ns >= end_ns:
                    return None
                if self.end_ns is None and start_ns > context.time_ns:
                    # An offer for later might not be taken, and the clock would start again.
                    return Pending(start_ns), replace(self, end_ns=end_ns)
                return offered, replace(self, inner=after, end_ns=end_ns)

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        inner = self.inner.update(test, context, event)
        return self if inner is self.inner else replace(self, inner=inner)
