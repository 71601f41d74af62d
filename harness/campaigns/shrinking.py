"""Shrinking what a campaign found: of each signature the run of fewest operations, made as small as it gets.

1. What is kept of the failure is its core, checker and kind (`signature`).
2. Each gets the same budget of CPU seconds. At most `MOST` are shrunk, the most frequent first.
3. The result is in the run's folder, under shrunk/, with a test that fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from splitbrain.harness.campaigns.campaign import Summary
from splitbrain.harness.campaigns.outcomes import failures
from splitbrain.harness.campaigns.signature import Signature
from splitbrain.harness.replays.finding import Finding
from splitbrain.harness.replays.recorded import recorded
from splitbrain.harness.replays.shrink import Shrinking
from splitbrain.harness.replays.shrunk_folder import ShrunkFolder, workspace
from splitbrain.harness.replays.trials import Trials
from splitbrain.harness.terminal import Progress

MOST = 5


@dataclass(frozen=True)
class Shrunk:
    """A run that was made smaller. folder: of the result, within the campaign's."""

    folder: str
    operations: int
    strikes: int
    cpu_s: float


def shrunk(summary: Summary, budget_s: float, progress: Progress) -> Mapping[Signature, Shrunk]:
    """Shrink what was found, so many CPU seconds each; what did not come again is not there. Raises ResultsError."""
    found: dict[Signature, Shrunk] = {}
    for failure in failures(summary.outcomes)[:MOST]:
        folder = summary.folder / failure.smallest.folder
        finding = Finding(*failure.signature.core)
        progress(f"shrinking run {failure.smallest.index}: {failure.signature.text}")
        with workspace(folder) as trials_folder:
            trials = Trials(finding, trials_folder, budget_s)
            # One run may show several failures; each has a folder of its own.
            kept = ShrunkFolder(folder / f"shrunk-{finding.checker}")
            shrinking = Shrinking(recorded(folder), trials, kept, Progress(quiet=True))
            try:
                shrinking.go()
            finally:
                shrinking.end()
        if kept.made:
            path = kept.path.relative_to(summary.folder).as_posix()
            found[failure.signature] = Shrunk(path, shrinking.operations, shrinking.strikes, round(trials.cpu_s, 1))
    return found
