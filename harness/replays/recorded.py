"""A recorded run, read from its folder.

1. run.json and schedule.json say how to run it again, history.jsonl what happened, results.json what was found.
2. What is missing, or was written by another version, is named in one line.
3. The operations of the load can be had as a script. What the clients ask before and after it is the harness's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from splitbrain.checkers import History
from splitbrain.checkers.histories.event import NEMESIS, Event
from splitbrain.harness.replays.schedule_file import UnreadableSchedule, read_schedule
from splitbrain.harness.replays.scripted import ScriptedOperation
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.results import ResultsError, read_history

REMEDY = "give the folder of a run, such as runs/latest"
_ENDED_EARLY = "the run did not come to its end; run it again"


@dataclass(frozen=True)
class RecordedRun:
    """A run's folder, and the experiment in it with its strikes, and with its operations if it was given some."""

    folder: Path
    experiment: Experiment

    @property
    def history_file(self) -> Path:
        return self.folder / "history.jsonl"

    def history(self) -> History:
        """What happened, to the end. Raises ResultsError, also if it ended early."""
        history = read_history(self.history_file)
        stages = [event.value for event in history.events if event.process == NEMESIS and event.f == "stage"]
        if history.truncated or "end" not in stages:
            last = f"after the stage {stages[-1]!r}" if stages else "before its load"
            raise ResultsError(f"{self.history_file} ends {last}: {_ENDED_EARLY}")
        return history

    def results(self) -> dict[str, Any]:
        """What was found. Raises ResultsError if the run was not judged."""
        path = self.folder / "results.json"
        if not path.exists():
            raise ResultsError(f"{path} does not exist: {_ENDED_EARLY}")
        return _object(path)

    @property
    def is_simulated(self) -> bool:
        return self.experiment.environment == "sim"


def recorded(folder: Path) -> RecordedRun:
    """The run in this folder. Raises ResultsError."""
    run = _object(folder / "run.json")
    try:
        schedule = read_schedule(folder)
        experiment = _experiment(run)
    except UnreadableSchedule as problem:
        raise ResultsError(str(problem)) from None
    except msgspec.ValidationError as problem:
        raise ResultsError(f"{folder / 'run.json'} does not describe a run ({problem}); {REMEDY}") from None
    return RecordedRun(folder, replace(experiment, strikes=schedule.strikes, operations=schedule.operations))


def script(history: History) -> tuple[ScriptedOperation, ...]:
    """The operations of a history's load, each at the time when it was due, through the node that it went through.

    Processes are numbered from 0, in the order of their numbers: a process that took another's place is one of its own.
    """
    invoked, began_ns = _load(history.events)
    numbers = {process: number for number, process in enumerate(sorted({int(event.process) for event in invoked}))}
    return tuple(
        ScriptedOperation(
            (event.intended_time - began_ns) / 1e9,
            numbers[int(event.process)],
            event.f,
            None if event.key is None else str(event.key),
            event.value,
            event.node,
        )
        for event in invoked
    )


def _load(events: Iterable[Event]) -> tuple[list[Event], int]:
    """The invocations of the load, and when it began."""
    invoked: list[Event] = []
    began_ns = None
    for event in events:
        if event.f == "stage" and event.process == NEMESIS:
            if began_ns is not None:
                break
            if event.value == "load":
                began_ns = event.time
        elif began_ns is not None and event.type == "invoke" and event.process != NEMESIS:
            invoked.append(event)
    return invoked, began_ns or 0


def _experiment(run: Mapping[str, Any]) -> Experiment:
    # Containers of a compose project are looked up anew; hosts have the names that the schedule knows them by.
    left_out = {"strikes", "operations", "nodes", *(("named",) if run.get("compose") else ())}
    known = {item.name for item in fields(Experiment)} - left_out
    arguments = {name: value for name, value in run.items() if name in known}
    nodes = run.get("nodes")
    if not isinstance(nodes, list) or "workload" not in run:
        raise msgspec.ValidationError("it names no workload or no nodes")
    return msgspec.convert({**arguments, "nodes": len(nodes)}, Experiment)


def _object(path: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ResultsError(f"{path} does not exist: {path.parent} is no run folder; {REMEDY}") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise ResultsError(f"can't read {path} ({problem}); restore it, or run the test again") from None
    if not isinstance(parsed, dict):
        raise ResultsError(f"{path} does not hold a JSON object; restore it, or run the test again")
    return parsed
