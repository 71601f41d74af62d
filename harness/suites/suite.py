"""A suite under way: its runs one after another, each kept as soon as it is over.

1. results.jsonl has a line for each run that is over. A suite that was killed is resumed from there: the run that was
   under way is done again, and no other.
2. A run counts as the same if its command does. So a file may be extended, and the suite resumed with it.
3. A run whose verdict is the one that is wanted has passed. One with another verdict has not, whichever it is: an
   anomaly that ought to be found and is not is a failure of the test.
4. No run is started once the time budget is used up; what was not run is said, and the suite has not passed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec

from splitbrain.checkers import Outcome
from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.running.interrupts import located
from splitbrain.harness.running.results import Result, ResultsError, Status, unwritable, worst
from splitbrain.harness.running.run import run
from splitbrain.harness.suites.suite_file import Case, SuiteFile
from splitbrain.harness.terminal import Progress

RESULTS = "results.jsonl"


class CaseOutcome(msgspec.Struct, frozen=True):
    """What came of one run.

    expect, status: the verdict wanted, and what it was. witness: what shows an anomaly, in a sentence; "" if there is
    none. seconds: how long the run took. folder: the run's, within the suite's.
    """

    title: str
    system: str
    workload: str
    command: str
    expect: Status
    status: Status
    reason: str
    witness: str = ""
    seconds: float = 0.0
    folder: str = ""

    @property
    def passed(self) -> bool:
        return self.status == self.expect


@dataclass(frozen=True)
class SuiteSummary:
    """A suite at its end. left: cases that were not run. interrupted: the user ended it."""

    folder: Path
    outcomes: Sequence[CaseOutcome]
    left: Sequence[Case]
    interrupted: bool = False

    @property
    def status(self) -> Status:
        """Valid if every run passed. Else the worst of what was not wanted; unknown if runs are left."""
        found: list[Status] = ["unknown"] if self.left else []
        for outcome in self.outcomes:
            if not outcome.passed:
                found.append("invalid" if outcome.status == "valid" else outcome.status)
        return worst(found) if found else "valid"


def new_folder(out: Path) -> Path:
    """A new folder for a suite's runs. Raises ResultsError."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in count():
        folder = out / (f"{stamp}-{number}" if number else stamp)
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as problem:
            raise ResultsError(
                f"can't make a suite's folder under {out} ({problem}); give another with --out"
            ) from None
    raise AssertionError


def read_outcomes(folder: Path) -> list[CaseOutcome]:
    """What is known of a suite. A last line that was cut off is left out. Raises UsageProblem."""
    path = folder / RESULTS
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
        return [msgspec.json.decode(line, type=CaseOutcome) for line in lines]
    except FileNotFoundError:
        if folder.is_dir():
            return []
        raise UsageProblem(f"--resume {folder}: there is no such folder; give that of a suite") from None
    except (OSError, msgspec.MsgspecError) as problem:
        raise UsageProblem(
            f"--resume {folder}: {path.name} can't be read: {problem}; give the folder of a suite"
        ) from None


def go(suite: SuiteFile, folder: Path, progress: Progress) -> SuiteSummary:
    """Do what is not done yet. Raises ResultsError if results can't be kept.

    folder: the suite's; it has what was done so far.
    """
    done = {outcome.command: outcome for outcome in read_outcomes(folder)}
    began_s = time.monotonic()
    left: list[Case] = []
    interrupted = False
    for number, case in enumerate(suite.cases, 1):
        if case.experiment.command in done:
            continue
        spent = suite.budget_s is not None and time.monotonic() - began_s >= suite.budget_s
        if interrupted or spent:
            left.append(case)
            continue
        progress(f"{number} of {len(suite.cases)}: {case.title}")
        try:
            outcome = _performed(case, folder, progress)
        except KeyboardInterrupt:
            interrupted = True
            left.append(case)
            continue
        _keep(folder, outcome)
        done[outcome.command] = outcome
        progress(f"  {outcome.status.upper()}{'' if outcome.passed else f', wanted {case.expect}'}: {outcome.reason}")
    outcomes = [done[case.experiment.command] for case in suite.cases if case.experiment.command in done]
    return SuiteSummary(folder, outcomes, left, interrupted)


def _performed(case: Case, folder: Path, progress: Progress) -> CaseOutcome:
    began_s = time.monotonic()
    experiment = case.experiment
    known = (case.title, experiment.system, experiment.workload, experiment.command, case.expect)
    try:
        result = run(experiment, out=folder / "runs", progress=progress)
    except (UsageProblem, ResultsError, MemoryError) as problem:
        return CaseOutcome(*known, "broken", located(problem), seconds=round(time.monotonic() - began_s, 1))
    return CaseOutcome(
        *known,
        result.status,
        result.reason,
        _witness(result),
        round(time.monotonic() - began_s, 1),
        result.folder.relative_to(folder).as_posix(),
    )


def _witness(result: Result) -> str:
    """The first witness of an anomaly, as one sentence."""
    parts = result.verdict.parts.values() if result.verdict is not None else ()
    found = [part.witness.text for part in parts if part.outcome is Outcome.INVALID and part.witness is not None]
    return " ".join(found[0].split()) if found else ""


def _keep(folder: Path, outcome: CaseOutcome) -> None:
    """Rule 1. Raises ResultsError."""
    path = folder / RESULTS
    try:
        whole = path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0
        with path.open("ab") as file:
            file.truncate(whole)
            file.write(msgspec.json.encode(outcome) + b"\n")
    except OSError as problem:
        raise unwritable(path, problem) from None
