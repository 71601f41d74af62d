"""`splitbrain suite`: the runs that a file names, one after another."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from splitbrain.harness.doors import words
from splitbrain.harness.doors.campaign_command import EXIT_INTERRUPTED
from splitbrain.harness.doors.commands import Answered
from splitbrain.harness.doors.durations import Duration
from splitbrain.harness.running.results import EXIT_CODES
from splitbrain.harness.terminal import Progress, say


@click.command(cls=words.Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--for", "duration", type=Duration(), metavar="2h", help="How long runs are started, instead of budget.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="DIR", help="Go on in the folder of this suite.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write the runs as JUnit XML too.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("suites"), show_default=True, help="Suites' folder."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end, for programs.")
def suite(
    file: Path, duration: float | None, resume: Path | None, junit: Path | None, out: Path, as_json: bool
) -> None:
    """Do the runs that FILE names, one after another, and compare each verdict with the one that is wanted.

    FILE: TOML; docs/ci.md tells what may stand there.
    """
    from splitbrain.harness.suites.suite import go, new_folder
    from splitbrain.harness.suites.suite_file import read_suite
    from splitbrain.harness.suites.suite_page import write_junit, write_page

    said = read_suite(file)
    if duration is not None:
        said = replace(said, budget_s=duration)
    folder = resume if resume is not None else new_folder(out)
    with Progress(quiet=as_json) as progress:
        progress(f"{len(said.cases)} runs, in {folder}")
        summary = go(said, folder, progress)
    page = write_page(summary)
    if junit is not None:
        write_junit(junit, summary)
    passed = sum(outcome.passed for outcome in summary.outcomes)
    again = shlex.join(["splitbrain", "suite", str(file), "--resume", str(folder)])
    if as_json:
        runs = [{**msgspec.structs.asdict(outcome), "passed": outcome.passed} for outcome in summary.outcomes]
        form = {"verdict": summary.status, "passed": passed, "runs": runs, "left": len(summary.left)}
        say(json.dumps({**form, "folder": str(folder), "resume": again}))
    else:
        verdict = "PASSED" if summary.status == "valid" else "FAILED"
        lines = [f"{verdict}: {passed} of {len(said.cases)} runs came out as wanted"]
        for outcome in summary.outcomes:
            if not outcome.passed:
                lines.append(f"  ✗ {outcome.title}: {outcome.status}, wanted {outcome.expect}: {outcome.reason}")
                lines.append(f"    replay  {outcome.command}")
        if summary.left:
            lines.append(f"  ? {len(summary.left)} not run; go on with `{again}`")
        say("\n".join([*lines, f"summary {page}"]))
    raise Answered(EXIT_INTERRUPTED if summary.interrupted else EXIT_CODES[summary.status])
