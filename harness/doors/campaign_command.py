"""`splitbrain campaign`: many experiments from one seed."""

from __future__ import annotations

import json
import os
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splitbrain.harness.doors import words
from splitbrain.harness.doors.commands import Answered, fresh_seed
from splitbrain.harness.doors.durations import Duration
from splitbrain.harness.running.experiment import UsageProblem, settings
from splitbrain.harness.running.results import EXIT_CODES
from splitbrain.harness.systems import DEFAULT as DEFAULT_SYSTEM
from splitbrain.harness.terminal import Progress, say

if TYPE_CHECKING:
    from splitbrain.harness.campaigns.campaign import Summary
    from splitbrain.harness.campaigns.shrinking import Shrunk
    from splitbrain.harness.campaigns.signature import Signature

EXIT_INTERRUPTED = 130


@click.command(cls=words.Command)
@click.argument("workloads", nargs=-1, shell_complete=words.complete_workload)
@click.option("--seeds", type=words.Whole(1), help="How many runs; 1,000 unless --for says how long.")
@click.option("--for", "duration", type=Duration(), metavar="30m", help="How long runs are started: 90s, 30m, 8h.")
@click.option("--jobs", type=words.Whole(1, 256), help="Processes to run in; one for each core by default.")
@click.option("--seed", type=words.Whole(0), help="Seed of the whole campaign; drawn and shown if not given.")
@click.option("--swarm", is_flag=True, help="Draw workload settings, faults, nodes, rates and the system's settings.")
@click.option(
    "--system", default=DEFAULT_SYSTEM, show_default=True, shell_complete=words.complete_system, help="The system."
)
@click.option(
    "--faults",
    default="any",
    show_default=True,
    metavar="any|A,B",
    shell_complete=words.complete_faults,
    help="Faults to inject; none if empty.",
)
@click.option("--config", "config", multiple=True, metavar="KEY=VALUE", help="A setting that every run has.")
@click.option("--until-failures", type=words.Whole(1), metavar="K", help="Stop after K invalid runs.")
@click.option(
    "--shrink",
    "shrink_s",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    help="Make each failure smaller at the end, for S seconds of CPU.",
)
@click.option(
    "--resume", type=click.Path(path_type=Path), metavar="DIR", help="Go on with the campaign in this folder."
)
@click.option("--executor", metavar="dask://HOST:PORT", help="Run on the workers of a Dask cluster.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write the runs as JUnit XML too.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("campaigns"), show_default=True, help="Campaigns' folder."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end, for programs.")
@click.pass_context
def campaign(
    context: click.Context,
    workloads: tuple[str, ...],
    seeds: int | None,
    duration: float | None,
    jobs: int | None,
    seed: int | None,
    swarm: bool,
    system: str,
    faults: str,
    config: tuple[str, ...],
    until_failures: int | None,
    shrink_s: float | None,
    resume: Path | None,
    executor: str | None,
    junit: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Run many short experiments under dense faults, and sum up what they found.

    WORKLOAD: one or more; without one, all that the system can serve.
    """
    from splitbrain.harness.campaigns.campaign import Campaign, Stop, created, resumed
    from splitbrain.harness.campaigns.plan import CampaignPlan
    from splitbrain.harness.campaigns.shrinking import shrunk
    from splitbrain.harness.campaigns.summary_page import write_page
    from splitbrain.harness.campaigns.trend import append_trend
    from splitbrain.harness.campaigns.workers import Workers, dask, processes

    if executor is not None and jobs is not None:
        raise UsageProblem("--jobs and --executor both say how many runs go at once; give one of them")
    if resume is not None:
        planned = ("workloads", "seed", "swarm", "system", "faults", "config", "out")
        typed = click.core.ParameterSource.COMMANDLINE
        given = [name for name in planned if context.get_parameter_source(name) is typed]
        if given:
            names = ", ".join("WORKLOAD" if name == "workloads" else f"--{name}" for name in given)
            raise UsageProblem(f"{names}: the campaign in {resume} has its plan already; leave it out")
        plan = resumed(resume)
    else:
        plan = CampaignPlan(
            seed=fresh_seed() if seed is None else seed,
            workloads=tuple(dict.fromkeys(workloads)),
            system=system,
            faults=tuple(fault.strip() for fault in faults.split(",") if fault.strip()),
            config=settings(config),
            swarm=swarm,
        )
    plan.check()
    workers = dask(executor) if executor is not None else Workers(processes(), jobs or os.cpu_count() or 1)
    folder = resume if resume is not None else created(out, plan)
    runs = seeds if seeds is not None or duration is not None else 1000
    with Progress(quiet=as_json) as progress:
        progress(f"campaign in {folder}, seed {plan.seed}")
        summary = Campaign(plan, folder, workers, Stop(runs, duration, until_failures), progress).go()
        smaller = shrunk(summary, shrink_s, progress) if shrink_s and not summary.interrupted else {}
    page = write_page(summary, append_trend(summary), smaller)
    if junit is not None:
        _write_junit(junit, summary)
    if as_json:
        say(json.dumps(_as_dict(summary, smaller)))
    else:
        say("\n".join([*_lines(summary, smaller), f"summary {page}"]), verdict=True)
    raise Answered(EXIT_INTERRUPTED if summary.interrupted else EXIT_CODES[summary.status])


def _as_dict(summary: Summary, smaller: Mapping[Signature, Shrunk]) -> dict[str, Any]:
    """For programs: each signature with the smaller run that was made of it, if one was."""
    from splitbrain.harness.campaigns.outcomes import failures

    form = summary.as_dict()
    for signature, failure in zip(form["signatures"], failures(summary.outcomes), strict=True):
        if failure.signature in smaller:
            found = smaller[failure.signature]
            signature["shrunk"] = {**asdict(found), "folder": str(summary.folder / found.folder)}
    return form


def _lines(summary: Summary, smaller: Mapping[Signature, Shrunk]) -> list[str]:
    """The end of a campaign, for people."""
    from splitbrain.harness.campaigns.outcomes import counts, failures

    found = counts(summary.outcomes)
    told = ", ".join(
        f"{found[status]:,} {status}" for status in ("valid", "invalid", "unknown", "broken") if found[status]
    )
    per_minute = 60 * len(summary.outcomes) / summary.cpu_s if summary.cpu_s else 0.0
    lines = [
        f"{summary.status.upper()}: {found['runs']:,} runs: {told or 'none'}",
        f"  {summary.seconds:,.0f} s, {summary.cpu_s:,.0f} s of CPU, {per_minute:,.0f} runs a CPU minute",
    ]
    by_signature = failures(summary.outcomes)
    for failure in by_signature[:5]:
        lines += [f"  ✗ {failure.signature.text} ({failure.runs} runs)", f"    replay  {failure.first.command}"]
        if failure.signature in smaller:
            found_smaller = smaller[failure.signature]
            size = f"{found_smaller.operations:,} operations and {found_smaller.strikes} faults"
            replay = shlex.join(["splitbrain", "replay", str(summary.folder / found_smaller.folder)])
            lines.append(f"    shrunk to {size}: {replay}")
    if len(by_signature) > 5:
        lines.append(f"  … ({len(by_signature) - 5} more signatures in the summary)")
    never = [name for name, number in summary.as_dict()["situations"].items() if not number]
    lines += [f"  ? never met: {name}" for name in never[:5]]
    if len(never) > 5:
        lines.append(f"  … ({len(never) - 5} more situations in the summary)")
    return lines


def _write_junit(path: Path, summary: Summary) -> None:
    """The runs as test cases, as CI servers read them. Raises UsageProblem."""
    from splitbrain.harness.campaigns.outcomes import counts

    found = counts(summary.outcomes)
    suite = ET.Element(
        "testsuite",
        name="splitbrain campaign",
        tests=str(found["runs"]),
        failures=str(found["invalid"]),
        errors=str(found["broken"]),
        skipped=str(found["unknown"]),
    )
    for outcome in summary.outcomes:
        case = ET.SubElement(
            suite, "testcase", classname=outcome.workload, name=f"run {outcome.index}", time=f"{outcome.cpu_s:.3f}"
        )
        kind = {"invalid": "failure", "broken": "error", "unknown": "skipped"}.get(outcome.status)
        if kind is not None:
            ET.SubElement(case, kind, message=outcome.reason).text = outcome.command
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as problem:
        raise UsageProblem(f"can't write {path} ({problem.strerror}); give another file with --junit") from None
