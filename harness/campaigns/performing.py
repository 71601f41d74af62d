"""Performing one run of a campaign: in a folder of its own, wherever the worker is.

1. What is sent back holds the run's folder if the run was not valid. So a worker may be on another machine, and needs
   no disk that others see.
2. A run may be asked for twice. If the two histories differ, the run is `broken`: it would not replay.
3. A run that costs too much memory ends as `broken`, like everything else that goes wrong in it.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import msgspec
from msgspec.structs import replace

from splitbrain.checkers import History
from splitbrain.checkers.histories.faults import faults
from splitbrain.checkers.histories.history import Operation
from splitbrain.checkers.histories.replica_polls import client_operations
from splitbrain.harness.campaigns.outcomes import RunOutcome
from splitbrain.harness.campaigns.signature import signatures
from splitbrain.harness.campaigns.situations import occurred
from splitbrain.harness.report import ReportError
from splitbrain.harness.report import write as write_report
from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.running.interrupts import located
from splitbrain.harness.running.results import Result, ResultsError, Status, read_history
from splitbrain.harness.running.run import run

RUN_CPU_S = 120
"""Of CPU, in which a run must end: one of ten virtual seconds takes about two."""


@dataclass(frozen=True)
class PlannedRun:
    """A run to be performed. index: its number in the plan. twice: rule 2."""

    index: int
    experiment: Experiment
    twice: bool = False

    @property
    def cpu_s(self) -> int:
        """What it may take."""
        return RUN_CPU_S * (1 + self.twice)

    def do(self) -> Performed:
        """Run it, here and now."""
        return _perform(self)

    def failed(self, reason: str) -> Performed:
        """It gave nothing."""
        experiment = self.experiment
        return Performed(
            RunOutcome(self.index, experiment.workload, experiment.command, "broken", reason, experiment.faults)
        )


class Performed(msgspec.Struct, frozen=True):
    """What a worker sends back. files: of the run's folder by their path in it; none if the run was valid."""

    outcome: RunOutcome
    files: Mapping[str, bytes] = {}


def _perform(planned: PlannedRun) -> Performed:
    began_s = time.process_time()
    try:
        with tempfile.TemporaryDirectory(prefix="splitbrain-") as scratch:
            first = run(planned.experiment, out=Path(scratch, "first"), report=False)
            reason = ""
            if planned.twice and first.status != "broken":
                reason = _difference(first, run(planned.experiment, out=Path(scratch, "second"), report=False))
            outcome = _told(planned, first, reason)
            performed = Performed(outcome, {} if outcome.status == "valid" else _files(first.folder))
    except (UsageProblem, ResultsError, MemoryError) as problem:
        performed = planned.failed(located(problem))
    cpu_s = round(time.process_time() - began_s, 3)
    return replace(performed, outcome=replace(performed.outcome, cpu_s=cpu_s, twice=planned.twice))


def _told(planned: PlannedRun, result: Result, difference: str) -> RunOutcome:
    status: Status
    if difference and result.status != "invalid":
        status, reason = "broken", difference
    else:
        status, reason = result.status, result.reason
    outcome = replace(planned.failed(reason).outcome, status=status)
    if not (result.folder / "history.jsonl").exists():
        return outcome
    history = read_history(result.folder / "history.jsonl")
    asked: list[Operation] = client_operations(history)
    return replace(
        outcome,
        signatures=signatures(result.verdict, history) if result.verdict is not None else (),
        situations=occurred(history),
        overlaps=_overlaps(history),
        operations=len(asked),
        strikes=sum(1 for fault in faults(history) if fault.start.effective),
    )


def _overlaps(history: History) -> tuple[str, ...]:
    """Pairs of families that stood at the same time, and families that stood, each as its name."""
    stood = [fault for fault in faults(history) if fault.start.effective]
    last = len(history.events)
    pairs = {
        "+".join(sorted((one.family, other.family)))
        for one, other in combinations(stood, 2)
        if one.began.index < (other.ended.index if other.ended else last)
        and other.began.index < (one.ended.index if one.ended else last)
    }
    return (*sorted({fault.family for fault in stood}), *sorted(pairs))


def _difference(first: Result, second: Result) -> str:
    """Where the histories of two runs of one experiment differ; "" if they are the same, byte for byte."""
    one, other = ((result.folder / "history.jsonl").read_bytes().split(b"\n") for result in (first, second))
    if one == other:
        return ""
    line = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"run a second time, its history differs from line {line + 1} on: it does not replay"


def _files(folder: Path) -> dict[str, bytes]:
    # The run drew none: most runs are valid, and nothing of those is kept.
    with contextlib.suppress(ReportError):
        write_report(folder)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
