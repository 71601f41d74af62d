"""`splitbrain shrink`: make a run that failed as small as it gets."""

from __future__ import annotations

import json
from pathlib import Path

import click

from splitbrain.harness.doors import words
from splitbrain.harness.doors.commands import Answered
from splitbrain.harness.running.results import EXIT_CODES
from splitbrain.harness.terminal import Progress, say


@click.command(cls=words.Command)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--budget", default=60.0, show_default=True, type=click.FloatRange(0, min_open=True), help="CPU seconds of trials."
)
@click.option("--jobs", default=1, show_default=True, type=words.Whole(1, 256), help="Processes to try with.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end, for programs.")
def shrink(run: Path, budget: float, jobs: int, as_json: bool) -> None:
    """Make an invalid RUN as small as it gets while it fails in the same way: RUN/shrunk, with a test that fails.

    Ctrl-C leaves the smallest run so far there. The exit code is 2 if the failure did not come again in simulation.
    """
    from splitbrain.harness.doors.check import workers
    from splitbrain.harness.replays.recorded import recorded
    from splitbrain.harness.replays.shrink import Shrinking, failure
    from splitbrain.harness.replays.shrunk_folder import ShrunkFolder, workspace
    from splitbrain.harness.replays.trials import Trials

    before = recorded(run)
    wanted = failure(before)
    with (
        Progress(quiet=as_json) as progress,
        workers(jobs) as executor,
        workspace(run) as trials_folder,
    ):
        trials = Trials(wanted, trials_folder, budget, executor, jobs)
        shrinking = Shrinking(before, trials, ShrunkFolder(run / "shrunk"), progress)
        progress(f"{wanted}: {shrinking.operations:,} operations, {shrinking.strikes} strikes")
        try:
            shrinking.go()
        finally:
            shrinking.end()
    say(json.dumps(shrinking.as_dict()) if as_json else "\n".join(shrinking.lines()))
    raise Answered(EXIT_CODES["valid" if shrinking.kept.made else "unknown"])
