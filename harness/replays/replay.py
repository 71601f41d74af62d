"""Replaying a run from its folder.

1. In simulation the same experiment is run again, and its history must be the same, byte for byte. Otherwise the first
   line that differs is told: the code has changed, or something in it is not deterministic.
2. In containers, strikes and operations start at the times at which they did in the recorded run. What happens between
   them is up to the machines, so histories are not compared. A finding is reproduced if the same checker finds the same
   kind of anomaly again.
3. A run is replayed where it was recorded, unless another environment is asked for.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from splitbrain.harness.replays.finding import Finding, findings
from splitbrain.harness.replays.recorded import RecordedRun, script
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.results import EXIT_CODES, Result, ResultsError
from splitbrain.harness.running.run import run
from splitbrain.harness.terminal import Progress

SHOWN = 300
"""Characters of a line that differs."""


@dataclass(frozen=True)
class Difference:
    """The first line in which two histories differ. A history that has ended there has None.

    line: from 1. before, after: the recorded one and the new one.
    """

    line: int
    before: str | None
    after: str | None

    def lines(self) -> list[str]:
        """For people."""
        shown = [("recorded", self.before), ("now", self.after)]
        return [
            f"line {self.line:,} differs",
            *(f"  {name:<9} {'(no such line)' if text is None else text[:SHOWN]}" for name, text in shown),
        ]


@dataclass(frozen=True)
class Replay:
    """The outcome of a replay.

    result: of the new run. compared: whether the histories were compared; difference: where they differ, if they do.
    finding: of the recorded run, or None if it was not invalid. reproduced: whether it came again.
    """

    result: Result
    compared: bool
    difference: Difference | None
    finding: Finding | None
    reproduced: bool

    @property
    def exit_code(self) -> int:
        """That of the new run; where histories are compared, 0 for the same and 3 for a difference."""
        if not self.compared:
            return self.result.exit_code
        return EXIT_CODES["valid" if self.difference is None else "broken"]

    def lines(self) -> list[str]:
        """For people."""
        if self.compared:
            told = ["the same, byte for byte"] if self.difference is None else self.difference.lines()
        else:
            told = self.result.lines()
        where = "real machines" if not self.compared else "simulated machines"
        if self.finding is not None:
            told += ["", f"reproduced on {where}: {'yes' if self.reproduced else 'no'} ({self.finding})"]
        return told

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        form: dict[str, Any] = {"verdict": self.result.status, "reason": self.result.reason}
        if self.compared:
            form["same"] = self.difference is None
            if self.difference is not None:
                form["line"] = self.difference.line
                form |= {"recorded": self.difference.before, "now": self.difference.after}
        if self.finding is not None:
            form["finding"] = {"checker": self.finding.checker, "kind": self.finding.kind}
            form["reproduced"] = "yes" if self.reproduced else "no"
        return {**form, "folder": str(self.result.folder)}


def replay(before: RecordedRun, *, environment: str | None, hosts: str = "", out: Path, progress: Progress) -> Replay:
    """Run it again.

    environment: None for that of the recorded run. hosts: the file of hosts, if another than then. out: the folder for
    runs. Raises UsageProblem or ResultsError before anything starts.
    """
    history = before.history()
    known = findings(before.results())
    finding = known[0] if known else None
    chosen = environment or before.experiment.environment
    again = before.experiment.elsewhere(chosen, hosts)
    compared = before.is_simulated and chosen == before.experiment.environment
    if not compared and again.operations is None:
        again = with_operations(again, script(history))
    result = run(again, out=out, progress=progress)
    if not compared and result.status == "broken":
        raise ResultsError(f"the replay is broken: {result.reason}; see {result.folder}")
    difference = differing(before.history_file, result.folder / before.history_file.name) if compared else None
    return Replay(result, compared, difference, finding, finding in findings(result.as_dict()))


def with_operations(experiment: Experiment, operations: tuple[Any, ...]) -> Experiment:
    """The experiment with these operations instead of the workload's own, each process on a thread of its own."""
    processes = 1 + max((operation.process for operation in operations), default=0)
    return replace(experiment, operations=operations, concurrency=processes)


def differing(before: Path, after: Path) -> Difference | None:
    """The first line in which two files differ. Raises ResultsError if one can't be read. O(bytes)."""
    with ExitStack() as stack:
        try:
            recorded, new = (stack.enter_context(path.open("rb")) for path in (before, after))
            for line, (one, other) in enumerate(zip_longest(recorded, new), start=1):
                if one != other:
                    return Difference(line, _text(one), _text(other))
        except OSError as problem:
            raise ResultsError(f"can't read {problem.filename} ({problem.strerror}); run it again") from None
    return None


def _text(line: bytes | None) -> str | None:
    return None if line is None else line.decode(errors="replace").rstrip("\n")
