"""A campaign: the runs of a plan on all workers, each outcome kept at once, and all of them summed up at the end.

1. The folder of a campaign has campaign.json (the plan), results.jsonl, index.html, and runs/ with the folders of the
   runs that were not valid. campaigns/trend.jsonl, beside it, has a line for each campaign.
2. A campaign is resumed with the plan in its folder: runs that are in results.jsonl are not done again.
3. The first Ctrl-C or SIGTERM ends it once what is under way is done, with its summary; a second one ends it at once.
"""

from __future__ import annotations

import json
import multiprocessing
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from splitbrain.harness.campaigns.outcomes import RESULTS, OutcomeFile, RunOutcome, counts, failures
from splitbrain.harness.campaigns.performing import Performed, PlannedRun
from splitbrain.harness.campaigns.plan import CampaignPlan
from splitbrain.harness.campaigns.workers import Workers
from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.running.facts import commit
from splitbrain.harness.running.results import ResultsError, Status, unwritable, worst
from splitbrain.harness.terminal import Progress

PLAN = "campaign.json"
TWICE = 50
"""One run in so many is done twice, to see that it replays."""
_ONE_INTERRUPT_S = 1.0


@dataclass(frozen=True)
class Stop:
    """When a campaign ends, at the first of these. runs: how many it has, those that were there included. seconds: how
    long it starts runs. failures: how many runs were invalid."""

    runs: int | None = None
    seconds: float | None = None
    failures: int | None = None


@dataclass(frozen=True)
class Summary:
    """What came of a campaign. outcomes: of all its runs, by number. seconds: it took, without earlier parts.
    interrupted: it was ended early."""

    plan: CampaignPlan
    folder: Path
    outcomes: Sequence[RunOutcome]
    seconds: float
    interrupted: bool

    @property
    def status(self) -> Status:
        """The worst of its runs."""
        return worst(outcome.status for outcome in self.outcomes)

    @property
    def cpu_s(self) -> float:
        return sum(outcome.cpu_s for outcome in self.outcomes)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "verdict": self.status,
            **counts(self.outcomes),
            "signatures": [
                {
                    **failure.signature._asdict(),
                    "runs": failure.runs,
                    "first": failure.first.index,
                    "folder": str(self.folder / failure.first.folder),
                    "replay": failure.first.command,
                }
                for failure in failures(self.outcomes)
            ],
            "situations": situation_counts(self.outcomes),
            "seconds": round(self.seconds, 1),
            "cpu_s": round(self.cpu_s, 1),
            "interrupted": self.interrupted,
            "folder": str(self.folder),
            "resume": resume_command(self.folder),
        }


def situation_counts(outcomes: Sequence[RunOutcome]) -> dict[str, int]:
    """In how many runs each situation occurred, of those that some run could tell."""
    found: dict[str, int] = {}
    for outcome in outcomes:
        for name, met in outcome.situations.items():
            found[name] = found.get(name, 0) + met
    return found


def resume_command(folder: Path) -> str:
    """The shell line that goes on with a campaign; without an end, which the user gives."""
    return shlex.join(["splitbrain", "campaign", "--resume", str(folder)])


def created(out: Path, plan: CampaignPlan) -> Path:
    """A new folder for a campaign of this plan. Raises ResultsError."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        for number in count():
            folder = out / (f"{stamp}-{number}" if number else stamp)
            try:
                folder.mkdir(parents=True)
                break
            except FileExistsError:
                continue
        known = {"plan": asdict(plan), "versions": {"splitbrain": version("splitbrain")}, "commit": commit()}
        (folder / PLAN).write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    except OSError as problem:
        raise ResultsError(f"can't make a campaign's folder under {out} ({problem}); give another with --out") from None
    return folder


def resumed(folder: Path) -> CampaignPlan:
    """The plan in a campaign's folder. Raises UsageProblem."""
    path = folder / PLAN
    try:
        return msgspec.convert(json.loads(path.read_bytes())["plan"], CampaignPlan)
    except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else f"no campaign's plan: {problem}"
        raise UsageProblem(f"--resume {folder}: {path.name}, {reason}; give the folder of a campaign") from None


@dataclass
class Campaign:
    """A campaign under way. plan: what it runs. folder: where it is kept. workers: where runs are performed. stop: when
    it ends. progress: is told what comes."""

    plan: CampaignPlan
    folder: Path
    workers: Workers
    stop: Stop
    progress: Progress
    _outcomes: dict[int, RunOutcome] = field(default_factory=dict, init=False)
    _signals: int = field(default=0, init=False)
    _signalled_s: float = field(default=float("-inf"), init=False)
    _began_s: float = field(default=0.0, init=False)

    def go(self) -> Summary:
        """Run it to its end. Raises ResultsError where outcomes can't be kept, and KeyboardInterrupt at a second
        Ctrl-C."""
        self._began_s = time.monotonic()
        with OutcomeFile(self.folder / RESULTS) as file:
            self._outcomes = {outcome.index: outcome for outcome in file.known}
            before = self._heard()
            try:
                for performed in self.workers.done(self._runs()):
                    self._keep(performed, file)
            except BaseException:
                for child in multiprocessing.active_children():
                    child.kill()
                raise
            finally:
                before()
                self.workers.close()
        outcomes = [self._outcomes[index] for index in sorted(self._outcomes)]
        return Summary(self.plan, self.folder, outcomes, time.monotonic() - self._began_s, bool(self._signals))

    def _runs(self) -> Iterator[PlannedRun]:
        for index in count():
            if index in self._outcomes:
                continue
            if self._over(index):
                return
            yield PlannedRun(index, self.plan.experiment(index), twice=index % TWICE == 0)

    def _over(self, index: int) -> bool:
        """Whether no run is to be started any more."""
        stop = self.stop
        invalid = sum(1 for outcome in self._outcomes.values() if outcome.status == "invalid")
        return bool(
            self._signals
            or (stop.runs is not None and index >= stop.runs)
            or (stop.seconds is not None and time.monotonic() - self._began_s >= stop.seconds)
            or (stop.failures is not None and invalid >= stop.failures)
        )

    def _keep(self, performed: Performed, file: OutcomeFile) -> None:
        outcome = performed.outcome
        if performed.files:
            name = f"runs/{outcome.index:06d}"
            write_files(self.folder / name, performed.files)
            outcome = msgspec.structs.replace(outcome, folder=name)
        file.add(outcome)
        self._outcomes[outcome.index] = outcome
        if outcome.status != "valid":
            self.progress(f"run {outcome.index}  {outcome.status.upper()}: {outcome.reason}\n  {outcome.command}")
        self.progress.status(self._status())

    def _status(self) -> str:
        found = counts(self._outcomes.values())
        seconds = time.monotonic() - self._began_s
        told = "  ".join(f"{name} {number:,}" for name, number in found.items() if number or name == "valid")
        return f"{seconds:6.0f} s  {told}"

    def _heard(self) -> Callable[[], None]:
        """Rule 3. Returns what gives the signals back."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        before = {number: signal.signal(number, self._signal) for number in (signal.SIGINT, signal.SIGTERM)}

        def give_back() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return give_back

    def _signal(self, number: int, frame: FrameType | None) -> None:
        # A signal to the whole process group also arrives by way of the parent.
        now_s = time.monotonic()
        if now_s - self._signalled_s <= _ONE_INTERRUPT_S:
            return
        self._signalled_s = now_s
        self._signals += 1
        if self._signals > 1:
            raise KeyboardInterrupt
        self.progress("what is under way is finished; once more to end at once")


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """A run's folder as a worker sent it. Raises ResultsError."""
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as problem:
            raise unwritable(path, problem) from None
