"""The pages on all runs as files: for CI artefacts, and wherever nothing is to be served.

1. Every page works from `file://`: links are relative, and the script filters the rows that are there.
2. A run's report is copied, or drawn where there is none: those of runs that were not valid first, then the newest, up
   to `REPORTS`. What is left out is counted.
3. A run is shown beside the one before of the same workload, system, environment and faults, for the newest `PAIRS`.
4. What is in the folder is written over, and nothing is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from splitbrain.harness.report.folder import ReportError, kept
from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.sealed_files import NoSuchFile, below, opened
from splitbrain.harness.serving import pages
from splitbrain.harness.serving.campaign_view import campaigns_of, suites_of
from splitbrain.harness.serving.comparison import compared, pulse_of
from splitbrain.harness.serving.run_entry import RunEntry
from splitbrain.harness.serving.run_filter import RunFilter
from splitbrain.harness.serving.run_index import Found, RunIndex

REPORTS = 500
PAIRS = 50


class Site(NamedTuple):
    """What was written: the first page, how many runs it lists, and how many of them have no report there."""

    home: Path
    runs: int
    without_report: int


def write_site(roots: Sequence[Path], folder: Path) -> Site:
    """Write the pages on the runs below some folders. Raises UsageProblem.

    folder: is made if it is not there.
    """
    index = RunIndex(roots)
    index.refresh()
    try:
        return _Writing(index, folder).site()
    except OSError as problem:
        raise UsageProblem(f"can't write {folder} ({problem.strerror}); give another folder with --static") from None


class _Writing:
    """A site being written."""

    def __init__(self, index: RunIndex, folder: Path) -> None:
        self._index = index
        self._folder = folder

    def site(self) -> Site:
        runs, links = self._index.runs, pages.Links("", static=True)
        by_need = sorted(runs, key=lambda run: (run.verdict == "valid", -run.at_s))
        shown = frozenset(run.id for run in by_need[:REPORTS] if self._report(run))
        before = self._pairs(runs)
        without = frozenset(run.id for run in runs) - shown
        self._write(
            "index.html",
            pages.runs_page(links, runs, chosen=RunFilter(), before=before, without_report=without),
        )
        self._write("campaigns.html", pages.campaigns_page(links, campaigns_of(self._index.campaigns()), shown))
        self._write("suites.html", pages.suites_page(links, suites_of(self._index.suites()), shown))
        return Site(self._folder / "index.html", len(runs), len(without))

    def _report(self, run: RunEntry) -> bool:
        _, place = self._found(run)
        try:
            with opened(place.root, below(place.folder, "report.html")) as file:
                page = file.read()
        except NoSuchFile:
            try:
                page = kept(place.root / place.folder).page.encode("utf-8", "replace")
            except ReportError:
                return False
        self._write(f"runs/{run.id}/report.html", page)
        return True

    def _pairs(self, runs: Sequence[RunEntry]) -> dict[str, str]:
        """The pages of rule 3, by the later run's id."""
        newest: dict[tuple[object, ...], RunEntry] = {}
        pairs: list[tuple[RunEntry, RunEntry]] = []
        for run in runs:  # The newest first.
            later = newest.get((run.group, run.faults))
            if later is not None:
                pairs.append((run, later))
            newest[run.group, run.faults] = run
        written: dict[str, str] = {}
        for earlier, later in sorted(pairs, key=lambda pair: -pair[1].at_s)[:PAIRS]:
            name = f"compare/{len(written) + 1:04d}.html"
            one, other = self._found(earlier), self._found(later)
            page = pages.compare_page(
                pages.Links("../", static=True), compared(one, other), (pulse_of(one[1]), pulse_of(other[1]))
            )
            self._write(name, page)
            written[later.id] = name
        return written

    def _found(self, run: RunEntry) -> tuple[RunEntry, Found]:
        found = self._index.run(run.id)
        assert found is not None
        return found

    def _write(self, name: str, page: str | bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(page if isinstance(page, bytes) else page.encode("utf-8", "replace"))
