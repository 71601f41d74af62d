"""Playing a schedule: each strike starts at its time and stops at its time, as many at once as the schedule says.

1. A strike starts late if something it holds is still held by one before it, and stops late by as much: it stands for
   half a second at least.
2. A completion of the nemesis's carries evidence; its invocation does not.
3. Exhausted once every strike has been stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.harness.generators import PENDING, Context, Generator, Once, Pending, Step, Test, seconds
from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.nemesis.schedule import LEAST_S
from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.operation import Invocation


def invocation(family: FaultFamily, phase: str, strike: Strike | None = None) -> Invocation:
    """The nemesis's operation that starts or stops a strike; without one, the stop of all of the family."""
    name = (family.start if phase == "start" else family.stop) or f"{phase}-{family.name}"
    more = {} if strike is None else {"strike": strike.number, **strike.how}
    return Invocation(name, {"fault": family.name, "phase": phase, **more}, process=NEMESIS)


@dataclass(frozen=True, slots=True)
class Play:
    """A generator of the nemesis's operations.

    families: by name. waiting: strikes that have not started, by their time. began_ns: when it was first asked.
    starting, stopping: numbers of the strikes of which that is under way. standing: by number, when they began to
    stand. strikes: all of them, by number.
    """

    families: Mapping[str, FaultFamily]
    waiting: Sequence[Strike]
    strikes: Mapping[int, Strike]
    began_ns: int | None = None
    starting: frozenset[int] = frozenset()
    standing: Mapping[int, int] = field(default_factory=dict)
    stopping: frozenset[int] = frozenset()

    def op(self, test: Test, context: Context) -> Step:
        if self.began_ns is None:
            return replace(self, began_ns=context.time_ns).op(test, context)
        if not (self.waiting or self.starting or self.standing or self.stopping):
            return None
        if not context.is_free(NEMESIS):
            return PENDING, self
        wakes: list[int] = []
        for number, since_ns in self.standing.items():
            due_ns = self._stop_ns(self.strikes[number], since_ns)
            if due_ns <= context.time_ns:
                return self._stop(number, test, context)
            wakes.append(due_ns)
        for strike in self.waiting:
            due_ns = self.began_ns + seconds(strike.at_s)
            if due_ns > context.time_ns:
                wakes.append(due_ns)
                break
            if not self._is_held(strike):
                return self._start(strike, test, context)
        return Pending(min(wakes, default=None)), self

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        value = event.value
        if event.process != NEMESIS or not isinstance(value, dict) or "evidence" not in value:
            return self
        number = value.get("strike")
        if value.get("phase") == "start" and number in self.starting:
            standing = {**self.standing, number: event.time}
            return replace(self, starting=self.starting - {number}, standing=standing)
        if value.get("phase") == "stop" and number in self.stopping:
            return replace(self, stopping=self.stopping - {number})
        return self

    def _stop_ns(self, strike: Strike, since_ns: int) -> int:
        assert self.began_ns is not None
        on_time_ns = self.began_ns + seconds(strike.end_s)
        return max(on_time_ns, since_ns + min(seconds(strike.for_s), seconds(LEAST_S)))

    def _is_held(self, strike: Strike) -> bool:
        wanted = frozenset(self.families[strike.family].holds(strike.how))
        others = [self.strikes[number] for number in (*self.starting, *self.standing, *self.stopping)]
        return any(wanted.intersection(self.families[other.family].holds(other.how)) for other in others)

    def _start(self, strike: Strike, test: Test, context: Context) -> Step:
        step = Once(invocation(self.families[strike.family], "start", strike)).op(test, context)
        assert step is not None
        waiting = [other for other in self.waiting if other.number != strike.number]
        return step[0], replace(self, waiting=waiting, starting=self.starting | {strike.number})

    def _stop(self, number: int, test: Test, context: Context) -> Step:
        strike = self.strikes[number]
        step = Once(invocation(self.families[strike.family], "stop", strike)).op(test, context)
        assert step is not None
        standing = {other: since for other, since in self.standing.items() if other != number}
        return step[0], replace(self, standing=standing, stopping=self.stopping | {number})
