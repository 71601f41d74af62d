"""The run folder, as the report reads it.

1. Without run.json or history.jsonl there is nothing to show: a ReportError names the cause and the remedy.
2. Without a readable results.json the run did not finish: its verdict is `unknown`, and says so.
3. Node logs are the nodes' own: unreadable bytes in them are replaced, a missing folder means none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.harness.report.messages import messages
from splitbrain.harness.report.page import render

LOG_TAIL_BYTES = 32 * 1024
RUN_REMEDY = "give the folder of a run, such as runs/latest"


class ReportError(Exception):
    """A run folder that can't be shown. The message names the cause, then the remedy."""


def write(folder: Path) -> Path:
    """Write `report.html` into a run folder, and return its path.

    folder: holds run.json, history.jsonl and, unless the run was killed, results.json; logs under
    nodes/<node>/.
    Raises ReportError if the run or its history is missing or unreadable. O(n log n) in operations.
    """
    run = _object(folder / "run.json")
    history, results, logs = _history(folder / "history.jsonl"), _results(folder), _logs(folder / "nodes")
    try:
        nodes = [name for name in run.get("nodes", ()) if isinstance(name, str)]
        page = render(run, history, results, logs, messages(folder, nodes))
    except (TypeError, TemplateError) as problem:
        raise ReportError(f"{folder / 'run.json'} does not describe a run ({problem}); run the test again") from problem
    target = folder / "report.html"
    # A reader's open tab must never see half a page, nor a crash destroy the report that was there.
    partial = folder / "report.html.partial"
    try:
        partial.write_bytes(page.encode("utf-8", "replace"))
        partial.replace(target)
    except OSError as problem:
        raise ReportError(f"can't write {target} ({problem.strerror}); check the folder's permissions") from problem
    return target


def _object(path: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ReportError(f"{path} does not exist: {path.parent} is no run folder; {RUN_REMEDY}") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise ReportError(f"{path} can't be read ({problem}); restore it, or run the test again") from problem
    if not isinstance(parsed, dict):
        raise ReportError(f"{path} holds no JSON object; restore it, or run the test again")
    return parsed


def _history(path: Path) -> History:
    try:
        with path.open("rb") as lines:
            return History.parse(lines)
    except FileNotFoundError:
        raise ReportError(
            f"{path} does not exist: the run recorded no history; {RUN_REMEDY}, or run the test again"
        ) from None
    except OSError as problem:
        raise ReportError(f"{path} can't be read ({problem}); check its permissions") from problem
    except HistoryError as problem:
        raise ReportError(f"{path} is no history: {problem}; restore that line, or run the test again") from problem


def _results(folder: Path) -> dict[str, Any]:
    """The results, or an `unknown` that says why there are none."""
    path = folder / "results.json"
    again = "the history up to there is shown; run the test again, or check it with splitbrain check"
    try:
        parsed = json.loads(path.read_bytes())
    except FileNotFoundError:
        return unfinished(f"the run did not finish: it left no results.json; {again}")
    except (OSError, ValueError, RecursionError) as problem:
        return unfinished(f"the run did not finish: its results.json is broken ({problem}); {again}")
    if not isinstance(parsed, dict) or "verdict" not in parsed:
        return unfinished(f"the run did not finish: its results.json holds no verdict; {again}")
    return parsed


def unfinished(reason: str) -> dict[str, Any]:
    """The results of a run that has none."""
    return {"verdict": "unknown", "reason": reason, "checkers": {}}


def _logs(nodes: Path) -> Mapping[str, Mapping[str, str]]:
    """The end of each log file, by node and name."""
    if not nodes.is_dir():
        return {}
    return {
        node.name: {path.name: _tail(path) for path in sorted(node.glob("*.log")) if path.is_file()}
        for node in sorted(nodes.iterdir())
        if node.is_dir()
    }


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        length = file.seek(0, 2)
        file.seek(max(0, length - LOG_TAIL_BYTES))
        tail = file.read().decode("utf-8", "replace")
    # The first line of a tail is most likely cut.
    return tail if length <= LOG_TAIL_BYTES else tail.partition("\n")[2]
