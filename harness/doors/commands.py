"""The commands of `splitbrain`: run a test, check a history, draw a report. They begin in `cli`."""

from __future__ import annotations

import gc
import json
import shlex
from pathlib import Path
from typing import Any

import click

from splitbrain.harness.catalogue import home
from splitbrain.harness.doors import words
from splitbrain.harness.running.environments import ENVIRONMENTS
from splitbrain.harness.running.experiment import Experiment, UsageProblem, settings, usual_nodes
from splitbrain.harness.running.results import EXIT_CODES, LARGEST_MB, read_history
from splitbrain.harness.systems import DEFAULT as DEFAULT_SYSTEM
from splitbrain.harness.terminal import Progress, say, warn

SEED_MAX = 2**32


class Answered(SystemExit):
    """A command has printed its answer. exit_code: what the answer stands for."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@click.group(cls=words.Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="splitbrain", message="splitbrain %(version)s")
def cli() -> None:
    """Torment a distributed system, and prove what it lost."""


@cli.command()
@click.argument("workload", shell_complete=words.complete_workload)
@click.argument("arguments", nargs=-1)
@click.option(
    "--env",
    "environment",
    shell_complete=words.complete_environment,
    help=f"The environment: {', '.join(ENVIRONMENTS)}. The system's own by default, if it has one, else sim.",
)
@click.option(
    "--system",
    default=DEFAULT_SYSTEM,
    show_default=True,
    shell_complete=words.complete_system,
    help="The system under test; your own as file.py:NAME.",
)
@click.option(
    "--hosts", type=click.Path(), default="", metavar="FILE", help="The file that names the hosts, for --env ssh."
)
@click.option("--keep", is_flag=True, help="Leave the system running on the hosts at the end.")
@click.option("--nodes", type=words.Whole(1, 99), help="Number of nodes; 5 by default, or as many as there are hosts.")
@click.option(
    "--compose",
    metavar="FILE[:A,B]",
    help="The nodes are the containers of this running compose project, or of its services A and B.",
)
@click.option(
    "--faults",
    default="",
    metavar="A,B",
    shell_complete=words.complete_faults,
    help="Faults to inject, such as partition,kill or partition/halves,kill=one; none by default.",
)
@click.option("--seed", type=words.Whole(0), help="Seed of all random choices; drawn and shown if not given.")
@click.option("--time-limit", default=60.0, show_default=True, type=click.FloatRange(1), help="Seconds of load.")
@click.option("--rate", default=100.0, show_default=True, type=click.FloatRange(0.01), help="Operations per second.")
@click.option("--concurrency", default=10, show_default=True, type=words.Whole(1, 1000), help="Client processes.")
@click.option(
    "--spare-clients",
    type=words.Whole(0, 100_000),
    help="Client processes that may be added while all wait for answers; ten times --concurrency by default.",
)
@click.option(
    "--fault-interval",
    type=click.FloatRange(0.05),
    help="Seconds from one fault to the next, on average; 2.5 by default, more where commands take longer.",
)
@click.option("--config", "config", multiple=True, metavar="KEY=VALUE", help="A setting of the system or the workload.")
@click.option("--bin", "program", metavar="FILE", help="A program of yours as every node; short for --config bin=FILE.")
@click.option(
    "--fail-if",
    multiple=True,
    metavar="BOUND",
    help="A threshold that makes the run invalid: p99>300ms, max>2s, silence>1s, recovery>5s, ok-rate<99%.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Runs' folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end, for programs.")
def run(
    workload: str,
    arguments: tuple[str, ...],
    environment: str | None,
    system: str,
    hosts: str,
    keep: bool,
    nodes: int | None,
    compose: str | None,
    faults: str,
    seed: int | None,
    time_limit: float,
    rate: float,
    concurrency: int,
    spare_clients: int | None,
    fault_interval: float | None,
    config: tuple[str, ...],
    program: str | None,
    fail_if: tuple[str, ...],
    out: Path,
    as_json: bool,
) -> None:
    """Run WORKLOAD against a cluster under faults, check what was recorded, and write a report.

    A workload of your own, of no package, is file.py:NAME. ARGUMENTS are those of the program that --bin names; put
    `--` before them.
    """
    # Imports the checkers and the report's templates: `list` and `clean` need neither.
    from splitbrain.harness.running.interrupts import RunInterrupted
    from splitbrain.harness.running.run import run as run_experiment

    experiment = Experiment(
        workload=workload,
        environment=environment or home(system),
        system=system,
        nodes=usual_nodes(hosts) if nodes is None else nodes,
        compose=compose,
        faults=tuple(fault.strip() for fault in faults.split(",") if fault.strip()),
        seed=fresh_seed() if seed is None else seed,
        time_limit_s=time_limit,
        rate=rate,
        concurrency=concurrency,
        spare_clients=spare_clients,
        config=settings((*config, *_program(program, arguments))),
        fault_interval_s=fault_interval,
        fail_if=fail_if,
        hosts=hosts,
        keep=keep,
    )
    try:
        with Progress(quiet=as_json) as progress:
            result = run_experiment(experiment, out=out, progress=progress)
    except RunInterrupted as interrupt:
        if as_json and interrupt.result is not None:
            say(interrupt.result.as_json())
        raise
    if as_json:
        say(result.as_json())
    else:
        say("\n".join(result.lines()), verdict=True)
    raise Answered(result.exit_code)


@cli.command()
@click.argument("history", type=click.Path(path_type=Path))
@click.option(
    "--checker",
    "asked",
    multiple=True,
    shell_complete=words.complete_checker,
    help="A checker of `splitbrain list`; may be repeated. Told from the run or the operations if not given.",
)
@click.option("--model", help="Model of the object: a name, or your own as file.py:NAME or module:NAME.")
@click.option("--consistency", help="The consistency model that transactions were promised.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds for checking, witness included.")
@click.option("--memory", type=click.FloatRange(0, min_open=True), help="Megabytes that checking may take.")
@click.option("--jobs", default=1, show_default=True, type=words.Whole(1, 256), help="Processes to check with.")
@click.option(
    "--largest",
    default=LARGEST_MB,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Megabytes that a compressed history may have unpacked; a line of any, a sixteenth of it.",
)
@click.option("--independent", is_flag=True, help="Values are [key value], as jepsen.independent has them.")
@click.option(
    "--report", "page", type=click.Path(path_type=Path), metavar="FILE", help="Draw the history's report in this file."
)
@click.option("--option", "options", multiple=True, metavar="KEY=JSON", help="For the checker: sla_ms=300, initial=5.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def check(
    history: Path,
    asked: tuple[str, ...],
    model: str | None,
    consistency: str | None,
    timeout: float | None,
    memory: float | None,
    jobs: int,
    largest: float,
    independent: bool,
    page: Path | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Judge a recorded HISTORY: JSONL, Jepsen's EDN or a log of Jepsen's, also compressed; - for standard input.

    A run's folder stands for the history in it. Without --checker, the folder of a run is judged as the run was, and
    any other history by what its operations ask for.
    """
    from splitbrain.harness.doors import check

    given = {name: (value, f"--option {name}") for name, value in _json_options(options).items()}
    flags = (
        ("model", check.model(model) if model is not None else None, "--model"),
        ("consistency", consistency, "--consistency"),
        ("timeout_s", timeout, "--timeout"),
        ("memory_mb", memory, "--memory"),
    )
    for name, value, flag in flags:
        if value is not None and name in given:
            raise UsageProblem(f"{flag} and --option {name} say the same thing; give one of them")
        if value is not None:
            given[name] = (value, flag)
    if "executor" in given:
        raise UsageProblem("--option executor: give --jobs instead, with a number of processes")
    check.hold_writable(page)
    file = history / "history.jsonl" if history.is_dir() else history
    recorded, selection = None, None
    chosen = check.chosen(asked)
    if not asked:
        recorded = read_history(file, independent=independent, largest_mb=largest)
        selection = check.told(history, recorded)
        chosen = check.chosen(tuple(selection.checkers))
    with check.workers(jobs) as executor:
        if executor is not None:
            given["executor"] = (executor, "--jobs")
        values, words = ({name: pair[at] for name, pair in given.items()} for at in (0, 1))
        by_checker = check.options_for(chosen, values, words)
        if selection is not None:
            by_checker = {name: {**options, **by_checker[name]} for name, options in selection.checkers.items()}
        recorded = recorded or read_history(file, independent=independent, largest_mb=largest)
        gc.freeze()  # Nothing of the history goes before the process does: collections need not look at it.
        for checker in chosen:
            if "logs" in checker.options and "logs" not in given:
                by_checker[checker.name]["logs"] = check.logs_beside(file)
        verdict = check.judged(str(file), recorded, chosen, by_checker)
    shown = (check.as_json if as_json else check.as_text)(verdict, recorded, selection)
    say(shown, verdict=not as_json)
    if page is not None:
        check.draw(page, history, recorded, verdict, [each.name for each in chosen])
        if not as_json:
            say(f"report  {page}")
    raise Answered(EXIT_CODES[check.status(verdict)])


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Draw the report of a RUN's folder again."""
    from splitbrain.harness.report import ReportError, write

    try:
        say(str(write(run)))
    except ReportError as problem:
        raise UsageProblem(str(problem)) from None


@cli.command()
@click.option("--env", "environment", default="docker", show_default=True, help="Where to clean: docker or ssh.")
@click.option(
    "--hosts", type=click.Path(), default="", metavar="FILE", help="The file that names the hosts, for --env ssh."
)
@click.option("--images", is_flag=True, help="Remove node images too that no registered system needs any more.")
def clean(environment: str, hosts: str, images: bool) -> None:
    """Remove containers, networks and volumes that killed runs left behind; with --hosts, what they left on hosts.

    Compose projects that they tested are put back as they were. On hosts, a system that a run has kept is ended too.
    """
    from splitbrain.harness.environment import EnvironmentFailure
    from splitbrain.harness.hosts import clean_hosts, remove_leftovers, remove_unneeded_images

    if environment not in ("docker", "ssh"):
        raise UsageProblem(f"nothing is left behind in {environment}; give --env docker, or --env ssh with --hosts")
    if (environment == "ssh") != bool(hosts):
        raise UsageProblem("--env ssh and --hosts go together; give a file that names the hosts")
    if images and hosts:
        raise UsageProblem("--images is about this machine's Docker engine; leave --env ssh out")
    try:
        removed = clean_hosts(hosts, warn) if hosts else remove_leftovers(warn)
        removed += remove_unneeded_images() if images else []
    except ValueError as problem:
        raise UsageProblem(str(problem)) from None
    except EnvironmentFailure as problem:
        warn(f"splitbrain: {problem}")
        raise Answered(EXIT_CODES["broken"]) from None
    for line in removed:
        say(f"removed {line}")
    say(f"{len(removed)} things removed" if removed else "nothing was left behind")


@cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def list_(as_json: bool) -> None:
    """Show the workloads, systems, faults, environments and checkers there are."""
    from splitbrain.harness.doors.listing import Listing

    listing = Listing.collect()
    say(json.dumps(listing.as_dict()) if as_json else "\n".join(listing.lines()))


def _program(program: str | None, arguments: tuple[str, ...]) -> list[str]:
    """A program and its arguments as settings. Raises UsageProblem for arguments of no program."""
    if program is None and arguments:
        raise UsageProblem(f"{shlex.join(arguments)}: one workload at a time; arguments of a program need --bin FILE")
    words = [f"bin={program}"] if program is not None else []
    return [*words, f"args={shlex.join(arguments)}"] if arguments else words


def fresh_seed() -> int:
    """A seed that can be typed in again."""
    import secrets

    return secrets.randbelow(SEED_MAX)


def _json_options(options: tuple[str, ...]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for name, text in settings(options, flag="--option").items():
        try:
            parsed[name] = json.loads(text)
        except (ValueError, RecursionError):
            parsed[name] = text
    return parsed
