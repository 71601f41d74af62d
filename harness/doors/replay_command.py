"""`splitbrain replay`: run a run again from its folder."""

from __future__ import annotations

import json
from pathlib import Path

import click

from splitbrain.harness.doors import words
from splitbrain.harness.doors.commands import Answered
from splitbrain.harness.running.environments import ENVIRONMENTS
from splitbrain.harness.terminal import Progress, say


@click.command(cls=words.Command)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--env",
    "environment",
    shell_complete=words.complete_environment,
    help=f"The environment, if another than it was recorded in: {', '.join(ENVIRONMENTS)}.",
)
@click.option("--hosts", type=click.Path(), default="", help="The file that names the hosts, for --env ssh.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end, for programs.")
def replay(run: Path, environment: str | None, hosts: str, as_json: bool) -> None:
    """Run what a RUN's folder has again: simulated, its history must be the same, byte for byte.

    In containers, the same strikes and operations are started at the same times, and it is told whether the finding
    came again. Then the exit code is that of the new run. The new run's folder is in the old one's, under replays/.
    """
    from splitbrain.harness.replays.recorded import recorded
    from splitbrain.harness.replays.replay import replay as replay_recorded

    before = recorded(run)
    with Progress(quiet=as_json) as progress:
        after = replay_recorded(before, environment=environment, hosts=hosts, out=run / "replays", progress=progress)
    say(json.dumps(after.as_dict()) if as_json else "\n".join(after.lines()), verdict=not as_json)
    raise Answered(after.exit_code)
