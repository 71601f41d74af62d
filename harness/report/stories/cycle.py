"""A cycle of transactions: each must come before the next, and the last before the first.

1. An edge carries its kind: ww (overwrote), wr (read what it wrote), rw (did not yet see what it wrote), and rt and
   process (was over before it began). Each edge's reason is told beside it.
2. Two transactions stand side by side, more of them in a column with the last edge going back up.
3. Of a transaction, the micro-operations that an edge speaks of are always shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitbrain.harness.report.stories.story import Story, Told
from splitbrain.harness.report.stories.svg import LETTER, Drawing, fitting, lines
from splitbrain.harness.report.timeline import brief

WIDTH = 960.0
BOX = 330.0
LINE = 17.0
SHOWN = 6
MEANINGS = {
    "ww": "overwrote what the other wrote",
    "wr": "read what the other wrote",
    "rw": "read before the other wrote",
    "rt": "was over before the other began",
    "process": "came before the other in its process",
}
PLAIN = {
    "G0": "dirty write",
    "G1c": "circular flow of information",
    "G-single": "read skew",
    "G-nonadjacent": "long fork",
    "G2": "write skew",
    "lost-update": "lost update",
}
"""What the anomalies are called outside of the theory, by how their names begin."""


def tell(told: Told) -> Story | None:
    """The story of a cycle; None if the witness has none."""
    data = told.anomaly.data
    if not isinstance(data, dict):
        return None
    nodes, edges = data.get("nodes"), data.get("edges")
    if not _listed(nodes, "name", "micro_operations") or not _listed(edges, "from", "to", "type"):
        return None
    assert isinstance(nodes, list) and isinstance(edges, list)
    names = [str(node["name"]) for node in nodes]
    if not edges or any(str(edge[end]) not in names for edge in edges for end in ("from", "to")):
        return None
    drawing = Drawing(told.name, WIDTH)
    boxes = [_Box(node, edges) for node in nodes]
    if len(boxes) == 2 and len(edges) == 2:
        _side_by_side(drawing, boxes, edges)
    else:
        _column(drawing, boxes, edges)
    way = " → ".join([*(f"{edge['from']} ({_kind(edge)})" for edge in edges), str(edges[0]["from"])])
    clauses = "; ".join(_clause(edge) for edge in edges[:3]) + ("; and so on" if len(edges) > 3 else "")
    name = str(data.get("anomaly", "a cycle"))
    plain = next((words for start, words in PLAIN.items() if name.startswith(start)), "")
    headline = (
        f"{clauses[:1].upper()}{clauses[1:]}: each of {len(nodes)} transactions would have to come before the next, "
        f"and the last before the first, which no order can do ({plain + ', ' if plain else ''}{name})."
    )
    reasons = tuple((f"{edge['from']} {_kind(edge)} {edge['to']}", str(edge.get("why") or "")) for edge in edges)
    kinds = dict.fromkeys(_kind(edge) for edge in edges)
    legend = "; ".join(f"{kind}: the one {MEANINGS[kind]}" for kind in kinds if kind in MEANINGS)
    return Story(headline, drawing.markup("A cycle of transactions", f"{way}."), legend, reasons)


def _clause(edge: Mapping[str, Any]) -> str:
    """An edge as part of a sentence."""
    one, other, key = edge["from"], edge["to"], edge.get("key")
    value, following = brief(edge.get("value"), 24) or "null", brief(edge.get("next"), 24)
    match _kind(edge):
        case "rw":
            return f"{one} read {key} without the {following} that {other} wrote"
        case "wr":
            return f"{other} read the {value} that {one} wrote to {key}"
        case "ww":
            return f"{other} wrote {following} to {key} over the {value} of {one}"
        case "rt":
            return f"{one} was over before {other} began"
        case "process":
            return f"{one} came before {other} in one process"
        case _:
            return f"{one} came before {other}"


def _listed(value: Any, *fields: str) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and all(f in each for f in fields) for each in value)


def _kind(edge: Mapping[str, Any]) -> str:
    return str(edge["type"])


class _Box:
    """A transaction as a box: where it stands, and its lines."""

    def __init__(self, node: Mapping[str, Any], edges: Sequence[Mapping[str, Any]]) -> None:
        self.name = str(node["name"])
        mine = [edge for edge in edges if self.name in (edge["from"], edge["to"])]
        keys = {str(edge.get("key")) for edge in mine if edge.get("key") is not None}
        micro = [each for each in node["micro_operations"] if isinstance(each, dict)]
        telling = [str(each.get("key")) in keys for each in micro]
        order = sorted(range(len(micro)), key=lambda at: not telling[at])[:SHOWN]
        self.rows = [(_micro(micro[at]), telling[at]) for at in sorted(order)]
        left = len(micro) - len(order) + int(node.get("micro_operations_left_out") or 0)
        if left:
            self.rows.append((f"and {left} more", False))
        begun, ended = node.get("invoked_ns"), node.get("completed_ns")
        self.when = f"process {node.get('process')}"
        if isinstance(begun, int):
            self.when += f", {begun / 1e9:.3f}"
            self.when += f" to {ended / 1e9:.3f} s" if isinstance(ended, int) else " s"
        self.event = node.get("invoked")
        self.x = self.y = 0.0
        self.height = 28 + LINE * len(self.rows) + 8

    def draw(self, drawing: Drawing) -> None:
        drawing.box(self.x, self.y, BOX, self.height, "card", round_=6)
        drawing.text(self.x + 12, self.y + 20, self.name, "strong")
        drawing.text(self.x + 12 + (len(self.name) + 1) * 9, self.y + 20, fitting(self.when, BOX - 60), "small quiet")
        for at, (words, telling) in enumerate(self.rows):
            y = self.y + 28 + LINE * (at + 1) - 4
            drawing.text(
                self.x + 12, y, fitting(words, BOX - 24, 7.4), "mono" + ("" if telling else " quiet"), full=words
            )


def _micro(each: Mapping[str, Any]) -> str:
    """`r x2 → [… 281]`, `append 288 to x3`."""
    f, key, value = str(each.get("f")), each.get("key"), each.get("value")
    if f == "r":
        if isinstance(value, list) and len(value) > 5:
            return f"read {key} → [… {' '.join(brief(item, 10) for item in value[-4:])}] ({len(value)})"
        return f"read {key} → " + ("null" if value is None else brief(value, 40))
    verb = {"w": "write", "append": "append"}.get(f, f)
    return f"{verb} {brief(value, 20)} to {key}"


def _chip(drawing: Drawing, x: float, y: float, kind: str) -> None:
    breadth = len(kind) * LETTER + 16
    drawing.box(x - breadth / 2, y - 11, breadth, 20, f"chip {kind}", round_=10)
    drawing.text(x, y + 4, kind, "strong on-chip", "middle")


def _side_by_side(drawing: Drawing, boxes: Sequence[_Box], edges: Sequence[Mapping[str, Any]]) -> None:
    tall = max(box.height for box in boxes)
    top = 44.0
    for box, x in zip(boxes, (10.0, WIDTH - BOX - 10), strict=True):
        box.x, box.y, box.height = x, top, tall
        box.draw(drawing)
    left, right = 10 + BOX, WIDTH - BOX - 10
    middle = WIDTH / 2
    for edge in edges:
        forth = str(edge["from"]) == boxes[0].name
        y = top + (tall * 0.3 if forth else tall * 0.75)
        bend = y - 26 if forth else y + 26
        start, end = (left + 2, right - 3) if forth else (right - 2, left + 3)
        drawing.path(
            f"M{start:.1f} {y:.1f}Q{middle:.1f} {bend:.1f} {end:.1f} {y:.1f}", f"edge {_kind(edge)}", arrow=True
        )
        at = (y + bend) / 2
        _chip(drawing, middle, at, _kind(edge))
        why = lines(_short(edge), right - left - 60, 6.4)[:2]
        for number, words in enumerate(why):
            drawing.text(
                middle,
                at - 16 - 14 * (len(why) - 1 - number) if forth else at + 24 + 14 * number,
                words,
                "small",
                "middle",
            )
    drawing.height = max(drawing.height, top + tall)


def _short(edge: Mapping[str, Any]) -> str:
    """An edge in a few words; the whole reason stands below."""
    key, value, following = edge.get("key"), edge.get("value"), edge.get("next")
    match _kind(edge):
        case "rw":
            return f"read {key} without {brief(following, 16)}"
        case "wr":
            return f"its {brief(value, 16)} in {key} was read"
        case "ww":
            return f"{brief(following, 16)} over its {brief(value, 16)} in {key}"
        case "rt":
            return "was over before"
        case _:
            return ""


def _column(drawing: Drawing, boxes: Sequence[_Box], edges: Sequence[Mapping[str, Any]]) -> None:
    y, place = 10.0, {box.name: box for box in boxes}
    for box in boxes:
        box.x, box.y = 190.0, y
        box.draw(drawing)
        y += box.height + 62
    turn = 0
    for edge in edges:
        one, other = place[str(edge["from"])], place[str(edge["to"])]
        down = boxes.index(other) == boxes.index(one) + 1
        if down:
            x = one.x + BOX / 2
            drawing.path(f"M{x:.1f} {one.y + one.height + 2:.1f}V{other.y - 3:.1f}", f"edge {_kind(edge)}", arrow=True)
            middle = (one.y + one.height + other.y) / 2
            _chip(drawing, x, middle, _kind(edge))
            drawing.text(x + 34, middle + 4, fitting(_short(edge), WIDTH - x - 50), "small")
            continue
        turn += 1
        start, end = one.y + one.height / 2, other.y + other.height / 2
        out = max(one.x - 40 - 40 * turn, 30.0)
        drawing.path(
            f"M{one.x - 2:.1f} {start:.1f}C{out:.1f} {start:.1f} {out:.1f} {end:.1f} {other.x - 3:.1f} {end:.1f}",
            f"edge {_kind(edge)}",
            arrow=True,
        )
        middle = (start + end) / 2
        x = one.x * 0.25 + out * 0.75
        _chip(drawing, x, middle, _kind(edge))
        for number, words in enumerate(lines(_short(edge), 150, 6.4)[:3]):
            drawing.text(10, middle + 28 + 14 * number, words, "small")
