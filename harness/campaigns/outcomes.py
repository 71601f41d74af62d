"""Outcomes: what a campaign keeps of each of its runs, a line each in results.jsonl.

1. A line is written and flushed as soon as its run is over. So a campaign that is killed loses the runs under way, and
   nothing else.
2. A last line that was cut off is dropped, and its run is done again.
3. The folder of a run is kept if the run is not valid, under runs/ beside the file, by the run's number.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from splitbrain.harness.campaigns.signature import Signature
from splitbrain.harness.running.results import ResultsError, Status, unwritable

RESULTS = "results.jsonl"


class RunOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one run.

    index: its number in the plan. workload, faults, command: what was run. status, reason: the verdict, or `broken` and
    why. signatures: of the anomalies. situations: by name, whether each occurred; those that the run could not tell are
    not there. overlaps: pairs of families that stood at the same time, `a+b`. operations: of clients. strikes: how many
    took effect. cpu_s: seconds of CPU, the second run of a run done twice included. twice: it was done twice. folder:
    where it was kept, within the campaign's; "" if it was not.
    """

    index: int
    workload: str
    command: str
    status: Status
    reason: str
    faults: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()
    situations: Mapping[str, bool] = {}
    overlaps: tuple[str, ...] = ()
    operations: int = 0
    strikes: int = 0
    cpu_s: float = 0.0
    twice: bool = False
    folder: str = ""


class OutcomeFile:
    """results.jsonl, open for more. path: of the file; made if it is not there. Raises ResultsError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.known = read_outcomes(path)
        """The outcomes that were there."""
        try:
            self._file = path.open("ab", buffering=0)
            if path.stat().st_size:
                # Rule 2: what follows the last whole line goes.
                whole = path.read_bytes().rfind(b"\n") + 1
                os.truncate(path, whole)
        except OSError as problem:
            raise unwritable(path, problem) from None

    def __enter__(self) -> OutcomeFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, outcome: RunOutcome) -> None:
        """Rule 1. Raises ResultsError."""
        line = memoryview(msgspec.json.encode(outcome) + b"\n")
        try:
            while line:
                line = line[self._file.write(line) :]  # A disk that gets full may take a part of it.
        except OSError as problem:
            raise unwritable(self._path, problem) from None


def read_outcomes(path: Path) -> list[RunOutcome]:
    """The outcomes in a file, in the order of their numbers; none if it is not there. Raises ResultsError."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise ResultsError(f"can't read {path} ({problem.strerror}); give another campaign's folder") from None
    found: dict[int, RunOutcome] = {}
    for number, line in enumerate(lines[:-1], 1):
        try:
            outcome = msgspec.json.decode(line, type=RunOutcome)
        except msgspec.DecodeError as problem:
            raise ResultsError(
                f"{path}, line {number}: {problem}; remove that line, and its run is done again"
            ) from None
        found.setdefault(outcome.index, outcome)
    return sorted(found.values(), key=lambda outcome: outcome.index)


def counts(outcomes: Iterable[RunOutcome]) -> dict[str, int]:
    """How many there are of each status, and of all: `runs`."""
    found = {"runs": 0, "valid": 0, "invalid": 0, "unknown": 0, "broken": 0}
    for outcome in outcomes:
        found["runs"] += 1
        found[outcome.status] += 1
    return found


class Failure(msgspec.Struct, frozen=True):
    """Failures of one signature.

    first: the run of the lowest number. smallest: that of the fewest operations. runs: how many there are.
    """

    signature: Signature
    first: RunOutcome
    smallest: RunOutcome
    runs: int


def failures(outcomes: Sequence[RunOutcome]) -> list[Failure]:
    """The failures by signature, the most frequent first. O(n)."""
    by_signature: dict[Signature, list[RunOutcome]] = {}
    for outcome in outcomes:
        for signature in outcome.signatures:
            by_signature.setdefault(signature, []).append(outcome)
    found = [
        Failure(
            signature,
            min(runs, key=lambda outcome: outcome.index),
            min(runs, key=lambda outcome: (outcome.operations, outcome.index)),
            len(runs),
        )
        for signature, runs in by_signature.items()
    ]
    return sorted(found, key=lambda failure: (-failure.runs, failure.first.index))
