"""The load: what clients do while faults strike, and for a while after the last of them.

1. The load goes on until its time limit, and until it has been quiet for `QUIET_S` and `QUIET_WRITES` writes since the
   last heal. Otherwise a system that stays mute after a fault would not be seen to.
2. If no write of some kind (`progress`) has been ok since the last heal, it goes on until `PATIENCE_S` after it: so
   long a system may take.
3. Where operations come so slowly that `QUIET_WRITES` are not reached by then, it ends there too.
4. What a workload wants done when a fault has ended (`Workload.healed`) is done at once, beside the pace of the others.
5. A run that was given its operations does these and no others, and ends with the last of them and the last strike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.checkers.service.progress import PATIENCE_S, writes_among
from splitbrain.harness.generators import (
    NOTHING,
    Context,
    Generator,
    Pending,
    Source,
    Step,
    Test,
    any_of,
    clients,
    lift,
    nemesis,
    seconds,
    sequence,
    stagger,
)
from splitbrain.harness.interpreting.validation import validated
from splitbrain.harness.nemesis.schedule import QUIET_S
from splitbrain.harness.replays.scripted import scripted
from splitbrain.harness.running.experiment import Prepared
from splitbrain.harness.seeds import split

QUIET_WRITES = 50
"""How many writes are invoked after the last heal, at least."""


def load_of(prepared: Prepared) -> Generator:
    """What clients and the nemesis do in a run, until the load is over."""
    experiment, workload = prepared.experiment, prepared.workload
    faults = nemesis(prepared.faults.generator)
    if experiment.operations is not None:
        return any_of(clients(validated(workload.schemas, scripted(experiment.operations))), faults)
    operations = validated(workload.schemas, workload.generator(prepared.plan))
    paced = stagger(1 / experiment.rate, operations, seed=split(experiment.seed, "pace"))
    source = any_of(clients(paced), faults)
    if workload.healed is not None:
        wanted = partial(workload.healed, prepared.plan)
        source = AfterHeals(source, lambda heals: clients(validated(workload.schemas, sequence(*wanted(heals)))))
    return loaded(experiment.time_limit_s, len(prepared.faults.strikes), source)


def loaded(limit_s: float, strikes: int, source: Source) -> Generator:
    """The source, which has the clients' operations and the nemesis's, until the load is over.

    limit_s: the time limit, in seconds. strikes: how many the nemesis will play.
    """
    return Load(lift(source), seconds(limit_s), strikes)


def _ends_a_fault(event: Event) -> bool:
    """Whether the event is the completion of a strike's stop."""
    value = event.value
    return event.process == NEMESIS and isinstance(value, dict) and "evidence" in value and value.get("phase") == "stop"


@dataclass(frozen=True, slots=True)
class AfterHeals:
    """Rule 4. inner: all else. wanted: what is done after that many heals. heals: so far. current: what is left."""

    inner: Generator
    wanted: Callable[[int], Generator]
    heals: int = 0
    current: Generator = NOTHING

    def op(self, test: Test, context: Context) -> Step:
        step = self.current.op(test, context)
        if step is not None and not isinstance(step[0], Pending):
            return step[0], replace(self, current=step[1])
        step = self.inner.op(test, context)
        return None if step is None else (step[0], replace(self, inner=step[1]))

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        inner = self.inner.update(test, context, event)
        if _ends_a_fault(event):
            # What is left of the heal before comes too late.
            return AfterHeals(inner, self.wanted, self.heals + 1, self.wanted(self.heals))
        return self if inner is self.inner else replace(self, inner=inner)


@dataclass(frozen=True, slots=True)
class Load:
    """See `loaded`.

    limit_ns: the time limit, since it is first asked. strikes: those that were not stopped yet. since_ns: when it
    was first asked. healed_ns: when the last stop was done. names: of the operations so far. writes: how many were
    invoked since then. ok: names of the operations that were ok since then.
    """

    inner: Generator
    limit_ns: int
    strikes: int
    since_ns: int | None = None
    healed_ns: int | None = None
    names: frozenset[str] = frozenset()
    writes: int = 0
    ok: frozenset[str] = frozenset()

    def op(self, test: Test, context: Context) -> Step:
        since_ns = context.time_ns if self.since_ns is None else self.since_ns
        end_ns = self._end_ns(since_ns)
        if end_ns is not None and context.time_ns >= end_ns:
            return None
        step = self.inner.op(test, context)
        if step is None:
            return None
        offered, after = step
        load = self._with(after, since_ns)
        if isinstance(offered, Pending) and end_ns is not None:
            wake_ns = end_ns if offered.until_ns is None else min(offered.until_ns, end_ns)
            return Pending(wake_ns), load
        if end_ns is not None and not isinstance(offered, Pending) and (offered.time_ns or 0) >= end_ns:
            return Pending(end_ns), replace(self, since_ns=since_ns)
        return offered, load

    def _end_ns(self, since_ns: int) -> int | None:
        """When it is over, as things are; None while that can't be told."""
        limit_ns = since_ns + self.limit_ns
        if self.strikes:
            return None
        if self.healed_ns is None:
            return limit_ns
        patience_ns = max(limit_ns, self.healed_ns + seconds(PATIENCE_S))
        kinds = writes_among(self.names)
        if self.writes < QUIET_WRITES or not all(self.ok.intersection(kind) for kind in kinds):
            return patience_ns
        return max(limit_ns, self.healed_ns + seconds(QUIET_S))

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        inner = self.inner.update(test, context, event)
        load = self if inner is self.inner else self._with(inner, self.since_ns)
        if event.process == NEMESIS:
            if _ends_a_fault(event):
                return replace(load, strikes=load.strikes - 1, healed_ns=event.time, writes=0, ok=frozenset())
            return load
        if event.type == "invoke":
            return load._invoked(event.f)
        return replace(load, ok=load.ok | {event.f}) if event.type == "ok" and event.f not in load.ok else load

    def _invoked(self, f: str) -> Load:
        if self.healed_ns is None and f in self.names:
            return self
        names = self.names | {f}
        counted = any(f in kind for kind in writes_among(names))
        return replace(self, names=names, writes=self.writes + counted)

    def _with(self, inner: Generator, since_ns: int | None) -> Load:
        return Load(inner, self.limit_ns, self.strikes, since_ns, self.healed_ns, self.names, self.writes, self.ok)
