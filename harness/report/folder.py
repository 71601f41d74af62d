"""The run folder, as the report reads it.

1. What a folder lacks, or holds damaged, is named on the page, and the rest is drawn. Only a folder that holds nothing
   of a run is refused, by a ReportError with the cause and the remedy.
2. Without a readable results.json the run did not finish: its verdict is `unknown`, and says so.
3. A history that breaks off, or breaks its rules, is drawn up to there.
4. No link in the folder is followed: it may be somebody else's, and the page is shown to others.
5. Node logs are the nodes' own: unreadable bytes in them are replaced, a missing folder means none.
6. A history that belongs to no run gives the same page, without what only a run has.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec

from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.harness.report.messages import Messages, messages
from splitbrain.harness.report.page import render
from splitbrain.harness.sealed_files import NoSuchFile, opened

LOG_TAIL_BYTES = 32 * 1024
RUN_REMEDY = "give the folder of a run, such as runs/latest"
HISTORY = "history.jsonl"
PARTS = ("run.json", HISTORY, "results.json", "nodes")
"""What a run leaves in its folder: with none of them, it is no run's."""
_CHECK_IT = "splitbrain check judges what is there"


class ReportError(Exception):
    """A folder that can't be shown, or a page that can't be written. The message names the cause, then the remedy."""


@dataclass
class Kept:
    """What a run's folder holds. missing: what it lacks or holds damaged, a sentence each; see `render` for others."""

    run: dict[str, Any]
    history: History
    results: dict[str, Any]
    logs: Mapping[str, Mapping[str, str]]
    messages: Messages | None = None
    missing: list[str] = field(default_factory=list)

    @property
    def page(self) -> str:
        """The report, as HTML."""
        return render(self.run, self.history, self.results, self.logs, self.messages, self.missing)


def write(folder: Path) -> Path:
    """Write `report.html` into a run folder, and return its path.

    folder: holds run.json, history.jsonl, results.json, and logs under nodes/<node>/, or some of them.
    Raises ReportError if it holds none, or can't be written to. O(n log n) in operations.
    """
    return write_page(folder / "report.html", kept(folder).page)


def kept(folder: Path) -> Kept:
    """What is in a run's folder (rules 1 to 5). Raises ReportError if nothing is."""
    if not any(os.path.lexists(folder / part) for part in PARTS):
        what = "holds nothing of a run" if folder.is_dir() else "does not exist"
        raise ReportError(f"{folder} {what}; {RUN_REMEDY}")
    missing: list[str] = []
    run = _run(folder, missing)
    history = _history(folder, missing)
    results = _results(folder, missing)
    logs = _logs(folder, missing)
    return Kept(run, history, results, logs, messages(folder, run.get("nodes", ())), missing)


def write_page(target: Path, page: str) -> Path:
    """Write a page to a file, whole or not at all. Returns the file. Raises ReportError."""
    # A reader's open tab must never see half a page, nor a crash destroy the report that was there.
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.write_bytes(page.encode("utf-8", "replace"))
        partial.replace(target)
    except OSError as problem:
        partial.unlink(missing_ok=True)
        raise ReportError(f"can't write {target} ({problem.strerror}); give another file, or make room there") from None
    return target


def _absent(folder: Path, name: str) -> str:
    """Why a file of a folder's can't be opened, as a clause."""
    return "is a link, or no regular file" if os.path.lexists(folder / name) else "is missing"


def _object(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file. Raises ReportError with a clause that says why there is none."""
    try:
        with opened(folder, name) as file:
            parsed = json.loads(file.read())
    except NoSuchFile:
        raise ReportError(_absent(folder, name)) from None
    except OSError as problem:
        raise ReportError(f"can't be read ({problem.strerror})") from problem
    except (ValueError, RecursionError) as problem:
        raise ReportError(f"is broken ({problem})") from problem
    if not isinstance(parsed, dict):
        raise ReportError("holds no JSON object")
    return parsed


class _Described(msgspec.Struct):
    """The fields of run.json that the page needs to be of a type; the rest may be anything."""

    workload: str = ""
    system: str = ""
    environment: str = ""
    nodes: list[str] = []
    command: str = ""
    config: dict[str, Any] = {}
    system_config: dict[str, Any] = {}
    versions: dict[str, Any] = {}


def _run(folder: Path, missing: list[str]) -> dict[str, Any]:
    """run.json, less the fields that are of the wrong type. A run without one goes by its folder's name."""
    try:
        run = _object(folder, "run.json")
    except ReportError as problem:
        missing.append(f"run.json {problem}: how the run was started is not known")
        return {"history": folder.resolve().name}
    while True:
        try:
            msgspec.convert(run, _Described)
        except msgspec.ValidationError as problem:
            name = str(problem).rpartition("`$.")[2].partition("`")[0].partition(".")[0].partition("[")[0]
            if name not in run:
                return {"history": folder.resolve().name}
            missing.append(f"run.json: {name} is left out ({problem})")
            del run[name]
        else:
            return run if run.get("workload") else {"history": folder.resolve().name, **run}


def _history(folder: Path, missing: list[str]) -> History:
    """The history, up to where it can be read (rule 3)."""
    try:
        with opened(folder, HISTORY) as lines:
            return History.parse(lines)
    except NoSuchFile:
        missing.append(f"{HISTORY} {_absent(folder, HISTORY)}: there are no operations to draw")
    except OSError as problem:
        missing.append(f"history.jsonl can't be read ({problem.strerror}): there are no operations to draw")
    except HistoryError as problem:
        whole = max(problem.line - 1, 0)
        where = f"the {whole:,} lines before that are drawn" if whole else "nothing before that can be drawn"
        missing.append(f"history.jsonl, {problem}; {where}")
        with opened(folder, HISTORY) as lines:
            return History.parse(islice(lines, whole))
    return History([])


class _Witness(msgspec.Struct):
    """A witness, as far as the page relies on it."""

    text: str = ""
    events: list[int] = []


class _Judged(msgspec.Struct):
    """A verdict, as far as the page relies on it."""

    verdict: str
    reason: str = ""
    witness: _Witness | None = None
    checkers: dict[str, _Judged] = {}
    broken: dict[str, str] = {}


def _results(folder: Path, missing: list[str]) -> dict[str, Any]:
    """The results, or an `unknown` that says why there are none."""
    try:
        parsed = _object(folder, "results.json")
        msgspec.convert(parsed, _Judged)
    except ReportError as problem:
        why = "it left no results.json" if str(problem) == "is missing" else f"its results.json {problem}"
    except msgspec.ValidationError as problem:
        why = f"its results.json holds no verdict ({problem})"
    else:
        return parsed
    missing.append(f"There are no results: {why}")
    return unfinished(f"the run did not finish: {why}; {_CHECK_IT}")


def unfinished(reason: str) -> dict[str, Any]:
    """The results of a run that has none."""
    return {"verdict": "unknown", "reason": reason, "checkers": {}}


def _logs(folder: Path, missing: list[str]) -> Mapping[str, Mapping[str, str]]:
    """The end of each log file, by node and name."""
    logs: dict[str, dict[str, str]] = {}
    nodes = folder / "nodes"
    for node in sorted(nodes.iterdir()) if nodes.is_dir() else ():
        if not node.is_dir():
            continue
        logs[node.name] = {}
        for path in sorted(node.glob("*.log")):
            name = f"nodes/{node.name}/{path.name}"
            try:
                with opened(folder, name) as file:
                    logs[node.name][path.name] = _tail(file)
            except NoSuchFile:
                missing.append(f"{name} {_absent(folder, name)}")
            except OSError as problem:
                missing.append(f"{name} can't be read ({problem.strerror})")
    return logs


def _tail(file: IO[bytes]) -> str:
    length = file.seek(0, 2)
    file.seek(max(0, length - LOG_TAIL_BYTES))
    tail = file.read().decode("utf-8", "replace")
    # The first line of a tail is most likely cut.
    return tail if length <= LOG_TAIL_BYTES else tail.partition("\n")[2]
