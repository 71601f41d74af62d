"""Trials: candidates for a smaller run, each run in simulation, several at once.

1. Of several candidates the first that keeps the failure counts, in the order given: how many processes work on them
   changes nothing but the time that it takes.
2. A candidate that can't be run, or is broken, keeps no failure.
3. Trials end when the budget of CPU seconds is used up. What all processes have used counts.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path

from splitbrain.harness.replays.finding import Finding, findings
from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.running.run import run


class BudgetUsed(Exception):
    """No more trials may be made."""


@dataclass(frozen=True)
class Trial:
    """One candidate that was run.

    folder: the run's; None if it keeps no failure, and then nothing of it is left. cpu_s: what it took.
    """

    experiment: Experiment
    folder: Path | None
    cpu_s: float


def attempt(experiment: Experiment, wanted: Finding, out: Path) -> Trial:
    """Run a candidate, in a folder of its own."""
    began = time.process_time()
    kept = None
    try:
        result = run(experiment, out=out, report=False)
        if wanted in findings(result.as_dict()):
            kept = result.folder
    except UsageProblem:
        pass
    if kept is None:
        shutil.rmtree(out, ignore_errors=True)
    return Trial(experiment, kept, time.process_time() - began)


@dataclass
class Trials:
    """Runs candidates.

    wanted: the failure to be kept. workspace: an empty folder. budget_s: CPU seconds, of trials. executor: runs so many
    of them at once (`jobs`); None for this process alone. made: how many were run. cpu_s: what they took.
    """

    wanted: Finding
    workspace: Path
    budget_s: float
    executor: Executor | None = None
    jobs: int = 1
    made: int = 0
    cpu_s: float = 0.0
    _numbers: Iterator[int] = field(default_factory=count)

    def first(self, candidates: Iterable[Experiment]) -> tuple[int, Trial] | None:
        """The first candidate that keeps the failure, and its place among them. Raises BudgetUsed."""
        with closing(self._made_in_order(candidates)) as made:
            return next(((place, trial) for place, trial in enumerate(made) if trial.folder is not None), None)

    def keeping(self, candidates: Iterable[Experiment]) -> list[Trial]:
        """Those candidates that keep the failure; all are run. Raises BudgetUsed."""
        return [trial for trial in self._made_in_order(candidates) if trial.folder is not None]

    def _made_in_order(self, candidates: Iterable[Experiment]) -> Generator[Trial, None, None]:
        waiting = iter(candidates)
        running: deque[Future[Trial]] = deque()
        try:
            while True:
                self._check()
                for candidate in islice(waiting, self.jobs - len(running)):
                    running.append(self._submit(candidate))
                if not running:
                    return
                done = running.popleft().result()
                self._count(done)
                yield done
        finally:
            for future in running:
                if not future.cancel():
                    future.add_done_callback(self._drop)

    def _check(self) -> None:
        if self.cpu_s >= self.budget_s:
            raise BudgetUsed

    def _count(self, trial: Trial) -> None:
        self.made += 1
        self.cpu_s += trial.cpu_s

    def _drop(self, future: Future[Trial]) -> None:
        """A trial that came after the first that kept the failure: its time counts, its folder goes."""
        if not future.cancelled() and future.exception() is None:
            trial = future.result()
            self._count(trial)
            if trial.folder is not None:
                shutil.rmtree(trial.folder, ignore_errors=True)

    def _submit(self, candidate: Experiment) -> Future[Trial]:
        out = self.workspace / str(next(self._numbers))
        if self.executor is not None:
            return self.executor.submit(attempt, candidate, self.wanted, out)
        future: Future[Trial] = Future()
        future.set_result(attempt(candidate, self.wanted, out))
        return future
