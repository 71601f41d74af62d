"""Convergence: once the network is whole and clients rest, replicas must come to hold the same.

1. The clock starts at the heal: the stage "recovery"; without it, the end of the last fault; without one, the
   start of the history. It starts at the end of the last `add` or `put` if that came later: while clients
   write, replicas may rightly differ.
2. A home replica shows what its last poll returned (`replica_polls`); if that got no answer, it shows
   nothing. A poll counts at its completion, and only if it was invoked after the clock started.
3. A key is seen to differ at a moment if two home replicas then show different versions, or different values
   of the same version.
4. A key converged at the last moment at which it was seen to differ (0 ms if it never was), provided that in
   the end at least two replicas show something and all that do show the same. `converged_after_ms` is that
   moment, counted from the clock's start; `agreed_by_ms` is the poll after which it was never seen to differ
   again.
5. A key that is still seen to differ in the end never converged: invalid, or unknown where the environment was lost
   (the stage "environment-lost"), for then the replicas had not had their time. Invalid is, with `within_ms`, a
   key that was seen to differ later than that.
6. Unknown if no key was shown by two home replicas; if a polled key was in the end not shown by two; if the
   last poll of it on some node was not ok: what that node holds nobody knows; or, whatever was polled, if the
   last heal had no effect (`faults`) or a fault stood until the end of the history.

Source: Dynamo (SOSP 2007), sections 4.6 and 4.7: hinted handoff and anti-entropy bring replicas back
together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from splitbrain.checkers.algorithms.quantiles import quantiles_ms
from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.checkers.histories.faults import LOST, faults, stages, unhealed
from splitbrain.checkers.histories.final_reads import WRITES, Key
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, key_name, key_names, listing, milliseconds, seconds
from splitbrain.checkers.histories.replica_polls import Poll, polls
from splitbrain.checkers.verdict import Verdict, Witness

_POINTS = 500  # Enough for any chart; a run may have a hundred thousand polls.


@dataclass
class Picture:
    """What the home replicas of one key show.

    shown: each node's last poll, if it was answered by a home replica. silent: nodes whose last poll was not ok.
    differed_ns, agreed_ns: the last moment seen to differ, and the first after it at which they no longer were.
    """

    shown: dict[str, Poll] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    differed_ns: int | None = None
    agreed_ns: int | None = None

    def look(self, poll: Poll, time_ns: int) -> None:
        """Take in one more poll, completed at that time."""
        self.shown.pop(poll.node, None)
        self.silent.discard(poll.node)
        if poll.operation.outcome != "ok":
            self.silent.add(poll.node)
        elif poll.versions is not None:
            self.shown[poll.node] = poll
        if self.differs:
            self.differed_ns, self.agreed_ns = time_ns, None
        elif self.agreed_ns is None and len(self.shown) > 1:
            self.agreed_ns = time_ns

    @property
    def differs(self) -> bool:
        return len({poll.held for poll in self.shown.values()}) > 1

    @property
    def unclear(self) -> bool:
        """Too few replicas show anything, or nobody knows what one of the nodes holds."""
        return len(self.shown) < 2 or bool(self.silent)

    def converged_after_ns(self, start_ns: int) -> int:
        """The last moment seen to differ, counted from the clock's start."""
        return 0 if self.differed_ns is None else max(0, self.differed_ns - start_ns)


def check(history: History, *, within_ms: Annotated[float, Meta(ge=0)] | None = None) -> Verdict:
    """Judge how long replicas differed after the heal.

    within_ms: the latest a key may be seen to differ; None allows any time, as long as it converges.
    Evidence: `clock_start_ms`, `converged_after_ms` (the slowest key), `convergence_ms` (quantiles over
    keys), `keys` {key: {converged_after_ms, agreed_by_ms, replicas}}, `never_converged` (keys), `fall_off`
    [[ms since the clock's start, keys then differing]], `diverged_over_time` [[ms, keys differing]] of the
    whole run. O(n log n).
    """
    every = polls(history)
    whole_run, _ = _watch(every)
    diverged = [[milliseconds(time), number] for time, number in whole_run]
    broken = unhealed(history)
    if broken is not None:
        return Verdict.unknown(broken, diverged_over_time=diverged)
    reached = stages(history)
    standing = [fault.label for fault in faults(history) if fault.stop is None]
    if standing and "recovery" not in reached:
        return Verdict.unknown(f"{listing(standing)} stood until the end", diverged_over_time=diverged)
    start = _clock_start(history)
    late = [poll for poll in every if start is None or poll.operation.invocation.index > start.index]
    start_ns = start.time if start else 0
    since = "the start" if start is None else "the heal" if start.process == NEMESIS else "the last write"
    curve, pictures = _watch(late)
    after = {key: picture.converged_after_ns(start_ns) for key, picture in pictures.items()}
    never = [key for key, picture in pictures.items() if picture.differs]
    blind = [key for key, picture in pictures.items() if picture.unclear]
    names = key_names(pictures)
    evidence: dict[str, Any] = {
        "clock_start_ms": milliseconds(start_ns),
        "converged_after_ms": milliseconds(max(after.values())) if after and not {*never, *blind} else None,
        "convergence_ms": quantiles_ms([after[key] for key in pictures if key not in {*never, *blind}]),
        "never_converged": [names[key] for key in never],
        "keys": {names[key]: _as_data(picture, start_ns) for key, picture in pictures.items()},
        "fall_off": [[milliseconds(time - start_ns), number] for time, number in curve],
        "diverged_over_time": diverged,
    }
    keys = listing(map(key_name, never))
    if never and LOST in reached:
        return Verdict.unknown(f"the environment was lost while the replicas of {keys} still differed", **evidence)
    if never:
        reason = f"{len(never):,} of {count(len(pictures), 'key')} never converged: {keys}"
        return Verdict.invalid(reason, _never_witness(never[0], pictures[never[0]], start_ns, since), **evidence)
    slowest = max(after, key=lambda key: after[key], default=None)
    if within_ms is not None and after and milliseconds(after[slowest]) > within_ms:
        reason = f"{key_name(slowest)} was seen to differ {milliseconds(after[slowest]):,} ms after {since}, "
        reason += f"later than the {within_ms:,} ms allowed"
        return Verdict.invalid(reason, _slow_witness(slowest, late, pictures[slowest]), **evidence)
    if not any(len(picture.shown) > 1 for picture in pictures.values()):
        return Verdict.unknown(f"no key was polled on two home replicas after {since}", **evidence)
    if blind:
        told = (_why_unclear(key, pictures[key]) for key in blind)
        return Verdict.unknown(listing(told, limit=3), **evidence)
    when = f"within {milliseconds(after[slowest]):,} ms of {since}" if after[slowest] else "by the first polls"
    return Verdict.valid(f"{count(len(pictures), 'key')} converged, {when}", **evidence)


def _why_unclear(key: Key, picture: Picture) -> str:
    if picture.silent:
        return f"the last poll of {key_name(key)} on {listing(sorted(picture.silent))} was not ok"
    return f"the last polls of {key_name(key)} were not answered by two home replicas"


def _clock_start(history: History) -> Event | None:
    recovery = stages(history).get("recovery")
    ends = [fault.stop.completion or fault.stop.invocation for fault in faults(history) if fault.stop is not None]
    candidates = [recovery] if recovery else [max(ends, key=lambda event: event.index)] if ends else []
    candidates += [o.completion for o in history.operations if o.f in WRITES and o.completion is not None]
    return max(candidates, key=lambda event: event.index, default=None)


def _watch(some: Sequence[Poll]) -> tuple[list[tuple[int, int]], dict[Key, Picture]]:
    """Take in polls in order. Returns (time in ns, keys then differing) where that changes, and the last pictures."""
    pictures: dict[Key, Picture] = {}
    differing: set[Key] = set()
    curve: list[tuple[int, int]] = []
    for poll in some:
        completion = poll.operation.completion
        key = poll.operation.key
        picture = pictures.setdefault(key, Picture())
        if completion is None:  # Nobody knows when it would have been answered, only that it was not.
            picture.shown.pop(poll.node, None)
            picture.silent.add(poll.node)
            continue
        picture.look(poll, completion.time)
        (differing.add if picture.differs else differing.discard)(key)
        if not curve or curve[-1][1] != len(differing):
            curve.append((completion.time, len(differing)))
    stride = len(curve) // _POINTS + 1
    thinned = curve[::stride]
    if curve and thinned[-1] != curve[-1]:
        thinned.append(curve[-1])
    return thinned, pictures


def _as_data(picture: Picture, start_ns: int) -> dict[str, Any]:
    converged = not picture.differs and not picture.unclear
    agreed = picture.agreed_ns
    return {
        "converged_after_ms": milliseconds(picture.converged_after_ns(start_ns)) if converged else None,
        "agreed_by_ms": milliseconds(agreed - start_ns) if converged and agreed is not None else None,
        "replicas": len(picture.shown),
    }


def _never_witness(key: Key, picture: Picture, start_ns: int, since: str) -> Witness:
    shown = sorted(picture.shown.items())
    told = _as_prose(picture.shown)
    last = picture.differed_ns or start_ns
    text = (
        f"the replicas of {key_name(key)} still differed when last polled, "
        f"{milliseconds(last - start_ns):,} ms after {since} at {seconds(start_ns)}: {told}"
    )
    data = {"kind": "never converged", "key": key, "versions": {node: poll.versions for node, poll in shown}}
    return Witness(text, _events([poll for _, poll in shown]), data)


def _slow_witness(key: Key, late: Sequence[Poll], final: Picture) -> Witness:
    """What the replicas showed at the last moment at which they were seen to differ."""
    picture = Picture()
    shown: dict[str, Poll] = {}
    for poll in late:
        if poll.operation.key == key and poll.operation.completion is not None:
            picture.look(poll, poll.operation.completion.time)
            shown = dict(picture.shown) if picture.differs else shown
    text = f"at {seconds(final.differed_ns or 0)} the replicas of {key_name(key)} still differed: {_as_prose(shown)}"
    data = {"kind": "slow", "key": key, "versions": {node: poll.versions for node, poll in shown.items()}}
    return Witness(text, _events(shown.values()), data)


def _as_prose(shown: Mapping[str, Poll]) -> str:
    """What each node held: versions, and their values where the versions alone don't tell the difference."""
    same_ids = len({poll.versions for poll in shown.values()}) < 2
    told = []
    for node, poll in sorted(shown.items()):
        held = [f"{id_} = {value:.60}" if same_ids else id_ for id_, value in poll.held or ()]
        told.append(f"{node} held {listing(held or ['nothing'], limit=8)}")
    return "; ".join(told)


def _events(some: Any) -> tuple[int, ...]:
    operations = [poll.operation for poll in some]
    return tuple(sorted({event.index for o in operations for event in (o.invocation, o.completion) if event}))
