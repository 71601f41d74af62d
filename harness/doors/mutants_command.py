"""`splitbrain mutants`: which of a system's published mistakes the default campaign finds."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from splitbrain.harness.doors import words
from splitbrain.harness.doors.commands import Answered
from splitbrain.harness.running.results import EXIT_CODES
from splitbrain.harness.systems import DEFAULT as DEFAULT_SYSTEM
from splitbrain.harness.terminal import Progress, say

if TYPE_CHECKING:
    from splitbrain.harness.campaigns.mutation import Hunt


@click.command(cls=words.Command)
@click.option(
    "--system", default=DEFAULT_SYSTEM, show_default=True, shell_complete=words.complete_system, help="The system."
)
@click.option("--seeds", default=20, show_default=True, type=words.Whole(1, 100_000), help="Most runs for each defect.")
@click.option("--seed", default=0, show_default=True, type=words.Whole(0), help="Seed of the plan.")
@click.option("--only", multiple=True, metavar="DEFECT", help="Only this defect; may be repeated.")
@click.option("--jobs", type=words.Whole(1, 256), help="Processes to run in; one for each core by default.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end, for programs.")
def mutants(system: str, seeds: int, seed: int, only: tuple[str, ...], jobs: int | None, as_json: bool) -> None:
    """Run every defect that a system publishes under the default campaign, and say which are caught."""
    from splitbrain.harness.campaigns.mutation import hunts
    from splitbrain.harness.campaigns.plan import CampaignPlan
    from splitbrain.harness.campaigns.workers import Workers, processes

    plan = CampaignPlan(seed=seed, system=system)
    plan.check()
    searches = hunts(plan, seeds, only)
    workers = Workers(processes(), jobs or os.cpu_count() or 1)
    found: dict[str, Hunt] = {}
    with Progress(quiet=as_json) as progress:
        try:
            for hunt in workers.done(iter(searches)):
                found[hunt.name] = hunt
                progress(_line(hunt))
        finally:
            workers.close()
    ordered = [found[search.name] for search in searches]
    caught = [hunt.name for hunt in ordered if hunt.caught is not None]
    missed = [hunt.name for hunt in ordered if hunt.caught is None]
    if as_json:
        form = {"system": system, "seeds": seeds, "seed": seed, "caught": caught, "missed": missed}
        say(json.dumps({**form, "defects": [hunt.as_dict() for hunt in ordered]}))
    else:
        say("\n".join([f"{len(caught)} of {len(ordered)} defects caught", "", *map(_line, ordered)]))
    if any(hunt.broken for hunt in ordered):
        raise Answered(EXIT_CODES["broken"])
    raise Answered(EXIT_CODES["invalid" if missed else "valid"])


def _line(hunt: Hunt) -> str:
    """One row of the table."""
    if hunt.caught is None:
        why = f"; broken: {hunt.broken}" if hunt.broken else ""
        return f"  ✗ {hunt.name:28} missed in {hunt.runs} runs, {hunt.cpu_s:.1f} s of CPU{why}"
    checkers = ", ".join(dict.fromkeys(signature.checker for signature in hunt.caught.signatures))
    return (
        f"  ✓ {hunt.name:28} run {hunt.caught.index:2}, {hunt.cpu_s:5.1f} s of CPU: {hunt.caught.workload} under"
        f" {','.join(hunt.caught.faults) or 'no faults'} ({checkers})"
    )
