"""Evidence: was this test meaningful at all?

1. A test is invalid if
   a. it reached the stage "not-recovered": the system did not serve again after the last heal; or it took no write
      within `recovery_s` of some heal (`progress`);
   b. a process died by itself, as the nemesis found when it ended a fault;
   c. there was certainly a write outage after the first fault (`write_outage`). One that is not certain is a doubt as
      below.
2. Otherwise it is unknown, and each reason is named, if
   a. fewer than `min_operations` of the load (`observations`) were `ok`, or writes were tried in it and none was `ok`;
   b. an action of the nemesis had no effect: it failed, or what was seen afterwards says so; or a fault was found gone
      before it was ended;
   c. a fault that was asked for (`faults`) was never started, or nothing shows that it took effect;
   d. a fault that was asked for struck no client operation (`faults`) at any time that it took effect;
   e. the history has stages, and a key that was read after "final-reads" has no final read (`final_reads`) through one
      of the nodes that occur in the history;
   f. the history's last line was cut off;
   g. the environment was lost (the stage "environment-lost").
3. Otherwise valid. As part of several verdicts it works as any other: unknown here makes the whole unknown, unless
   something is invalid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from msgspec import Meta

from splitbrain.checkers.histories.faults import LOST, Action
from splitbrain.checkers.histories.final_reads import WRITES
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, key_name, listing, seconds
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.service.observations import FamilyFigures, Observations
from splitbrain.checkers.service.progress import PATIENCE_S, mute_times
from splitbrain.checkers.service.progress import witness as mute_witness
from splitbrain.checkers.service.write_outage import WriteOutage
from splitbrain.checkers.verdict import Verdict, Witness


@needs_real_time
def check(
    history: History,
    *,
    faults: tuple[str, ...] = (),
    min_operations: Annotated[int, Meta(ge=1)] = 10,
    recovery_s: Annotated[float, Meta(gt=0)] = PATIENCE_S,
) -> Verdict:
    """Judge whether the history can show anything.

    faults: families that the test was to have, such as "partition". min_operations: so many must be ok at
    least before the recovery. recovery_s: how long the system may take to serve again after a heal, in seconds.
    Evidence: `operations`, `ok`, `fail`, `info`, `keys`; `ok_before_recovery`; `nodes`,
    `nodes_read_at_the_end`; `recovered` (None without stages); `faults` {family: {started, effective, struck}};
    `ineffective` [action and what was seen]; `gone` [fault that was gone before its end]; `died` [node].
    O(n * faults + keys * nodes).
    """
    seen = Observations.of(history)
    evidence = _as_data(seen)
    outage = WriteOutage.of(history, seen.load)
    complaints = dict(_complaints(seen, outage, recovery_s))
    if complaints:
        return Verdict.invalid("; ".join(complaints), next(iter(complaints.values())), **evidence)
    doubts = [
        *_doubts_about_operations(seen, outage, min_operations),
        *_doubts_about_faults(seen, faults),
        *_doubts_about_the_end(seen),
    ]
    if doubts:
        return Verdict.unknown("; ".join(doubts), **evidence)
    return Verdict.valid(_summary(seen), **evidence)


def _as_data(seen: Observations) -> dict[str, Any]:
    outcomes = Counter(operation.outcome for operation in seen.operations)
    return {
        "operations": len(seen.operations),
        "ok": outcomes["ok"],
        "fail": outcomes["fail"],
        "info": outcomes["info"],
        "keys": seen.keys,
        "ok_before_recovery": seen.ok_in_load,
        "nodes": seen.nodes,
        "nodes_read_at_the_end": seen.read,
        "recovered": seen.recovered,
        "faults": {family: asdict(figures) for family, figures in seen.faults.items()},
        "ineffective": seen.ineffective,
        "gone": seen.gone,
        "died": seen.died,
    }


def _complaints(seen: Observations, outage: WriteOutage | None, recovery_s: float) -> Iterator[tuple[str, Witness]]:
    """What makes the test invalid (rule 1), each with its witness."""
    if "not-recovered" in seen.reached:
        yield "the system did not recover after the last heal", _no_recovery(seen)
    if seen.died:
        by_what = "itself; see its log" if len(seen.died) == 1 else "themselves; see their logs"
        yield f"{listing(seen.died)} died by {by_what}", _death(seen.deaths, seen.died)
    for quiet, tried in mute_times(seen.history, seen.load, recovery_s)[:1]:
        since = f"within {recovery_s:g} s after the heal at {seconds(quiet.since_ns)}"
        yield f"the system did not recover: no write succeeded {since}", mute_witness(quiet, tried)
    if outage is not None and outage.certain:
        yield "no write succeeded any more after the first fault", outage.witness()


def _doubts_about_operations(seen: Observations, outage: WriteOutage | None, min_operations: int) -> Iterator[str]:
    enough = seen.ok_in_load
    if enough < min_operations:
        were = "was" if enough == 1 else "were"
        yield f"only {count(enough, 'operation')} {were} ok, and {min_operations:,} are needed"
    writes = [operation for operation in seen.load if operation.f in WRITES]
    if writes and all(write.outcome != "ok" for write in writes):
        yield f"none of {count(len(writes), 'write')} was ok"
    if outage is not None:
        late = f"{len(outage.late):,} were tried after the last heal"
        yield f"no write succeeded any more after the first fault; {late}"


def _doubts_about_faults(seen: Observations, asked: Sequence[str]) -> Iterator[str]:
    if seen.ineffective:
        yield f"a fault had no effect: {listing(seen.ineffective, limit=2)}"
    yield from seen.gone
    for family in asked:
        match seen.faults.get(family):
            case None:
                yield f"{family} was asked for and never started"
            case FamilyFigures(effective=0):
                yield f"nothing shows that {family} took effect"
            case FamilyFigures(struck=0):
                yield f"{family} overlapped no operation"


def _doubts_about_the_end(seen: Observations) -> Iterator[str]:
    if seen.reached:
        yield from _doubts_about_final_reads(seen)
    if LOST in seen.reached:
        yield "the environment was lost before the run was over"
    if seen.history.truncated:
        yield "the history's last line is cut off: the run was killed"


def _doubts_about_final_reads(seen: Observations) -> Iterator[str]:
    if not seen.read:
        yield f"no node was read at the end: {seen.final.missing}"
        return
    unread = sorted(set(seen.nodes) - set(seen.read))
    if unread:
        yield f"{listing(unread)} had no final read"
    pairs = seen.keys_unread()
    if pairs:
        key, node = pairs[0]
        others = f", nor {len(pairs) - 1:,} more pairs of key and node" if len(pairs) > 1 else ""
        yield f"{key_name(key)} had no final read through {node}{others}"


def _summary(seen: Observations) -> str:
    parts = [f"{count(len(seen.operations), 'operation')} on {count(seen.keys, 'key')}"]
    for family, figures in seen.faults.items():
        times = "once" if figures.effective == 1 else f"{figures.effective:,} times"
        parts.append(f"{family} took effect {times} and overlapped {count(figures.struck, 'operation')}")
    if seen.reached:
        parts.append(f"{len(seen.read)} of {count(len(seen.nodes), 'node')} read at the end")
    return "; ".join(parts)


def _death(deaths: Sequence[Action], nodes: Sequence[str]) -> Witness:
    found = [
        f"{listing(sorted(action.died))} {'were' if len(action.died) > 1 else 'was'} found dead at "
        f"{seconds(action.invocation.time)}, and not killed by the nemesis"
        for action in deaths
    ]
    events = {event.index for action in deaths for event in (action.invocation, action.completion) if event}
    return Witness("; ".join(found), tuple(sorted(events)), {"kind": "died", "nodes": nodes})


def _no_recovery(seen: Observations) -> Witness:
    given_up = seen.reached["not-recovered"]
    heal = seen.reached.get("recovery")
    since = f"healed by {seconds(heal.time)}, " if heal else ""
    text = f"all faults were {since}and at {seconds(given_up.time)} the system still did not answer"
    events = tuple(sorted(event.index for event in (heal, given_up) if event))
    return Witness(text, events, {"kind": "no recovery"})
