"""A history that is not linearizable: the calls that could be put in an order, and the one that could not.

1. Calls stand one below the other in an order that was possible. A dot is where a call may have taken effect, within
   its own duration, and beside it stands what the object held then.
2. The last one is the call that fits nowhere, with what it would have needed and what there could have been.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.prose import listing
from splitbrain.checkers.linearizability.model import call_text
from splitbrain.harness.report.plain_text import shown_key
from splitbrain.harness.report.stories.broken_axis import BrokenAxis
from splitbrain.harness.report.stories.linear_order import Step, order
from splitbrain.harness.report.stories.story import Story, Told
from splitbrain.harness.report.stories.svg import Drawing, fitting
from splitbrain.harness.report.timeline import brief

WIDTH, LEFT, RIGHT = 960.0, 250.0, 800.0
ROW = 30.0
STEPS_SHOWN = 9


def tell(told: Told) -> Story | None:
    """The story; None if the witness names no blocked call."""
    data = told.anomaly.data
    if not isinstance(data, dict) or data.get("kind") != "not linearizable" or type(data.get("blocked")) is not int:
        return None
    calls = [call for call in data.get("calls") or () if isinstance(call, dict) and type(call.get("invoked")) is int]
    blocked = next((call for call in calls if call["invoked"] == data["blocked"]), None)
    if blocked is None:
        return None
    steps, _ = order(told.history, told.model, blocked.get("key"), data["blocked"])
    core = {call["invoked"] for call in calls}
    shown = _shown(steps, core)
    if not shown:
        shown = [(None, call) for call in calls if call is not blocked]
    states = [str(state) for state in data.get("states") or ()]
    drawing = _draw(told, shown, len(steps), blocked, states)
    return Story(_headline(told, blocked, states), drawing.markup("A linearization", told.anomaly.text), _LEGEND)


_LEGEND = (
    "Bars reach from invocation to answer. Read downwards, they are in an order that was possible: each dot lies "
    "within its bar, and beside it is what the object held from then on. The last call, in red, fits nowhere."
)


def _shown(steps: list[Step], core: set[int]) -> list[tuple[Step | None, dict[str, Any]]]:
    """The last steps, and those before them that are in the core."""
    kept = [step for at, step in enumerate(steps) if step.call.invoked in core or at >= len(steps) - STEPS_SHOWN]
    return [
        (step, {"call": call_text(step.call), "invoked": step.call.invoked, "returned": step.call.returned})
        for step in kept
    ]


def _headline(told: Told, blocked: Mapping[str, Any], states: list[str]) -> str:
    asked = told.history.events[blocked["invoked"]]
    key = "it" if asked.key is None else shown_key(str(asked.key))
    where = (f" through {asked.node}" if asked.node else "") + f" at {asked.time / 1e9:.3f} s"
    held = f": by then it could only hold {listing(states, last='or')}" if states else ""
    call = str(blocked["call"])
    if call.startswith("read -> "):
        found = call.removeprefix("read -> ")
        of_key = "" if asked.key is None else f" from {key}"
        return (
            f"Process {asked.process} read {found}{of_key}{where}, but in no order of the operations before it "
            f"{key if asked.key is not None else 'the object'} can have held {found}{held}."
        )
    of_key = "" if asked.key is None else f" on {key}"
    return f"Process {asked.process}'s {call}{of_key}{where} fits into no order of the operations before it{held}."


def _needed(call: str) -> str:
    """What a call would have needed, as far as its text tells."""
    if call.startswith("read -> "):
        return f"would need it to hold {call.removeprefix('read -> ')}"
    found = re.fullmatch(r"cas \[(.+?), .*\]", call)
    return f"would need it to hold {found[1]}" if found else "would need another state"


def _draw(
    told: Told,
    shown: list[tuple[Step | None, dict[str, Any]]],
    steps: int,
    blocked: Mapping[str, Any],
    states: list[str],
) -> Drawing:
    events = told.history.events
    end = told.table.end_ns
    spans = [_span(events, call, end) for _, call in shown] + [_span(events, blocked, end)]
    axis = BrokenAxis([at for span in spans for at in span], LEFT, RIGHT)
    drawing = Drawing(told.name, WIDTH)
    top = 44.0
    bottom = top + ROW * (len(shown) + 1) + 8
    axis.draw(drawing, 24, bottom)
    drawing.text(RIGHT + 16, 28, "then it holds", "small quiet")
    if steps > len(shown):
        drawing.text(10, 28, f"the last {len(shown)} of {steps} before", "small quiet")
    past = spans[0][0]
    points: list[tuple[float, float]] = []
    for at, ((step, call), (begun, ended)) in enumerate(zip(shown, spans, strict=False)):
        y = top + ROW * at
        past = min(max(past, begun), ended)
        x = min(max(axis.x(past) + 2, axis.x(begun) + 4), max(axis.x(ended) - 2, axis.x(begun) + 2))
        if points:
            x = min(max(x, points[-1][0] + 1), max(axis.x(ended), axis.x(begun) + 3))
        _bar(drawing, told, call, axis, begun, ended, y, "ok" if call["returned"] < len(events) else "info")
        if step is not None:
            points.append((x, y + 8))
            drawing.text(
                RIGHT + 16, y + 13, fitting(_state(step.after), WIDTH - RIGHT - 20), "mono", full=_state(step.after)
            )
    if len(points) > 1:
        drawing.path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points), "thread")
    for x, y in points:
        drawing.dot(x, y, 4.5, "point")
    y = top + ROW * len(shown)
    begun, ended = spans[-1]
    _bar(drawing, told, blocked, axis, begun, ended, y, "wrong")
    drawing.cross((axis.x(begun) + axis.x(ended)) / 2, y + 8, 5, "wrong-mark")
    could = "it could only hold " + listing(states, last="or") if states else "no order has room for it"
    drawing.text(
        LEFT,
        y + 34,
        fitting(f"✗ {blocked['call']} {_needed(str(blocked['call']))}; {could}", WIDTH - LEFT - 10),
        "strong wrong-text",
    )
    return drawing


def _span(events: Any, call: Mapping[str, Any], end: int) -> tuple[int, int]:
    returned = call.get("returned")
    until = events[returned].time if type(returned) is int and 0 <= returned < len(events) else end
    begun = events[call["invoked"]].time
    # An open call would make the axis as long as the run.
    return begun, until


def _bar(
    drawing: Drawing, told: Told, call: Mapping[str, Any], axis: BrokenAxis, begun: int, ended: int, y: float, kind: str
) -> None:
    asked: Event = told.history.events[call["invoked"]]
    who = f"p{asked.process}" + (f" {asked.node}" if asked.node else "")
    drawing.text(10, y + 13, fitting(who, 80), "small quiet")
    words = str(call["call"])
    drawing.text(
        LEFT - 12,
        y + 13,
        fitting(words, LEFT - 95, 7.4),
        "mono" + (" wrong-text" if kind == "wrong" else ""),
        "end",
        words,
    )
    drawing.box(axis.x(begun), y, max(axis.x(ended) - axis.x(begun), 5), 16, f"bar {kind}")


def _state(state: Any) -> str:
    return brief(list(state) if isinstance(state, tuple | frozenset) else state, 24) or "null"
