"""Convergence: once the network is whole and clients rest, replicas must come to hold the same.

1. The clock starts at the heal: the stage "recovery"; without it, the end of the last fault; without one, the start of
   the history. It starts at the end of the last `add` or `put` if that came later: while clients write, replicas may
   rightly differ.
2. A poll counts only if it was invoked after the clock started. What home replicas show, and when they differ,
   `replica_states` says. A key that is polled less often than others, or no more once it agreed, is judged by its own
   last polls; the harness asks for every key once more in the end (`docs/histories.md`).
3. A key converged if in the end at least two replicas show something and all that do show the same. It converged at the
   last moment at which it was seen to differ, 0 ms if it never was: `converged_after_ms` is that moment, counted from
   the clock's start. `agreed_by_ms` is the poll after which it was never seen to differ again.
4. Invalid if a key is still seen to differ in the end: it never converged. Unknown instead where the environment was
   lost (the stage "environment-lost"), for then the replicas had not had their time.
5. Invalid, with `within_ms`, if a key was seen to differ later than that.
6. Unknown if no key was shown by two home replicas; if a polled key was in the end not shown by two; or if the last
   poll of it on some node was not ok. What that node holds is not known then.
7. Unknown too, whatever was polled, if the last heal had no effect (`faults`) or a fault stood until the end.

Source: Dynamo (SOSP 2007), sections 4.6 and 4.7: hinted handoff and anti-entropy bring replicas back together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from splitbrain.checkers.algorithms.quantiles import quantiles_ms
from splitbrain.checkers.eventual.replica_states import KeyReplicas, ReplicaStates
from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.checkers.histories.faults import LOST, faults, stages, unhealed
from splitbrain.checkers.histories.final_reads import WRITES, Key
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, key_name, key_names, listing, milliseconds, seconds
from splitbrain.checkers.histories.replica_polls import Poll, polls
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness


@dataclass(frozen=True)
class Clock:
    """When the replicas' time to converge began: event index, ns, and what it counts from in words."""

    index: int
    start_ns: int
    since: str

    @classmethod
    def of(cls, history: History) -> Clock:
        """Start it by rule 1. O(n)."""
        start = _last(_starts(history))
        if start is None:
            return cls(-1, 0, "the start")
        return cls(start.index, start.time, "the heal" if start.process == NEMESIS else "the last write")


def _starts(history: History) -> Iterable[Event]:
    recovery = stages(history).get("recovery")
    ends = [fault.stop.completion or fault.stop.invocation for fault in faults(history) if fault.stop is not None]
    healed = recovery or _last(ends)
    if healed is not None:
        yield healed
    yield from (o.completion for o in history.operations if o.f in WRITES and o.completion is not None)


def _last(events: Iterable[Event]) -> Event | None:
    return max(events, key=lambda event: event.index, default=None)


@dataclass(frozen=True)
class Convergence:
    """What became of each key after the clock started. O(keys).

    never: keys that differ in the end. unclear: those of which too little is known. after_ns: when each key was last
    seen to differ, counted from the clock's start. slowest: the key for which that is latest, if there is a key.
    """

    clock: Clock
    keys: Mapping[Key, KeyReplicas]
    never: Sequence[Key]
    unclear: Sequence[Key]
    after_ns: Mapping[Key, int]
    slowest: Key

    @classmethod
    def of(cls, clock: Clock, keys: Mapping[Key, KeyReplicas]) -> Convergence:
        after = {key: replicas.converged_after_ns(clock.start_ns) for key, replicas in keys.items()}
        return cls(
            clock,
            keys,
            [key for key, replicas in keys.items() if replicas.differs],
            [key for key, replicas in keys.items() if replicas.unclear],
            after,
            max(after, key=lambda key: after[key], default=None),
        )

    @property
    def slowest_ms(self) -> float:
        """When the slowest key was last seen to differ; 0 without a key."""
        return milliseconds(self.after_ns.get(self.slowest, 0))

    def evidence(self) -> dict[str, Any]:
        names, doubtful = key_names(self.keys), {*self.never, *self.unclear}
        settled = self.after_ns and not doubtful
        return {
            "clock_start_ms": milliseconds(self.clock.start_ns),
            "converged_after_ms": milliseconds(max(self.after_ns.values())) if settled else None,
            "convergence_ms": quantiles_ms([self.after_ns[key] for key in self.keys if key not in doubtful]),
            "never_converged": [names[key] for key in self.never],
            "keys": {names[key]: _as_data(replicas, self.clock.start_ns) for key, replicas in self.keys.items()},
        }


@needs_real_time
def check(history: History, *, within_ms: Annotated[float, Meta(ge=0)] | None = None) -> Verdict:
    """Judge how long replicas differed after the heal.

    within_ms: the latest a key may be seen to differ; None allows any time, as long as it converges.
    Evidence: `clock_start_ms`, `converged_after_ms` (the slowest key), `convergence_ms` (quantiles over
    keys), `keys` {key: {converged_after_ms, agreed_by_ms, replicas}}, `never_converged` (keys), `fall_off`
    [[ms since the clock's start, keys then differing]], `diverged_over_time` [[ms, keys differing]] of the
    whole run. O(n log n).
    """
    every = polls(history)
    diverged = [[milliseconds(time), number] for time, number in ReplicaStates.of(every).points()]
    stands = _never_healed(history)
    if stands is not None:
        return Verdict.unknown(stands, diverged_over_time=diverged)
    clock = Clock.of(history)
    late = [poll for poll in every if poll.operation.invocation.index > clock.index]
    states = ReplicaStates.of(late)
    found = Convergence.of(clock, states.keys)
    evidence = {
        **found.evidence(),
        "fall_off": [[milliseconds(time - clock.start_ns), number] for time, number in states.points()],
        "diverged_over_time": diverged,
    }
    if found.never:
        return _never_converged(history, found, evidence)
    if within_ms is not None and found.slowest_ms > within_ms:
        reason = f"{key_name(found.slowest)} was seen to differ {found.slowest_ms:,} ms after {clock.since}, "
        reason += f"later than the {within_ms:,} ms allowed"
        return Verdict.invalid(reason, _slow_witness(found.slowest, late, found.keys[found.slowest]), **evidence)
    doubt = _doubt(found)
    if doubt is not None:
        return Verdict.unknown(doubt, **evidence)
    when = f"within {found.slowest_ms:,} ms of {clock.since}" if found.slowest_ms else "by the first polls"
    return Verdict.valid(f"{count(len(found.keys), 'key')} converged, {when}", **evidence)


def _never_healed(history: History) -> str | None:
    """Why the clock never started (rule 7), or None."""
    broken = unhealed(history)
    if broken is not None:
        return broken
    standing = [fault.label for fault in faults(history) if fault.stop is None]
    if standing and "recovery" not in stages(history):
        return f"{listing(standing)} stood until the end"
    return None


def _never_converged(history: History, found: Convergence, evidence: Mapping[str, Any]) -> Verdict:
    keys = listing(map(key_name, found.never))
    if LOST in stages(history):
        return Verdict.unknown(f"the environment was lost while the replicas of {keys} still differed", **evidence)
    reason = f"{len(found.never):,} of {count(len(found.keys), 'key')} never converged: {keys}"
    first = found.never[0]
    return Verdict.invalid(reason, _never_witness(first, found.keys[first], found.clock), **evidence)


def _doubt(found: Convergence) -> str | None:
    """Why agreement was not seen (rule 6), or None."""
    if not any(len(replicas.shown) > 1 for replicas in found.keys.values()):
        return f"no key was polled on two home replicas after {found.clock.since}"
    if found.unclear:
        return listing((_why_unclear(key, found.keys[key]) for key in found.unclear), limit=3)
    return None


def _why_unclear(key: Key, replicas: KeyReplicas) -> str:
    if replicas.silent:
        return f"the last poll of {key_name(key)} on {listing(sorted(replicas.silent))} was not ok"
    return f"the last polls of {key_name(key)} were not answered by two home replicas"


def _as_data(replicas: KeyReplicas, start_ns: int) -> dict[str, Any]:
    converged = not replicas.differs and not replicas.unclear
    agreed = replicas.agreed_ns
    return {
        "converged_after_ms": milliseconds(replicas.converged_after_ns(start_ns)) if converged else None,
        "agreed_by_ms": milliseconds(agreed - start_ns) if converged and agreed is not None else None,
        "replicas": len(replicas.shown),
    }


def _never_witness(key: Key, replicas: KeyReplicas, clock: Clock) -> Witness:
    shown = sorted(replicas.shown.items())
    last = replicas.differed_ns or clock.start_ns
    text = (
        f"the replicas of {key_name(key)} still differed when last polled, {milliseconds(last - clock.start_ns):,} ms "
        f"after {clock.since} at {seconds(clock.start_ns)}: {_as_prose(replicas.shown)}"
    )
    data = {"kind": "never converged", "key": key, "versions": {node: poll.versions for node, poll in shown}}
    return Witness(text, _events(poll for _, poll in shown), data)


def _slow_witness(key: Key, late: Sequence[Poll], final: KeyReplicas) -> Witness:
    """What the replicas showed at the last moment at which they were seen to differ."""
    replicas = KeyReplicas()
    shown: dict[str, Poll] = {}
    for poll in late:
        if poll.operation.key == key and poll.operation.completion is not None:
            replicas.observe(poll)
            shown = dict(replicas.shown) if replicas.differs else shown
    text = f"at {seconds(final.differed_ns or 0)} the replicas of {key_name(key)} still differed: {_as_prose(shown)}"
    data = {"kind": "slow", "key": key, "versions": {node: poll.versions for node, poll in shown.items()}}
    return Witness(text, _events(shown.values()), data)


def _as_prose(shown: Mapping[str, Poll]) -> str:
    """What each node held: versions, and their values where the versions alone show no difference."""
    same_ids = len({poll.versions for poll in shown.values()}) < 2
    parts = []
    for node, poll in sorted(shown.items()):
        held = [f"{id_} = {value:.60}" if same_ids else id_ for id_, value in poll.held or ()]
        parts.append(f"{node} held {listing(held or ['nothing'], limit=8)}")
    return "; ".join(parts)


def _events(some: Iterable[Poll]) -> tuple[int, ...]:
    operations = [poll.operation for poll in some]
    return tuple(sorted({event.index for o in operations for event in (o.invocation, o.completion) if event}))
