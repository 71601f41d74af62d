"""Progress: after a heal, the system takes writes again.

1. A quiet time begins when a fault is healed and none stands any more, and ends when the next one is started, or with
   the load.
2. The system did not recover if a quiet time lasts for `bound_s` or longer, at least `ENOUGH_WRITES` writes were
   invoked in it and answered or given up, and none that was invoked in it was ok.
3. Nothing is judged where a stop had no effect that no later one made up for (`faults`), or the environment was lost.
4. A write is an `add` or a `put`, each by itself: deletes that succeed don't make up for puts that fail. In a history
   without these, any operation that is no read and no poll is one; of a workload that only reads, every operation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from splitbrain.checkers.histories.faults import LOST, Fault, faults, stages, vain_stops
from splitbrain.checkers.histories.final_reads import WRITES
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, seconds
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.checkers.verdict import Witness

PATIENCE_S = 30.0
"""How long a system may take to serve again after a heal, unless something else is stated."""
ENOUGH_WRITES = 10
"""Fewer failures in a row may be bad luck."""
READS = frozenset({"read", "get", "poll", POLL})


def is_write(f: str) -> bool:
    """Whether an operation of that name is no read and no poll."""
    return f not in READS


def writes_among(names: Collection[str]) -> list[frozenset[str]]:
    """Names of operations that count as writes, those that are judged together in one set (rule 4)."""
    plain = [frozenset({name}) for name in sorted(WRITES.intersection(names))]
    others = frozenset(filter(is_write, names))
    return plain or [others or frozenset(names)]


@dataclass(frozen=True, slots=True)
class QuietTime:
    """Rule 1. healed: the fault whose end began it. since_ns, until_ns: from when to when."""

    healed: Fault
    since: int
    since_ns: int
    until: int
    until_ns: int


def quiet_times(history: History, load: Sequence[Operation]) -> list[QuietTime]:
    """The quiet times of a history, in order. load: the operations before the recovery. O(faults^2)."""
    found = [fault for fault in faults(history) if fault.stop is not None]
    standing = [fault for fault in faults(history) if fault.stop is None]
    recovery = stages(history).get("recovery")
    ends = [event for o in load for event in (o.invocation, o.completion) if event] if recovery is None else [recovery]
    over = max(ends, key=lambda event: event.index, default=None)
    times = []
    for fault in found:
        heal = fault.stop.completion or fault.stop.invocation if fault.stop else None
        if heal is None or any(_stands(other, heal.index) for other in (*found, *standing)):
            continue
        later = [other.start.invocation for other in (*found, *standing) if other.start.invocation.index > heal.index]
        until = min(later, key=lambda event: event.index, default=over)
        if until is not None and until.index > heal.index:
            times.append(QuietTime(fault, heal.index, heal.time, until.index, until.time))
    return times


def mute_times(history: History, load: Sequence[Operation], bound_s: float) -> list[tuple[QuietTime, list[Operation]]]:
    """The quiet times in which the system did not recover (rule 2), each with the writes that were tried."""
    if vain_stops(history) or LOST in stages(history):
        return []
    long = [quiet for quiet in quiet_times(history, load) if quiet.until_ns - quiet.since_ns >= bound_s * 1e9]
    mute = []
    for quiet in long:
        within = [o for o in load if quiet.since < o.invocation.index < quiet.until and o.completion]
        for names in writes_among({operation.f for operation in load}):
            tried = [operation for operation in within if operation.f in names]
            if len(tried) >= ENOUGH_WRITES and all(write.outcome != "ok" for write in tried):
                mute.append((quiet, tried))
    return mute


def witness(quiet: QuietTime, tried: Sequence[Operation]) -> Witness:
    """What shows that the system did not recover in that time."""
    shown = tried[:ENOUGH_WRITES]
    text = (
        f"{quiet.healed.as_prose()}, and no other fault stood until {seconds(quiet.until_ns)}; "
        f"{count(len(tried), 'write')} were tried meanwhile, from {at(tried[0].invocation)} to "
        f"{at(tried[-1].invocation)}, and none was ok"
    )
    events = {event.index for o in shown for event in (o.invocation, o.completion) if event}
    return Witness(text, tuple(sorted(events)), {"kind": "did not recover", "tried": len(tried)})


def _stands(fault: Fault, index: int) -> bool:
    """Whether the fault was started before that event, and its end was not done."""
    if fault.start.invocation.index > index:
        return False
    return fault.stop is None or (fault.stop.completion or fault.stop.invocation).index > index
