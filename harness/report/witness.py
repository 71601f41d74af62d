"""Witnesses: the anomalies of a run, each with its prose, its operations and a drawing of them.

1. Every checker's witness is one anomaly. Those of invalid verdicts come first, in the checkers' order.
2. In the prose, a number becomes a link only if it is that of an event of this witness, and is named as one's: `#12`,
   `events 3 and 4`. So does the time of such an event (`12.345 s`). Any other 12 may be a value.
3. The drawing keeps the order of moments, not the scale: long silences are shortened, and it says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup, escape

from splitbrain.checkers.histories.history import History
from splitbrain.harness.report.columns import OUTCOMES, Columns
from splitbrain.harness.report.faults import Band
from splitbrain.harness.report.plain_text import visible
from splitbrain.harness.report.timeline import WITNESS_LIMIT, brief

ANOMALIES = 50
OTHERS = 200
ROWS = 24
FEW = 6
_NUMBER = r"\d+(?!\d*\.\d|\d)"
_LINKED = re.compile(
    r"(?P<moment>\b\d+\.\d{3} s\b)|(?P<before>#|\b(?:events?|operations?|ops?|ind(?:ex|exes|ices)|lines?)\s+#?)"
    rf"(?P<numbers>{_NUMBER}(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s*[-–]\s*|\s*→\s*)#?{_NUMBER})*)",
    re.IGNORECASE,
)
NEAR_NS = 1_000_000_000
"""Operations of a witness that far from each other, or less, are looked at together."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One witness.

    operations: positions in the columns, ascending, without repeats. others: what else went wrong in the same way, if
    the witness's data lists it: mappings, each with the `index` of an event. others_name: what the data calls them.
    total: how many of them there are, listed or not, as far as the verdict counts them.
    """

    checker: str
    verdict: str
    reason: str
    text: str
    events: tuple[int, ...]
    operations: tuple[int, ...]
    data: Any
    others_name: str = ""
    others: tuple[Mapping[str, Any], ...] = ()
    total: int = 0

    @property
    def focus(self) -> int | None:
        """The event that the witness is about: what was lost, what can't be placed; None if it says nothing of that."""
        data = self.data if isinstance(self.data, dict) else {}
        named = [data.get("blocked"), data.get("index"), *(other["index"] for other in self.others[:1])]
        return next((each for each in named if type(each) is int and each >= 0), None)


@dataclass(frozen=True, slots=True)
class Row:
    """One operation of a drawing. left, width: per cent of the drawing's breadth."""

    operation: int
    left: float
    width: float


def anomalies(results: Mapping[str, Any], table: Columns) -> list[Anomaly]:
    """The anomalies in the results, at most ANOMALIES. O(anomalies · n)."""
    found: list[Anomaly] = []
    for name, verdict in _verdicts(results, ""):
        witness = verdict.get("witness")
        if not isinstance(witness, dict):
            continue
        events = tuple(event for event in witness.get("events") or () if isinstance(event, int))
        at = sorted({row for event in events if (row := table.at_event(event)) is not None})
        # The same witness may stand on the whole and on the part it came from.
        if any(other.text == witness.get("text") and other.events == events for other in found):
            continue
        name_of_others, others = _others(witness.get("data"))
        counted = verdict.get(name_of_others)
        found.append(
            Anomaly(
                name or "verdict",
                str(verdict.get("verdict", "unknown")),
                str(verdict.get("reason", "")),
                str(witness.get("text") or ""),
                events,
                tuple(at),
                witness.get("data"),
                name_of_others,
                others,
                max(len(others), counted) if type(counted) is int else len(others),
            )
        )
    return sorted(found, key=lambda anomaly: anomaly.verdict != "invalid")[:ANOMALIES]


def _others(data: Any) -> tuple[str, tuple[Mapping[str, Any], ...]]:
    """The first list in a witness's data whose members point at events, and its name."""
    for name, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, list) and value and all(isinstance(each, dict) and "index" in each for each in value):
            return str(name), tuple(each for each in value[:OTHERS] if isinstance(each["index"], int))
    return "", ()


def _verdicts(verdict: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each verdict with its name, parts before the whole."""
    parts = verdict.get("checkers")
    if isinstance(parts, dict):
        for name, part in parts.items():
            if isinstance(part, dict):
                yield from _verdicts(part, f"{path} · {name}" if path else str(name))
    yield path, verdict


def prose(text: str, events: Collection[int], moments: Mapping[str, int]) -> Markup:
    """The prose, escaped, with links on the numbers and the moments of the witness's events.

    events: their indices. moments: event index by its moment as checkers write it, `12.345 s`.
    """
    out = Markup()
    position = 0
    link = Markup('<a class="op" href="#op={}">{}</a>')
    for match in _LINKED.finditer(text):
        out += escape(visible(text[position : match.start()]))
        position = match.end()
        if match["moment"]:
            event = moments.get(match["moment"])
            out += escape(match["moment"]) if event is None else link.format(event, match["moment"])
            continue
        out += escape(match["before"])
        for part in re.split(r"(\d+)", match["numbers"]):
            out += link.format(part, part) if part.isdigit() and int(part) in events else escape(part)
    return out + escape(visible(text[position:]))


def together(anomaly: Anomaly, table: Columns, focus: int) -> list[int]:
    """The operations around the one that the anomaly is about, without those that are far away in time: the final reads
    of a lost write may be a minute after it.

    focus: its position.
    """
    low, high = int(table.start[focus]), int(table.end[focus])
    kept = {focus}
    for at in sorted(anomaly.operations, key=lambda at: abs(int(table.start[at]) - low)):
        if table.start[at] <= high + NEAR_NS and table.end[at] >= low - NEAR_NS:
            kept.add(at)
            low, high = min(low, int(table.start[at])), max(high, int(table.end[at]))
    return sorted(kept)


def draw(anomaly: Anomaly, table: Columns, faults: Sequence[Band]) -> dict[str, Any]:
    """Rows and fault bands of the anomaly's drawing, in per cent of its breadth. O(r log r) in its
    operations.

    Returns {"rows": [Row], "left_out": count, "bands": [(left, width, Band, whether there is room for its name)]}.
    """
    chosen = anomaly.operations[:ROWS]
    starts, ends = [int(table.start[at]) for at in chosen], [int(table.end[at]) for at in chosen]
    moments = sorted({*starts, *ends})
    if not moments:
        return {"rows": [], "left_out": 0, "bands": []}
    place = _places(moments)
    rows = [
        Row(at, place[start], max(place[end] - place[start], 0.6))
        for at, start, end in zip(chosen, starts, ends, strict=True)
    ]
    bands = []
    for fault in faults:
        if fault.stop_ns < moments[0] or fault.start_ns > moments[-1]:
            continue
        left, right = _between(fault.start_ns, moments, place), _between(fault.stop_ns, moments, place)
        bands.append((left, max(right - left, 0.4), fault))
    return {"rows": rows, "left_out": len(anomaly.operations) - len(chosen), "bands": _named(bands)}


def _named(bands: Sequence[tuple[float, float, Band]]) -> list[tuple[float, float, Band, bool]]:
    """Names are a line beside each other: one that would lie on another is left to the pointer."""
    free, found = 0.0, []
    for left, width, fault in bands:
        room = left >= free and left < 90
        if room:
            free = left + max(1.1 * len(fault.title), 4)
        found.append((left, width, fault, room))
    return found


def _places(moments: Sequence[int]) -> dict[int, float]:
    """Where each moment is drawn, 2 to 98 per cent: half by rank, half by the root of the time passed."""
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    weights = [1.0 + len(gaps) * (gap**0.5) / (sum(g**0.5 for g in gaps) or 1) for gap in gaps]
    total = sum(weights) or 1.0
    place, at = {moments[0]: 2.0}, 0.0
    for moment, weight in zip(moments[1:], weights, strict=True):
        at += weight
        place[moment] = round(2.0 + 96.0 * at / total, 3)
    return place


def _between(time_ns: int, moments: Sequence[int], place: Mapping[int, float]) -> float:
    if time_ns <= moments[0]:
        return 0.0
    if time_ns >= moments[-1]:
        return 100.0
    later = next(at for at, moment in enumerate(moments) if moment >= time_ns)
    low, high = moments[later - 1], moments[later]
    share = (time_ns - low) / (high - low)
    return place[low] + share * (place[high] - place[low])


def cells(history: History, table: Columns, row: Row, data: Any) -> dict[str, Any]:
    """What the drawing says of one operation in words. data: the witness's, whose `value` is looked for in lists."""
    operation = history.operations[row.operation]
    asked, done = operation.invocation, operation.completion
    return {
        "index": asked.index,
        "start_s": asked.time / 1e9,
        "took": None if done is None else _duration((done.time - asked.time) / 1e6),
        "process": operation.process,
        "node": (done.node if done else None) or asked.node or "",
        "f": asked.f,
        "key": "" if asked.key is None else str(asked.key),
        "value": _value(operation.value, data),
        "outcome": OUTCOMES[int(table.outcome[row.operation])],
        "open": done is None,
        "error": (done.error if done else None) or "",
        "left": row.left,
        "width": row.width,
    }


def _duration(ms: float) -> str:
    return f"{ms:.3g} ms" if ms < 1000 else f"{ms / 1000:.3f} s"


def _value(value: Any, data: Any) -> str:
    """In a witness about one value, what matters of a long list is whether it holds that."""
    sought = data.get("value") if isinstance(data, dict) else None
    if not isinstance(value, list) or not isinstance(sought, int | str):
        return brief(value, WITNESS_LIMIT // 4)
    holds = f"{'with' if sought in value else 'without'} {brief(sought)}"
    return f"{brief(value)} {holds}" if len(value) <= FEW else f"{len(value):,} values, {holds}"
