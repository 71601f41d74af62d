"""The page: everything the report shows, in one HTML file.

1. All text goes through jinja2's autoescape. Data goes into a JSON block in which `<`, `>` and `&` are escaped, so that
   no value of a history can end the block or become markup.
2. Only the scripts of this package run: the page's content policy names their hashes, and allows no request at all.
3. The same input gives the same page, byte for byte.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import seconds
from splitbrain.harness.report import divergence, packing, series, tables, timeline, witness
from splitbrain.harness.report.columns import Columns, columns
from splitbrain.harness.report.faults import Band, Stage, bands, stages
from splitbrain.harness.report.messages import Messages
from splitbrain.harness.report.plain_text import REORDERING, shown_key, visible
from splitbrain.harness.report.stories import Told, tell

HERE = Path(__file__).parent
SCRIPTS = (
    "uPlot.iife.min.js",
    "unpack.js",
    "density.js",
    "state.js",
    "charts.js",
    "timeline.js",
    "page.js",
    "start.js",
)
STYLES = ("uPlot.min.css", "report.css")
LOG_LINES = 300
OUTCOME_WORDS = {
    "valid": "Nothing that was checked is violated.",
    "invalid": "A promise was broken, and the history proves it.",
    "unknown": "The history proves neither.",
    "broken": "The harness itself failed.",
}


def render(
    run: dict[str, Any],
    history: History,
    results: dict[str, Any],
    logs: Mapping[str, Mapping[str, str]],
    messages: Messages | None = None,
    missing: Sequence[str] = (),
) -> str:
    """The report of a run, as HTML.

    run: the object of run.json; of a history that belongs to no run, its name as `history`. results: a verdict as
    `Verdict.as_dict()` makes it. logs: node -> file -> text. messages: what its message log tells, if it has one.
    missing: what could not be had of the run, a sentence each.
    O(n log n) in operations; the page's size does not grow with n past a bound.
    """
    table = columns(history)
    struck, staged = bands(history), stages(history)
    found = witness.anomalies(results, table)
    telling = list(dict.fromkeys(at for anomaly in found for at in anomaly.operations))
    stops = _stops(found, table)
    marked = [table.at_event(index) for stop in stops for index in stop["ops"]]
    telling = list(dict.fromkeys([*telling, *(at for at in marked if at is not None)]))
    drawn = timeline.sample(table, telling)
    source, seen = series.sightings(history)
    looks = divergence.rounds(history)
    wrong = [index for stop in stops if stop["verdict"] == "invalid" for index in stop["ops"]]
    implicated = {table.key_names[int(table.key[table.index == index][0])] for index in wrong}
    key_rows, keys_left = tables.keys(table, implicated, seen, looks)
    codes, codes_left = tables.errors(history, table)
    of_run = "workload" in run or bool(missing)
    split = divergence.divergence(looks)
    grown = series.siblings(seen, table.end_ns / 1e9)
    data = {
        "end": table.end_ns / 1e9,
        "file": "history.jsonl" if of_run else "",
        "lanes": table.lanes,
        "ops": packing.pack(history, table, drawn, telling),
        "events": len(history.events),
        "total": table.n,
        "stops": counted(found, stops),
        "faults": _bands(struck),
        "stages": [_stage(stage) for stage in staged],
        "anomalies": stops,
        "series": series.over_time(table),
        "siblings": grown | {"keys": {shown_key(key): line for key, line in grown["keys"].items()}},
        "divergence": split | {"keys": [shown_key(key) for key in split["keys"]]},
    }
    shown = [_drawn(number, anomaly, history, table, struck, results) for number, anomaly in enumerate(found, 1)]
    context = {
        "run": run,
        "heading": _heading(run),
        "data_file": "history.jsonl" if of_run else "",
        "rest": "in results.json" if of_run else "in the output of --json",
        "missing": missing,
        "results": results,
        "verdict": _word(results),
        "outcome_words": OUTCOME_WORDS,
        "checkers": {name: part for name, part in _mapping(results.get("checkers")).items() if isinstance(part, dict)},
        "crashed": _mapping(results.get("broken")),
        "truncated": history.truncated,
        "events": len(history.events),
        "duration_s": table.end_ns / 1e9,
        "keys": len([name for name in table.key_names if name]),
        "facts": tables.facts(history, table, struck, staged),
        "stops": counted(found, stops),
        "anomalies": shown,
        "headline": next((item["story"].headline for item in shown if item["anomaly"].verdict == "invalid"), ""),
        "faults": tables.fault_rows(table, struck),
        "key_rows": key_rows,
        "keys_left": keys_left,
        "codes": codes,
        "codes_left": codes_left,
        "sampling": timeline.words(table, len(drawn)),
        "siblings_source": source,
        "has_siblings": bool(seen),
        "has_divergence": any(looks.values()),
        "divergence_left": split["left_out"],
        "logs": _tails(logs),
        "messages": messages,
        "operations": table.n,
        "data": embed(data),
        "styles": Markup("\n".join(_asset(name) for name in STYLES)),
        "scripts": [Markup(_asset(name)) for name in SCRIPTS],
        "policy": _policy(),
        "licence": _asset("uPlot.LICENSE"),
    }
    # What a history says can't turn the direction of the page's own words.
    return visible(_environment().get_template("report.html.j2").render(context))


def embed(data: Any) -> Markup:
    """JSON that can stand inside a script element, whatever strings it holds."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = REORDERING.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _heading(run: Mapping[str, Any]) -> tuple[str, str]:
    """What the page is about: the workload and where it ran, or the name of a history that belongs to no run."""
    if not run.get("workload"):
        return str(run.get("history", "a history")), ""
    return str(run["workload"]), f"on {run.get('system', '?')}, {run.get('environment', '?')}"


def _word(results: Mapping[str, Any]) -> str:
    word = results.get("verdict")
    return word if isinstance(word, str) and word in OUTCOME_WORDS else "unknown"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _bands(struck: Sequence[Band]) -> list[dict[str, Any]]:
    """The faults for the charts, each in the lowest row where it overlaps no other."""
    until: list[int] = []
    drawn = []
    for fault in struck:
        row = next((row for row, end in enumerate(until) if end <= fault.start_ns), len(until))
        until[row:] = [fault.stop_ns] if row == len(until) else [fault.stop_ns, *until[row + 1 :]]
        drawn.append(
            {
                "kind": fault.paint,
                "title": visible(fault.title),
                "start": fault.start_ns / 1e9,
                "end": fault.stop_ns / 1e9,
                "effective": fault.effective,
                "stopped": fault.fault.stop is not None,
                "row": row,
                "detail": visible(fault.detail),
            }
        )
    return drawn


def _stage(stage: Stage) -> dict[str, Any]:
    return {"name": stage.name, "start": stage.start_ns / 1e9, "end": stage.stop_ns / 1e9}


def _stops(found: Sequence[witness.Anomaly], table: Columns) -> list[dict[str, Any]]:
    """Where "next anomaly" stops: at each witness, then at each other operation that went wrong like it."""
    stops = []
    for article, anomaly in enumerate(found, 1):
        about = {"checker": anomaly.checker, "verdict": anomaly.verdict, "article": article}
        focus = None if anomaly.focus is None else table.at_event(anomaly.focus)
        if focus is None and anomaly.operations:
            focus = anomaly.operations[0]
        stops.append(about | _stop(anomaly.operations, focus, anomaly, table))
        others = [table.at_event(each["index"]) for each in anomaly.others]
        stops += [
            about | _stop([at], at, None, table) for at in others if at is not None and at not in anomaly.operations
        ]
    return stops


def _stop(at: Sequence[int], focus: int | None, anomaly: witness.Anomaly | None, table: Columns) -> dict[str, Any]:
    """ops: the events of all its operations. focus: that of the one it is about; start, end: in s, around that."""
    near = list(at) if focus is None or anomaly is None else witness.together(anomaly, table, focus)
    return {
        "ops": table.index[list(at)].tolist(),
        "focus": None if focus is None else int(table.index[focus]),
        "start": float(table.start[near].min()) / 1e9 if near else 0.0,
        "end": float(table.end[near].max()) / 1e9 if near else table.end_ns / 1e9,
    }


def counted(found: Sequence[witness.Anomaly], stops: Sequence[object]) -> str:
    """How many anomalies there are, and how many of them the page has, in words."""
    total = sum(max(anomaly.total, 1) for anomaly in found)
    if total > len(stops):
        return f"first {len(stops):,} of {total:,} anomalies"
    return f"{len(stops):,} anomal{'y' if len(stops) == 1 else 'ies'}"


def _drawn(
    number: int,
    anomaly: witness.Anomaly,
    history: History,
    table: Columns,
    struck: Sequence[Band],
    results: Mapping[str, Any],
) -> dict[str, Any]:
    drawing = witness.draw(anomaly, table, struck)
    events = [at for at in anomaly.events if 0 <= at < len(history.events)]
    moments = {seconds(history.events[at].time): at for at in reversed(events)}
    checker = _mapping(_mapping(results.get("checkers")).get(anomaly.checker, results))
    told = Told(f"story-{number}", anomaly, history, table, struck, str(checker.get("model", "")))
    return {
        "anomaly": anomaly,
        "story": tell(told),
        "prose": [witness.prose(part, events, moments) for part in anomaly.text.split("\n") if part.strip()],
        "rows": [witness.cells(history, table, row, anomaly.data) for row in drawing["rows"]],
        "left_out": drawing["left_out"],
        "bands": drawing["bands"],
    }


def _tails(logs: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    tails = []
    for node, files in logs.items():
        for name, text in files.items():
            lines = text.splitlines()
            shown = [timeline.cut(line, 240) for line in lines[-LOG_LINES:]]
            tails.append({"node": node, "name": name, "text": "\n".join(shown), "shown": len(shown), "of": len(lines)})
    return tails


@cache
def _asset(name: str) -> str:
    return (HERE / "assets" / name).read_text(encoding="utf-8")


@cache
def _policy() -> str:
    hashes = [base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode() for name in SCRIPTS]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = words
    environment.filters["figure"] = figure
    environment.filters["rows"] = rows
    environment.filters["plain"] = plain
    environment.filters["brief"] = timeline.brief
    environment.filters["shown_key"] = shown_key
    return environment


def words(name: Any) -> str:
    """An identifier as words: `longest_silence_ms` -> `longest silence, ms`."""
    text = str(name)
    for ending, unit in (("_ms", "ms"), ("_ns", "ns"), ("_us", "µs"), ("_s", "s"), ("_bytes", "bytes")):
        if text.endswith(ending) and len(text) > len(ending):
            return f"{text[: -len(ending)].replace('_', ' ')}, {unit}"
    return text.replace("_", " ")


def figure(value: Any) -> str:
    """A number as a person reads it; anything else in brief."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
        case _:
            return timeline.brief(value, 160)


def rows(value: Mapping[str, Any]) -> bool:
    """Whether a mapping is a table: two or more mappings, all with the same fields."""
    parts = list(value.values())
    return len(parts) > 1 and all(isinstance(part, dict) and part and part.keys() == parts[0].keys() for part in parts)


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping's single figures, without what holds more than one."""
    return {name: part for name, part in value.items() if not isinstance(part, dict | list)}
