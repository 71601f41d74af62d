"""Two or three operations that contradict each other: a lane an operation, joined by why one bears on the next.

1. Whatever the checker: the operations of the witness in the order of their times, each with its process, what it did
   and what it was answered. The one that the witness is about is red.
2. Where the witness names edges, they are the arrows and carry its reasons. Else an arrow joins an operation to the
   next one of its process, or to the next that began after it was over: what came first could be seen by what came
   later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitbrain.checkers.histories.history import Operation
from splitbrain.harness.report.plain_text import shown_key
from splitbrain.harness.report.stories.broken_axis import BrokenAxis
from splitbrain.harness.report.stories.story import Story, Told
from splitbrain.harness.report.stories.svg import Drawing, fitting, lines
from splitbrain.harness.report.timeline import brief

WIDTH, LEFT, RIGHT = 960.0, 380.0, 930.0
ROW = 40.0
OPERATIONS_MOST = 10


def tell(told: Told) -> Story | None:
    """The story; None if the witness points at fewer than two operations."""
    positions = list(told.anomaly.operations)
    if len(positions) < 2:
        return None
    focus = None if told.anomaly.focus is None else told.table.at_event(told.anomaly.focus)
    wrong = positions[-1] if focus is None or focus not in positions else focus
    kept = positions if len(positions) <= OPERATIONS_MOST else [*positions[: OPERATIONS_MOST - 1], positions[-1]]
    if wrong not in kept:
        kept[-1] = wrong
    operations = [told.history.operations[at] for at in sorted(kept)]
    about = told.history.operations[wrong]
    drawing = _draw(told, operations, about)
    if len(kept) < len(positions):
        drawing.text(
            10,
            drawing.height + 16,
            f"{len(positions) - len(kept)} more operations are in the table below",
            "small quiet",
        )
    return Story(
        _headline(told, operations),
        drawing.markup(told.anomaly.reason or "A contradiction", told.anomaly.text),
        _LEGEND,
    )


_LEGEND = (
    "Bars reach from invocation to answer, one operation a row. An arrow joins an operation to one that came after it, "
    "with why it bears on it. Red: the one that contradicts the others."
)


def _headline(told: Told, operations: Sequence[Operation]) -> str:
    data = told.anomaly.data
    edges = data.get("edges") if isinstance(data, dict) else None
    if not isinstance(edges, list) or len(edges) < 3 or not all(isinstance(edge, dict) for edge in edges):
        return told.sentence()
    # The whole chain is drawn: the sentence needs its ends only.
    first, last = edges[0].get("source"), edges[-1].get("target")
    if not isinstance(first, dict) or not isinstance(last, dict):
        return told.sentence()
    put, key = first.get("value"), shown_key(str(last.get("key")))
    write = put.get("write") if isinstance(put, dict) else put
    read_s, put_s = (float(end.get("time") or 0) / 1e9 for end in (last, first))
    return (
        f"Process {last.get('process')} read {key} at {read_s:.3f} s without {brief(write, 40)}, which process "
        f"{first.get('process')} had put there at {put_s:.3f} s, although it had seen what "
        f"followed from that, through {len(edges) - 1} steps."
    )


def _draw(told: Told, operations: Sequence[Operation], about: Operation) -> Drawing:
    end = told.table.end_ns
    spans = [(each.invocation.time, each.completion.time if each.completion else end) for each in operations]
    axis = BrokenAxis([at for span in spans for at in span], LEFT, RIGHT)
    drawing = Drawing(told.name, WIDTH)
    top = 42.0
    bottom = top + ROW * len(operations)
    shown = [band for band in told.faults if band.start_ns < spans[-1][1] and band.stop_ns > spans[0][0]][:4]
    for number, band in enumerate(shown):
        x, to = axis.x(band.start_ns), axis.x(band.stop_ns)
        drawing.fault(x, 32, max(to - x, 2), bottom - 30, band.paint, band.title)
        words = f"{band.title}"
        drawing.text(min(x + 2, RIGHT - len(words) * 6.2), bottom + 14 + 14 * number, fitting(words, 240), "small")
    axis.draw(drawing, 24, bottom)
    for at, (operation, (begun, ended)) in enumerate(zip(operations, spans, strict=True)):
        y = top + ROW * at
        red = operation is about
        kind = "wrong" if red else operation.outcome
        _words(drawing, operation, y, red)
        drawing.box(axis.x(begun), y + 8, max(axis.x(ended) - axis.x(begun), 5), 16, f"bar {kind}")
        if red:
            drawing.cross((axis.x(begun) + max(axis.x(ended), axis.x(begun) + 5)) / 2, y + 16, 5, "wrong-mark")
    for one, other, why in _edges(told.anomaly.data, operations):
        _arrow(drawing, axis, spans, one, other, why, top)
    return drawing


def _words(drawing: Drawing, operation: Operation, y: float, red: bool) -> None:
    asked, done = operation.invocation, operation.completion
    node = (done.node if done else None) or asked.node
    who = f"p{operation.process}" + (f" {node}" if node else "")
    drawing.text(10, y + 20, fitting(who, 74), "small quiet", full=who)
    key = "" if asked.key is None else f" {shown_key(str(asked.key))}"
    value = _value(operation)
    words = f"{asked.f}{key}" + (f" {value}" if value else "")
    found = lines(words, LEFT - 96, 7.4)
    style = "mono" + (" wrong-text" if red else "")
    if len(found) == 1:
        drawing.text(84, y + 20, found[0], style, full=words)
    else:
        drawing.text(84, y + 13, found[0], style, full=words)
        drawing.text(84, y + 28, fitting(" ".join(found[1:]), LEFT - 96, 7.4), style, full=words)


def _value(operation: Operation) -> str:
    done = operation.completion
    if operation.f in ("read", "dequeue", "poll", "generate") and done is not None and done.type == "ok":
        return f"→ {brief(done.value, 60) or 'null'}"
    return brief(operation.value, 60)


def _edges(data: Any, operations: Sequence[Operation]) -> list[tuple[int, int, str]]:
    place = {}
    for at, operation in enumerate(operations):
        place[operation.invocation.index] = at
        if operation.completion:
            place[operation.completion.index] = at
    told = data.get("edges") if isinstance(data, dict) else None
    found: list[tuple[int, int, str]] = []
    for edge in told if isinstance(told, list) else ():
        ends = [edge.get(name) if isinstance(edge, Mapping) else None for name in ("source", "target")]
        one, other = (place.get(end["index"]) if isinstance(end, Mapping) and "index" in end else None for end in ends)
        if one is not None and other is not None and one != other:
            found.append((one, other, _WHY.get(str(edge.get("why")), str(edge.get("why") or ""))))
    return found or _order(operations)


_WHY = {
    "session": "then, in the same process",
    "read": "was seen",
    "seen": "was seen",
    "real-time": "was over before",
    "overwritten": "was overwritten",
}


def _order(operations: Sequence[Operation]) -> list[tuple[int, int, str]]:
    found = []
    for at, operation in enumerate(operations[:-1]):
        done = operation.completion
        mine = next((n for n in range(at + 1, len(operations)) if operations[n].process == operation.process), None)
        if mine is not None:
            found.append((at, mine, "then, in the same process"))
        elif done is not None:
            later = next((n for n in range(at + 1, len(operations)) if operations[n].invocation.time > done.time), None)
            if later is not None:
                found.append((at, later, "was over before"))
    return found


def _arrow(
    drawing: Drawing,
    axis: BrokenAxis,
    spans: Sequence[tuple[int, int]],
    one: int,
    other: int,
    why: str,
    top: float,
) -> None:
    x, to_x = axis.x(spans[one][1]), axis.x(spans[other][0])
    y, to_y = top + ROW * one + 24, top + ROW * other + 8
    if other < one:
        y, to_y = top + ROW * one + 8, top + ROW * other + 24
    drawing.path(
        f"M{x:.1f} {y:.1f}C{x:.1f} {(y + to_y) / 2:.1f} {to_x:.1f} {(y + to_y) / 2:.1f} {to_x:.1f} {to_y:.1f}",
        "edge",
        arrow=True,
    )
    if abs(other - one) == 1 and why:
        # Beside the head of the arrow, on the side where there is room.
        if max(x, to_x) + 16 + len(why) * 6 < RIGHT:
            drawing.text(max(x, to_x) + 12, (y + to_y) / 2 + 4, why, "tiny quiet")
        else:
            drawing.text(min(x, to_x) - 12, (y + to_y) / 2 + 4, why, "tiny quiet", "end")
