"""Faults and stages as the report shows them: read by `checkers.histories.faults`, with times and words added.

1. A fault stands from the completion of its start to the invocation of its stop, or to the end of the history.
2. Whether it took effect is what the nemesis observed; None where nothing tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from splitbrain.checkers.histories import faults as recorded
from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History

_PAINTED = {
    "partition": ("partition", "bridge", "one-way", "clients", "flapping"),
    "packets": ("packets",),
    "kill": ("kill", "terminate", "storm", "absence", "rolling-restart", "ambush", "power-cut", "wipe"),
    "pause": ("pause",),
    "clock": ("clock", "timers"),
    "disk": ("full-disk", "failing-disk", "stalled-disk", "bit-flip"),
    "membership": ("membership",),
}
PAINTS = {family: paint for paint, families in _PAINTED.items() for family in families}
"""How a family is painted, by colour and hatch: what does the same to a node looks the same."""


@dataclass(frozen=True)
class Band:
    """One fault.

    paint: one of PAINTS' values, or "other". title: its family, then shape or nodes. effective, healed: what was
    seen at its start and at its stop.
    dropped: packets it swallowed, if something counted them. silent: the directed links that were cut and
    silent.
    events: indices of its nemesis events.
    """

    fault: recorded.Fault
    family: str
    paint: str
    title: str
    start_ns: int
    stop_ns: int
    effective: bool | None
    detail: str
    healed: bool | None
    healed_detail: str
    dropped: int | None
    silent: tuple[str, ...]
    events: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the run, from its event to the next."""

    name: str
    start_ns: int
    stop_ns: int


def end_ns(history: History) -> int:
    """The time of the last event, 0 if there is none."""
    return max((event.time for event in history.events), default=0)


def stages(history: History) -> list[Stage]:
    """The stages, in order. O(n)."""
    marks = sorted(recorded.stages(history).items(), key=lambda mark: mark[1].index)
    ends = [event.time for _, event in marks[1:]] + [end_ns(history)]
    return [Stage(name, event.time, until) for (name, event), until in zip(marks, ends, strict=False)]


def bands(history: History) -> list[Band]:
    """The faults, in the order of their starts. O(n + starts * stops)."""
    last = end_ns(history)
    return [_band(fault, last) for fault in recorded.faults(history)]


def _band(fault: recorded.Fault, last: int) -> Band:
    stop = fault.stop
    seen = _evidence(stop.completion if stop else None)
    dropped = seen.get("dropped")
    begun = [fault.start.invocation, fault.start.completion]
    ended = [stop.invocation, stop.completion] if stop else []
    return Band(
        fault,
        fault.family,
        PAINTS.get(fault.family, "other"),
        fault.label,
        fault.began.time,
        fault.ended.time if fault.ended else last,
        fault.start.effective,
        fault.start.detail,
        stop.effective if stop else None,
        stop.detail if stop else "never stopped: the history ends with it",
        dropped if isinstance(dropped, int) else None,
        tuple(_silent(_evidence(fault.start.completion).get("links"))),
        tuple(sorted({event.index for event in (*begun, *ended) if event})),
    )


def _evidence(event: Event | None) -> Mapping[str, Any]:
    value = event.value if event else None
    evidence = value.get("evidence") if isinstance(value, dict) else None
    return evidence if isinstance(evidence, dict) else {}


def _silent(links: Any) -> Iterable[str]:
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("cut") and not link.get("heard"):
            yield f"{link.get('source')}→{link.get('target')}"
