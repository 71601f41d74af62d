"""The folder of the smallest run so far: RUN/shrunk, a run's folder like any other, and a test beside its history.

1. A smaller run takes the place of the one before in two renames; nothing is written into the folder that counts.
2. The command in run.json is the one that replays it from where it is.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from splitbrain.harness.replays.finding import Finding
from splitbrain.harness.replays.pytest_file import test_of
from splitbrain.harness.report import ReportError
from splitbrain.harness.report import write as write_report
from splitbrain.harness.running.experiment import Experiment, replaying
from splitbrain.harness.running.results import ResultsError


@dataclass
class ShrunkFolder:
    """See the module's rules.

    path: where it is. made: whether there is one from this shrinking yet. test: the test's file, once there is one.
    """

    path: Path
    made: bool = False
    test: Path | None = None

    def take(self, folder: Path) -> None:
        """This run is the smallest. Raises ResultsError if the disk is full, say."""
        before = folder.with_name(f"{folder.name}-before")
        try:
            file = folder / "run.json"
            run = json.loads(file.read_bytes())
            if run["command"].startswith("splitbrain replay"):
                run["command"] = replaying(self.path)
                file.write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            if self.path.exists():
                self.path.rename(before)
            folder.rename(self.path)
            shutil.rmtree(before, ignore_errors=True)
        except OSError as problem:
            raise ResultsError(f"can't write {self.path} ({problem.strerror}); make room there") from None
        self.made = True

    def draw_report(self) -> None:
        """Draw its report. Raises ResultsError."""
        try:
            write_report(self.path)
        except ReportError as problem:
            raise ResultsError(str(problem)) from None

    def write_test(self, experiment: Experiment, finding: Finding) -> None:
        """Write the test that fails. Only a run whose operations are values has one."""
        if experiment.operations is not None:
            name, text = test_of(experiment, finding)
            self.test = self.path / name
            self.test.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def workspace(run: Path) -> Iterator[Path]:
    """A folder for trials within a run's folder, gone at the end. Raises ResultsError.

    It is on the same disk as the folder above, for only so a rename is one step.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=".trials-", dir=run, ignore_cleanup_errors=True)
    except OSError as problem:
        raise ResultsError(f"can't make a folder in {run} ({problem.strerror}); make it writable, or copy it") from None
    with folder as name:
        yield Path(name)
