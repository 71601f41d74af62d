"""A run: provide a cluster, torment it, let it recover, read it one last time, and judge what was recorded.

1. Every run ends the same way: heal, wait (bounded) until every node answers, watch the replicas converge, read every
   key through every node.
2. Checking comes first, cleaning after; a cleaning that fails is told, and never loses a verdict.
3. Ctrl-C and SIGTERM end the run where it is, clean up, and leave the history to be checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
import signal
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from checkers import History, Outcome, Verdict, check_all
from checkers.history import Event
from harness.environment import Environment, EnvironmentFailure
from harness.experiment import Experiment, Prepared
from harness.generators import Test, any_of, clients, nemesis, stagger, time_limit
from harness.interpreter import Interpreter, Tally
from harness.recorder import HistoryWriter
from harness.report import write as write_report
from harness.results import Result, ResultsError, RunFolder, Status, read_history
from harness.seeds import split
from harness.simulation import LinkConditions, SimulatedEnvironment, run_simulated
from harness.terminal import Progress, warn
from harness.validation import validated
from harness.workload import Client

RECOVERY_S = 30.0
"""How long the system may take to answer again once everything is healed."""
OPERATION_TIMEOUT_S = 5.0
SIMULATED_LINKS = LinkConditions(loss=0.002, duplication=0.002)
"""Besides the faults asked for: links that never lose or repeat a datagram would hide what UDP is about."""


class Interrupted(Exception):
    """The user ended the run."""


def run(experiment: Experiment, *, out: Path, progress: Progress) -> Result:
    """Run the experiment.

    out: the folder that runs go to. Raises UsageProblem or ResultsError before anything started, and KeyboardInterrupt
    after everything was cleaned up. Whatever else fails is a `broken` result.
    """
    prepared = experiment.prepare()
    folder = RunFolder.create(out, experiment.workload)
    folder.write_run(_facts(prepared))
    return _Run(prepared, folder, progress).go()


class HarnessError(Exception):
    """The harness itself failed."""


class _Run:
    """One run under way."""

    def __init__(self, prepared: Prepared, folder: RunFolder, progress: Progress) -> None:
        self._prepared = prepared
        self._experiment = prepared.experiment
        self._folder = folder
        self._progress = progress
        self._counts = {"ok": 0, "fail": 0, "info": 0}
        self._active: dict[str, str] = {}
        self._tally: Tally | None = None
        self._crashes: list[str] = []
        self._result: Result | None = None

    def go(self) -> Result:
        if self._experiment.environment == "sim":
            with _interruptible_once():
                self._until_interrupted(lambda: run_simulated(self._main))
        else:
            self._until_interrupted(lambda: _run_interruptibly(self._main))
        assert self._result is not None
        return self._result

    def _until_interrupted(self, go: Callable[[], object]) -> None:
        try:
            go()
        except KeyboardInterrupt:
            self._progress(f"what was recorded until the interrupt: {self._folder.path}")
            raise

    async def _main(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._crashed)
        environment = self._environment()
        failure: Exception | None = None
        try:
            try:
                await self._perform(environment)
            except EnvironmentFailure as problem:
                failure = problem
            except Exception as problem:  # The harness's own defect: told as such, beside what was found by then.
                failure = HarnessError(f"{type(problem).__name__}: {problem}; see {self._folder.write_traceback()}")
            await self._collect_logs(environment)
            self._result = self._judge(failure)
        except (asyncio.CancelledError, KeyboardInterrupt):
            # A KeyboardInterrupt lands in whatever runs at the moment: in a callback, or right here.
            await self._collect_logs(environment)
            self._result = self._judge(Interrupted("the run was interrupted; what was recorded until then was checked"))
            raise
        finally:
            await self._close(environment)

    def _crashed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback raised, with nobody to hear of it: a client's datagrams arrive in callbacks."""
        self._crashes.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _environment(self) -> Environment:
        experiment = self._experiment
        if experiment.environment == "sim":
            seed = split(experiment.seed, "environment")
            return SimulatedEnvironment(experiment.names, seed=seed, conditions=SIMULATED_LINKS)
        from harness.hosts import DockerEnvironment  # SSH and Docker take a while to import.

        return DockerEnvironment(experiment.names)

    async def _perform(self, environment: Environment) -> None:
        """From nothing to the last final read; the history is in the folder."""
        prepared, experiment = self._prepared, self._experiment
        await environment.open(self._progress)
        await _all(prepared.system.start(environment, machine) for machine in environment.machines.values())
        self._progress(
            f"{experiment.nodes} nodes of {prepared.system.name} answer; {experiment.time_limit_s:g} s of load"
        )
        shared = prepared.workload.shared()

        async def open_client(process: int, node: str) -> Client:
            connection = await prepared.system.connect(environment, node)
            return prepared.workload.client(connection, shared, prepared.plan.config)

        writer = HistoryWriter(self._folder.history)
        interpreter = Interpreter(
            Test(nodes=experiment.names, concurrency=experiment.concurrency),
            open_client=open_client,
            record=lambda event: self._record(event, writer),
            nemesis=prepared.faults.nemesis(environment, prepared.system),
            operation_timeout_s=OPERATION_TIMEOUT_S,
        )
        self._tally = interpreter.tally
        try:
            await self._load_and_heal(interpreter, environment)
            await interpreter.run(validated(prepared.workload.schemas, prepared.workload.final(prepared.plan)))
            interpreter.stage("end")
        finally:
            await interpreter.close()
            writer.close()

    async def _load_and_heal(self, interpreter: Interpreter, environment: Environment) -> None:
        prepared, experiment = self._prepared, self._experiment
        load = stagger(
            1 / experiment.rate,
            validated(prepared.workload.schemas, prepared.workload.generator(prepared.plan)),
            seed=split(experiment.seed, "pace"),
        )
        interpreter.stage("load")
        await interpreter.run(
            any_of(
                clients(time_limit(experiment.time_limit_s, load)),
                nemesis(time_limit(experiment.time_limit_s, prepared.faults.generator)),
            )
        )
        await interpreter.run(nemesis(prepared.faults.final))
        interpreter.stage("recovery")
        interpreter.stage("recovered" if await self._recovered(environment) else "not-recovered")

    async def _recovered(self, environment: Environment) -> bool:
        """Wait, within bounds, until every node answers."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RECOVERY_S
        for node in self._experiment.names:
            while not await self._prepared.system.ready(environment, node):
                if loop.time() > deadline:
                    return False
                await asyncio.sleep(0.1)
        return True

    def _record(self, event: Event, writer: HistoryWriter) -> None:
        writer.write(event)
        if event.type in self._counts and isinstance(event.process, int):
            self._counts[event.type] += 1
        elif event.process == "nemesis" and isinstance(event.value, Mapping) and "fault" in event.value:
            fault = str(event.value["fault"])
            if event.value.get("phase") == "start":
                self._active[fault] = str(event.value.get("shape", ""))
            else:
                self._active.pop(fault, None)
        elapsed_s = event.time / 1e9
        counts = " ".join(f"{name} {number}" for name, number in self._counts.items())
        faults = ", ".join(f"{name} {shape}".strip() for name, shape in self._active.items()) or "none"
        rate = self._counts["ok"] / elapsed_s if elapsed_s else 0.0
        self._progress.status(f"{elapsed_s:6.1f} s  {rate:6.0f} ok/s  {counts}  faults: {faults}")

    def _judge(self, failure: Exception | None) -> Result:
        """Check what was recorded, and write results and report."""
        verdict: Verdict | None = None
        try:
            if failure is None or self._folder.history.exists():
                verdict = self._check(read_history(self._folder.history))
        except ResultsError as problem:
            failure = failure or problem
        crashes = [*(self._tally.crashes if self._tally is not None else ()), *self._crashes]
        status, reason = _conclude(verdict, failure, crashes)
        notes = _lateness(self._tally)
        result = Result(status, reason, verdict, self._folder.path, self._experiment.command, notes)
        self._folder.write_result(result)
        if not self._folder.history.exists():
            return result
        try:
            write_report(self._folder.path)
        except Exception as problem:  # A report that can't be drawn must not cost the verdict.
            note = (
                f"the report could not be drawn ({type(problem).__name__}: {problem}); {self._folder.write_traceback()}"
            )
            result = replace(result, notes=(*notes, note))
            self._folder.write_result(result)
        return result

    def _check(self, history: History) -> Verdict:
        checks: dict[str, Mapping[str, Any]] = dict(self._prepared.workload.checkers)
        return check_all(history, {**checks, "evidence": {"faults": list(self._experiment.faults)}})

    async def _collect_logs(self, environment: Environment) -> None:
        for node, machine in environment.machines.items():
            try:
                self._folder.write_logs(node, await machine.logs())
            except Exception as problem:  # A node that is gone can't be asked; the others can.
                self._progress(f"no logs from {node}: {problem}")

    async def _close(self, environment: Environment) -> None:
        try:
            await environment.close()
        except Exception as problem:
            self._progress(f"cleaning up failed ({problem}); `splitbrain clean` removes what is left")


def _lateness(tally: Tally | None) -> tuple[str, ...]:
    if tally is None or not tally.late:
        return ()
    return (
        f"{tally.late:,} of {tally.operations:,} operations started late, by up to {tally.latest_ns / 1e9:.2f} s, for"
        " want of a free client; latency counts from the actual start",
    )


@contextlib.contextmanager
def _interruptible_once() -> Iterator[None]:
    """Within it the first SIGINT or SIGTERM is a KeyboardInterrupt; later ones must not disturb what it sets off."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Signals are the main thread's affair.
        return
    numbers = (signal.SIGINT, signal.SIGTERM)

    interrupted = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _conclude(verdict: Verdict | None, failure: Exception | None, crashes: Sequence[str]) -> tuple[Status, str]:
    """The run's status: invalid outranks broken, which outranks the rest."""
    if verdict is not None and verdict.outcome is Outcome.INVALID:
        return "invalid", verdict.reason
    if failure is not None:
        return "broken", str(failure)
    if crashes:
        return "broken", f"a client or nemesis crashed {len(crashes)} times, first: {crashes[0]}"
    assert verdict is not None
    if verdict.broken:
        return "broken", f"checkers failed: {', '.join(verdict.broken)}"
    return verdict.outcome.value, verdict.reason


async def _all(coroutines: Any) -> None:
    """Await all, at the same time; the first failure is raised once all have ended."""
    for outcome in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _run_interruptibly(main: Callable[[], Awaitable[None]]) -> None:
    """Run on a real loop; SIGINT and SIGTERM cancel it once, so that it cleans up. Then KeyboardInterrupt."""

    async def guarded() -> bool:
        task = asyncio.ensure_future(main())
        loop = asyncio.get_running_loop()
        interrupted = False

        def interrupt() -> None:
            nonlocal interrupted
            if not interrupted:
                interrupted = True
                warn("\ninterrupted: cleaning up …")
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
        try:
            await task
        except asyncio.CancelledError:
            if not interrupted:
                raise
        return interrupted

    if asyncio.run(guarded()):
        raise KeyboardInterrupt


def _facts(prepared: Prepared) -> dict[str, Any]:
    experiment = prepared.experiment
    return {
        "workload": experiment.workload,
        "system": experiment.system,
        "environment": experiment.environment,
        "nodes": list(experiment.names),
        "seed": experiment.seed,
        "time_limit_s": experiment.time_limit_s,
        "rate": experiment.rate,
        "concurrency": experiment.concurrency,
        "faults": list(experiment.faults),
        "config": dict(experiment.config),
        "system_config": {**prepared.plan.config, **prepared.system.describe()},
        "command": experiment.command,
        "started": None if experiment.environment == "sim" else datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"splitbrain": version("splitbrain"), "python": platform.python_version()},
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of the checkout splitbrain runs from, if it is one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
