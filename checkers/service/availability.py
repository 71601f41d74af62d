"""Availability: whether clients were served, and how soon again after a fault was healed.

1. Only the clients' operations that were invoked before the stage "recovery" are judged, without replica polls (in a
   history without that stage, all of them). What comes after it is the harness asking, once all is healed.
2. The ok rate is the share of them that were `ok`; a definite failure is no service either. It is given overall, for
   each fault over the operations that it struck (`faults`), and over those that none struck.
3. A silence ends with an `ok` completion, or with the last of these operations' events. It starts with the `ok`
   completion before it if another operation was then outstanding, else with the first invocation after that, or
   the moment when that was due: while no client asks there is no silence.
4. The time to recover after a heal is from the invocation of the fault's stop to the first `ok` completion of an
   operation invoked after that, or to the stage "recovered" if that came first. If the fault names nodes (a kill, a
   pause), the operation must have gone through such a node, and the slowest of its nodes counts.
5. Invalid if the ok rate is below `min_ok_rate`. Unknown if there is no operation. Otherwise valid: without a bound
   this describes, and a description of something is not unknown.

Source: Dynamo (SOSP 2007), section 6.6 (99.9995% answered without timing out).
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.faults import Fault, Span, faults, stages
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import count, milliseconds, seconds
from splitbrain.checkers.histories.replica_polls import POLL, client_operations
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness


@needs_real_time
def check(history: History, *, min_ok_rate: Annotated[float, Meta(ge=0, le=1)] | None = None) -> Verdict:
    """Describe how well clients were served, and judge it where there is a bound.

    min_ok_rate: the least share of ok operations, 0 to 1; None judges nothing.
    Evidence: `operations`, `ok`, `fail`, `info`, `ok_rate`; `without_fault` {operations, ok, ok_rate};
    `windows`, one a fault [{fault, family, start_ms, stop_ms, operations, ok, ok_rate, recovered_after_ms}];
    `longest_silence_ms` and `longest_silence` [from, to] in ms. O(n * faults), in numpy.
    """
    recovery = stages(history).get("recovery")
    last = recovery.index if recovery else len(history.events)
    operations = [operation for operation in client_operations(history) if operation.invocation.index < last]
    if not operations:
        return Verdict.unknown("no client asked for anything")
    found = faults(history)
    span = Span.of(operations)
    ok = np.array([operation.outcome == "ok" for operation in operations], dtype=np.bool_)
    failed = sum(operation.outcome == "fail" for operation in operations)
    begin, end = _longest_silence(history, operations)
    served = int(ok.sum())
    rate = served / len(operations)
    evidence: dict[str, Any] = {
        **_rate(ok),
        "fail": failed,
        "info": len(operations) - served - failed,
        "without_fault": _rate(ok[~span.struck_by_any(found)]),
        "windows": [_window(history, fault, ok[span.struck(fault)]) for fault in found],
        "longest_silence_ms": milliseconds(end.time - begin.intended_time),
        "longest_silence": [milliseconds(begin.intended_time), milliseconds(end.time)],
    }
    summary = (
        f"{rate:.2%} of {count(len(operations), 'operation')} were ok; the longest silence was "
        f"{milliseconds(end.time - begin.intended_time):,} ms"
    )
    if min_ok_rate is not None and rate < min_ok_rate:
        text = (
            f"{served:,} of {count(len(operations), 'operation')} were ok, {failed:,} failed, "
            f"{len(operations) - served - failed:,} were never answered; nobody was served "
            f"from {seconds(begin.intended_time)} to {seconds(end.time)}"
        )
        witness = Witness(text, tuple(sorted({begin.index, end.index})), {"kind": "ok rate", "ok_rate": rate})
        return Verdict.invalid(f"{summary}; at least {min_ok_rate:.2%} must be ok", witness, **evidence)
    return Verdict.valid(summary, **evidence)


def _rate(ok: npt.NDArray[np.bool_]) -> dict[str, Any]:
    served = int(ok.sum())
    return {"operations": len(ok), "ok": served, "ok_rate": round(served / len(ok), 6) if len(ok) else None}


def _window(history: History, fault: Fault, ok: npt.NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "fault": fault.label,
        "family": fault.family,
        "start_ms": milliseconds(fault.began.time),
        "stop_ms": milliseconds(fault.ended.time) if fault.ended else None,
        **_rate(ok),
        "recovered_after_ms": _recovered_after_ms(history, fault),
    }


def _recovered_after_ms(history: History, fault: Fault) -> float | None:
    """Time from the heal to service through the last of the struck nodes. None if there was no heal, or if one of the
    nodes never served again. O(n).
    """
    if fault.stop is None:
        return None
    healed = fault.stop.invocation
    first = _first_answers(history, healed, by_node=bool(fault.start.nodes))
    recovered = stages(history).get("recovered")
    signs = []
    for node in fault.start.nodes or (None,):
        some = [event for event in (first.get(node), recovered) if event and event.index > healed.index]
        if not some:
            return None
        signs.append(min(some, key=lambda event: event.index))
    return milliseconds(max(event.time for event in signs) - healed.time)


def _first_answers(history: History, healed: Event, *, by_node: bool) -> dict[str | None, Event]:
    """The first ok completion of an operation invoked after the heal: through each node, or of all under None."""
    first: dict[str | None, Event] = {}
    for operation in history.operations:
        event = operation.completion
        if event is None or event.type != "ok" or operation.invocation.index <= healed.index:
            continue
        node = (event.node or operation.invocation.node) if by_node else None
        if node not in first or event.index < first[node].index:
            first[node] = event
    return first


def _longest_silence(history: History, operations: list[Operation]) -> tuple[Event, Event]:
    """The first and the last event of the longest silence; the earliest of several. O(n)."""
    judged = {operation.invocation.index for operation in operations}
    outstanding: set[int | str] = set()
    since: Event | None = None
    last: Event | None = None
    longest: tuple[Event, Event] | None = None
    for event in history.events:
        if event.process == "nemesis" or event.f == POLL:
            continue
        if event.type == "invoke":
            if event.index not in judged:
                continue
            outstanding.add(event.process)
            since = since or event
        elif event.process in outstanding:
            outstanding.discard(event.process)
            if event.type == "ok":
                longest = _longer(longest, since, event)
                since = event if outstanding else None
        else:
            continue
        last = event
    if since is not None:
        longest = _longer(longest, since, last)
    assert longest is not None
    return longest


def _longer(longest: tuple[Event, Event] | None, since: Event | None, until: Event | None) -> tuple[Event, Event]:
    assert since is not None and until is not None
    if longest is not None and until.time - since.intended_time <= longest[1].time - longest[0].intended_time:
        return longest
    return since, until
