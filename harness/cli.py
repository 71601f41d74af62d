"""`splitbrain`: run a test, check a history, draw a report, from a shell.

Exit codes: 0 valid, 1 invalid, 2 unknown, 3 broken (the harness failed), 64 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

import checkers
from harness.catalogue import SYSTEMS, WORKLOADS, names
from harness.experiment import ENVIRONMENTS, Experiment, UsageProblem, settings
from harness.results import EXIT_CODES, EXIT_USAGE, ResultsError, read_history
from harness.terminal import Progress, say, warn

EXIT_INTERRUPTED = 130
SEED_MAX = 2**32


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Torment a distributed system, and prove what it lost."""


@cli.command()
@click.argument("workload")
@click.option("--env", "environment", default="sim", show_default=True, help=f"Where: {', '.join(ENVIRONMENTS)}.")
@click.option("--system", default="dynamo", show_default=True, help="The system under test.")
@click.option("--nodes", default=5, show_default=True, type=click.IntRange(1, 99), help="How many.")
@click.option("--faults", default="", metavar="A,B", help="Such as partition,kill; none by default.")
@click.option("--seed", type=click.IntRange(0), help="Of everything random; drawn and shown if not given.")
@click.option("--time-limit", default=60.0, show_default=True, type=click.FloatRange(1), help="Seconds of load.")
@click.option("--rate", default=100.0, show_default=True, type=click.FloatRange(0.01), help="Operations a second.")
@click.option("--concurrency", default=10, show_default=True, type=click.IntRange(1, 1000), help="Client processes.")
@click.option("--config", "config", multiple=True, metavar="KEY=VALUE", help="Of the system or the workload.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs go.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end, for programs.")
def run(
    workload: str,
    environment: str,
    system: str,
    nodes: int,
    faults: str,
    seed: int | None,
    time_limit: float,
    rate: float,
    concurrency: int,
    config: tuple[str, ...],
    out: Path,
    as_json: bool,
) -> None:
    """Run WORKLOAD against a cluster under faults, check what was recorded, and write a report."""
    from harness.run import run as run_experiment  # Brings in SSH and Docker: `check` and `report` need neither.

    experiment = Experiment(
        workload=workload,
        environment=environment,
        system=system,
        nodes=nodes,
        faults=tuple(fault.strip() for fault in faults.split(",") if fault.strip()),
        seed=_fresh_seed() if seed is None else seed,
        time_limit_s=time_limit,
        rate=rate,
        concurrency=concurrency,
        config=settings(config),
    )
    with Progress(quiet=as_json) as progress:
        result = run_experiment(experiment, out=out, progress=progress)
    if as_json:
        say(json.dumps({**result.as_dict(), "folder": str(result.folder), "replay": result.command}))
    else:
        say("\n".join(result.lines()))
    raise SystemExit(result.exit_code)


@cli.command()
@click.argument("history", type=click.Path(path_type=Path))
@click.option("--checker", required=True, help="Its name; `splitbrain list` shows them.")
@click.option("--option", "options", multiple=True, metavar="KEY=JSON", help="Of the checker, such as sla_ms=300.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def check(history: Path, checker: str, options: tuple[str, ...], as_json: bool) -> None:
    """Judge a recorded HISTORY (.jsonl) with one checker."""
    recorded = read_history(history)
    try:
        verdict = checkers.check(checker, recorded, **_json_options(options))
    except checkers.HistoryError as problem:
        raise UsageProblem(f"{history}, {problem}; record it again, or correct it") from None
    except ValueError as problem:
        raise UsageProblem(str(problem)) from None
    if as_json:
        say(json.dumps(verdict.as_dict()))
    else:
        say(f"{verdict.outcome.value.upper()}: {verdict.reason}")
        if verdict.witness is not None:
            say(verdict.witness.text)
    raise SystemExit(EXIT_CODES[verdict.outcome.value])


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Draw the report of a RUN's folder again."""
    from harness.report import ReportError, write

    try:
        say(str(write(run)))
    except ReportError as problem:
        raise UsageProblem(str(problem)) from None


@cli.command()
def clean() -> None:
    """Remove containers, networks and volumes that killed runs left behind."""
    from harness.environment import EnvironmentFailure
    from harness.hosts import remove_leftovers

    try:
        removed = remove_leftovers(say)
    except EnvironmentFailure as problem:
        warn(f"splitbrain: {problem}")
        raise SystemExit(EXIT_CODES["broken"]) from None
    for line in removed:
        say(f"removed {line}")
    say(f"{len(removed)} things removed" if removed else "nothing was left behind")


@cli.command("list")
def list_() -> None:
    """Show the workloads, systems, faults, environments and checkers there are."""
    from harness.catalogue import workload
    from harness.nemesis import catalogue as faults

    sections: dict[str, Mapping[str, str]] = {
        "workloads": {name: workload(name).summary for name in names(WORKLOADS)},
        "systems": dict.fromkeys(names(SYSTEMS), ""),
        "faults": faults(),
        "environments": ENVIRONMENTS,
        "checkers": checkers.catalogue(),
    }
    for title, entries in sections.items():
        say(title)
        for name, summary in entries.items():
            say(f"  {name:<16} {summary}".rstrip())


def main() -> None:
    """The command: every error a user can cause is one line and an exit code, never a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cli.main(standalone_mode=False)
        code = 0
    except click.ClickException as problem:
        with contextlib.suppress(OSError, ValueError):
            problem.show()
        code = EXIT_USAGE
    except (UsageProblem, ResultsError) as problem:
        warn(f"splitbrain: {problem}")
        code = EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        warn("splitbrain: interrupted")
        code = EXIT_INTERRUPTED
    except Exception as problem:  # The last line of defence: exit code 1 would read as "invalid".
        warn(f"splitbrain: internal error, {type(problem).__name__}: {problem}; please report it with this command")
        code = EXIT_CODES["broken"]
    sys.exit(code)


def _fresh_seed() -> int:
    import secrets

    return secrets.randbelow(SEED_MAX)


def _json_options(options: tuple[str, ...]) -> dict[str, Any]:
    parsed = {}
    for name, text in settings(options, flag="--option").items():
        try:
            parsed[name] = json.loads(text)
        except (ValueError, RecursionError):
            parsed[name] = text
    return parsed


if __name__ == "__main__":
    main()
