"""The drawing of a small history: a lane a process, a bar an operation, and an arrow for each edge of a cycle.

Colours follow the page, light or dark. What shows the anomaly is filled; the rest is outlined.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from splitbrain import History, Verdict

WIDTH, LANE, LEFT, RIGHT, TOP = 720, 62, 78, 16, 18
BAR = 26
_STYLE = (
    ".h-bar{fill:none;stroke:currentColor;stroke-opacity:.45}.h-fail{stroke-dasharray:4 3}"
    ".h-told{fill:#c2410c;fill-opacity:.16;stroke:#c2410c;stroke-width:2}"
    ".h-lane{stroke:currentColor;stroke-opacity:.18}.h-text{fill:currentColor;font:13px sans-serif}"
    ".h-edge{fill:none;stroke:#c2410c;stroke-width:1.6}.h-why{fill:#c2410c;font:600 12px sans-serif}"
)


def drawn(history: History, verdict: Verdict, words: str) -> str:
    """The history as SVG. verdict: its witness says which operations are told of. words: what the drawing shows."""
    operations = list(history.operations)
    end = max((each.completion or each.invocation).time for each in operations) * 1.04 or 1
    lanes = {process: at for at, process in enumerate(sorted({each.process for each in operations}))}
    told = set(verdict.witness.events) if verdict.witness is not None else set()
    places: dict[int, tuple[float, float, float]] = {}
    parts = []
    for process, lane in lanes.items():
        y = TOP + lane * LANE + BAR / 2
        parts.append(f'<line class="h-lane" x1="{LEFT - 8}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>')
        parts.append(f'<text class="h-text" x="0" y="{y + 4}">process {process}</text>')
    for each in operations:
        asked, done = each.invocation, each.completion
        left = LEFT + asked.time / end * (WIDTH - LEFT - RIGHT)
        right = LEFT + (done.time if done else end) / end * (WIDTH - LEFT - RIGHT)
        top = TOP + lanes[each.process] * LANE
        shown = {asked.index, done.index if done else asked.index} & told
        kind = f"h-bar{' h-told' if shown else ''}{'' if each.outcome == 'ok' else ' h-fail'}"
        parts.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{BAR}" rx="4"/>'
        )
        label = _label(each.f, each.key, each.value, failed=each.outcome == "fail")
        parts.append(f'<text class="h-text" x="{left + 6:.1f}" y="{top + 17}">{escape(label)}</text>')
        places[asked.index] = left, right, top
    height = TOP + len(lanes) * LANE - LANE + BAR + 14
    arrow = (
        '<defs><marker id="h-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#c2410c"/></marker></defs>'
    )
    parts += _edges(verdict.witness.data if verdict.witness is not None else None, places)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="100%" role="img" aria-label="{escape(words)}">'
        f"<style>{_STYLE}</style>{arrow}{''.join(parts)}</svg>"
    )


def _edges(data: Any, places: Mapping[int, tuple[float, float, float]]) -> list[str]:
    """An arrow for each edge of a cycle of transactions, with its kind and the key that it is about."""
    if not isinstance(data, Mapping) or not isinstance(data.get("edges"), list) or not data["edges"]:
        return []
    if not all(isinstance(each, Mapping) and "type" in each and "from" in each for each in data["edges"]):
        return []
    at = {node["name"]: node["invoked"] for node in data["nodes"] if "name" in node}
    parts = []
    for number, edge in enumerate(data["edges"]):
        if edge["from"] not in at or edge["to"] not in at:
            return []
        one, other = places[at[edge["from"]]], places[at[edge["to"]]]
        down = other[2] > one[2]
        # Arrows of one pair stand apart, so that each has its label beside it.
        x = max(one[0], other[0]) + 40 + number * 130
        y1, y2 = (one[2] + BAR, other[2]) if down else (one[2], other[2] + BAR)
        name = f"{edge['type']} {edge.get('key', '')}".strip()
        parts.append(f'<path class="h-edge" marker-end="url(#h-head)" d="M{x:.1f} {y1}L{x:.1f} {y2}"/>')
        parts.append(f'<text class="h-why" x="{x + 7:.1f}" y="{(y1 + y2) / 2 + 4}">{escape(name)}</text>')
    return parts


def _label(f: str, key: Any, value: Any, *, failed: bool) -> str:
    """An operation in a few letters: `x+1 y=[1]` for a transaction, `read x → 1` for a read."""
    end = ", aborted" if failed else ""
    if f == "txn" and isinstance(value, list):
        return " ".join(_micro(*each) for each in value) + end
    named = f"{f} {key}" if key is not None else f
    if isinstance(value, Mapping):
        value = {"write": value.get("write")}.get("write") if "write" in value else _pairs(value)
    answer = " →" if f in ("read", "drain", "generate", "dequeue") else ""
    return f"{named}{answer} {_text(value)}{end}".rstrip() if value is not None or answer else named


def _micro(f: str, key: Any, value: Any) -> str:
    return f"{key}={_text(value)}" if f == "r" else f"{key}+{value}" if f == "append" else f"{key}:={value}"


def _pairs(value: Mapping[str, Any]) -> str:
    return " ".join(f"{name} {each}" for name, each in value.items() if name not in ("lease_ms", "token"))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{' '.join(map(_text, value))}]"
    return "nothing" if value is None else str(value)
