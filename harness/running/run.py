"""A run: start a cluster, load it under faults, let it recover, read it one last time, and judge what was recorded.

1. Every run ends the same way: heal, wait (bounded) until every node serves again, watch the replicas converge, read
   every key through every node.
2. Checking comes first, collecting the nodes' logs after it, cleaning up last. If one of the later steps fails, the
   result says so and keeps its verdict.
3. Ctrl-C and SIGTERM end the run where it is, clean up, and leave the history to be checked. So does whatever another
   signal's handler raises, and `run` raises it at its end.
4. Whatever a client, system, workload or checker raises, SystemExit too, becomes a crash in the history or ends the run
   as `broken`. A run that goes on for too long is `broken` too (`deadlines`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from splitbrain.checkers import History, Verdict, check_all
from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.faults import LOST
from splitbrain.harness.doors import guard
from splitbrain.harness.environment import Environment, EnvironmentFailure, EnvironmentLost, Recording
from splitbrain.harness.generators import Test, nemesis
from splitbrain.harness.interpreting.interpreter import Interpreter, Statistics
from splitbrain.harness.interpreting.recorder import HistoryWriter
from splitbrain.harness.interpreting.validation import validated
from splitbrain.harness.nemesis import AT_ONCE
from splitbrain.harness.replays.schedule_file import encode
from splitbrain.harness.report import ReportError
from splitbrain.harness.report import write as write_report
from splitbrain.harness.running.deadlines import HarnessError, Overdue, ended, limit, prepare, within
from splitbrain.harness.running.deaths import deaths, log_end
from splitbrain.harness.running.experiment import Experiment, Prepared, UsageProblem, checks, replaying
from splitbrain.harness.running.final_phase import with_final_stage
from splitbrain.harness.running.interrupts import Interrupts, interrupting, located, named, of_a_run, run_really
from splitbrain.harness.running.load import load_of
from splitbrain.harness.running.node_logs import write as write_logs
from splitbrain.harness.running.outer_loop import set_aside
from splitbrain.harness.running.preparation import described, prepared_for
from splitbrain.harness.running.recovery import PROBES, unrecovered
from splitbrain.harness.running.results import Result, ResultsError, RunFolder, conclude, read_history
from splitbrain.harness.running.starting import preparing_s, start_all, tear_down
from splitbrain.harness.simulation import run_simulated
from splitbrain.harness.system import USER
from splitbrain.harness.terminal import Progress
from splitbrain.harness.workload import Client

RECOVERY_S = 30.0
"""How long the system may take to serve again once everything is healed."""
OPERATION_TIMEOUT_S = 5.0
LOGS_S = 60.0
"""How long the nodes may take to send their logs; after an interrupt, users wait for a few seconds at most."""
LOGS_INTERRUPTED_S = 3.0
CLEAN_UP_S = 60.0


class Interrupted(Exception):
    """The user ended the run."""


def run(
    experiment: Experiment, *, out: Path = Path("runs"), progress: Progress | None = None, report: bool = True
) -> Result:
    """Run the experiment. Called from a coroutine it blocks the loop until it is over; any thread may call it.

    out: the folder for runs. progress: is called with each line of progress; None for none. report: whether to draw
    one. Raises UsageProblem or ResultsError before anything started, and KeyboardInterrupt (or what else a signal's
    handler raised) after everything was cleaned up. Whatever else fails is a `broken` result.
    """
    if of_a_run(asyncio._get_running_loop()):
        raise UsageProblem("a client, system or workload can't start a run of its own within a run; start it elsewhere")
    with Interrupts() as interrupts, set_aside():
        interrupts.check()
        prepare(interrupts)
        try:
            prepared = prepared_for(experiment)
            description = described(prepared)
        except Overdue as overdue:
            text = f"{experiment.workload} on {experiment.system} could not be prepared within {overdue}"
            raise UsageProblem(f"{text}; what their code is asked before a run must return at once") from None
        ended(interrupts)
        interrupts.check()
        folder = RunFolder.create(out, prepared.title)
        folder.write_run(description if experiment.is_drawn else {**description, "command": replaying(folder.path)})
        folder.write_schedule(encode(prepared.faults.strikes, experiment.operations))
        interrupts.check()
        guard.recording(str(folder.path), holding=not prepared.kind.simulated)
        try:
            return _Run(prepared, folder, progress or Progress(quiet=True), interrupts, report).go()
        finally:
            ended(interrupts)
            guard.recording("", holding=False)


class _Run:
    """One run under way."""

    def __init__(
        self, prepared: Prepared, folder: RunFolder, progress: Progress, interrupts: Interrupts, report: bool
    ) -> None:
        self._prepared = prepared
        self._experiment = prepared.experiment
        self._folder = folder
        self._progress = progress
        self._interrupts = interrupts
        self._report = report
        self._command = self._experiment.command if self._experiment.is_drawn else replaying(folder.path)
        self._stage = "start"
        self._counts = {"ok": 0, "fail": 0, "info": 0}
        self._active: dict[str, str] = {}
        self._died: list[str] = []
        self._statistics: Statistics | None = None
        self._crashes: list[str] = []
        self._notes: list[str] = [folder.note] if folder.note else []
        self._result: Result | None = None

    def go(self) -> Result:
        try:
            if self._prepared.kind.simulated:
                run_simulated(self._main, self._escaped)
            else:
                run_really(self._main, self._escaped)
        except BaseException as problem:
            if self._result is None and not interrupting(problem):
                self._result = self._judge(self._why(problem))
        ended_by = self._interrupts.problem
        if ended_by is not None and not isinstance(ended_by, HarnessError | EnvironmentLost):
            self._progress(f"what was recorded until the interrupt: {self._folder.path}")
            if self._result is not None:
                self._progress("\n".join(self._result.lines()))
            self._interrupts.judged(self._result)
            raise ended_by
        assert self._result is not None
        return self._result

    async def _main(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.get_loop().set_exception_handler(self._crashed)
        self._interrupts.attach(task)
        environment = self._prepared.environment
        failure: Exception | None = None
        try:
            try:
                await self._perform(environment)
            except BaseException as problem:
                failure = self._why(problem)
            self._result = self._judged(failure)
            notes = await self._collect_logs(environment)
            # What is left to do is bounded, and done for the sake of what was found and of what must not be left.
            self._interrupts.hold()
            self._result = self._drawn(self._result, notes)
        finally:
            self._interrupts.hold()
            await self._close(environment)

    def _why(self, problem: BaseException) -> Exception:
        """Why the run ended with this exception; to be called while it is handled."""
        ended_by = self._interrupts.problem
        if ended_by is not None:
            self._interrupts.hold()
            problem = ended_by
        match problem:
            case Overdue():
                return Overdue(
                    f"the run was not over after {problem}, and was ended in stage {self._stage!r}; "
                    "a client, or the system's start or ready, never returns, or there is too much to read"
                )
            case EnvironmentFailure() | HarnessError() | ResultsError():
                return problem
            case _ if problem is ended_by:
                self._progress("interrupted: judging what was recorded, and cleaning up ...")
                return Interrupted("the run was interrupted; what was recorded until then was checked")
            case _:
                return HarnessError(f"{located(problem)}; {self._folder.keep_traceback()}")

    def _crashed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback raised, which no task awaits: a client's datagrams arrive in callbacks."""
        problem = context.get("exception")
        if problem is None or not interrupting(problem):
            self._crashes.append(f"{context.get('message')}: {located(problem) if problem is not None else 'no cause'}")

    def _escaped(self, problem: BaseException) -> None:
        """What came out of the loop: a SystemExit in a callback, or in a task that is not awaited."""
        where = "raised in a callback or a task that is not awaited"
        self._interrupts.end(HarnessError(f"the run was ended by {located(problem)}, {where}"))

    async def _perform(self, environment: Environment) -> None:
        """From nothing to the last final read; the history is in the folder."""
        if isinstance(environment, Recording):
            environment.record(self._folder.path)
        await environment.open(self._progress)
        load_s = self._experiment.time_limit_s + preparing_s(self._prepared.system)
        limit(self._interrupts, load_s, simulated=self._prepared.kind.simulated)
        watching = asyncio.create_task(self._watch(environment))
        try:
            await self._run_workload(environment)
        finally:
            watching.cancel()

    async def _watch(self, environment: Environment) -> None:
        loss = await environment.watch()
        self._interrupts.end(EnvironmentLost(f"{loss}; what was recorded until then was checked, run it again"))

    async def _run_workload(self, environment: Environment) -> None:
        prepared, experiment = self._prepared, self._experiment
        await start_all(prepared.system, environment, experiment.names)
        # The machines were not seen before, nor the programs.
        if missing := prepared.faults.requires - environment.abilities:
            raise EnvironmentFailure(
                f"{environment.name} can't {', '.join(sorted(missing))} with these machines and programs, "
                f"which {','.join(experiment.faults)} needs; leave that fault out"
            )
        self._progress(
            f"{len(experiment.names)} nodes of {prepared.system.name} answer; {experiment.time_limit_s:g} s of load"
        )
        shared = prepared.workload.shared()

        async def open_client(process: int, node: str) -> Client:
            USER.set(f"process {process}")
            connection = await prepared.system.connect(environment, node)
            return prepared.workload.client(connection, shared, prepared.plan.config)

        writer = HistoryWriter(self._folder.history)
        interpreter = Interpreter(
            Test(nodes=tuple(environment.machines), concurrency=experiment.concurrency),
            open_client=open_client,
            record=lambda event: self._record(event, writer),
            nemesis=prepared.faults.nemesis(environment, prepared.system),
            operation_timeout_s=OPERATION_TIMEOUT_S,
            spare_clients=experiment.spare_clients,
            nemesis_limit=AT_ONCE,
            members=environment.members,
        )
        self._statistics = interpreter.statistics
        try:
            await self._load_and_heal(interpreter, environment)
            plan = replace(prepared.plan, nodes=tuple(environment.members))
            final = with_final_stage(prepared.workload.final(plan))
            await interpreter.run(validated(prepared.workload.schemas, final))
            interpreter.stage("end")
        finally:
            if isinstance(self._interrupts.problem, EnvironmentLost):
                interpreter.stage(LOST)
            try:
                await interpreter.close()
            finally:
                writer.close()

    async def _load_and_heal(self, interpreter: Interpreter, environment: Environment) -> None:
        prepared = self._prepared
        interpreter.stage("load")
        await interpreter.run(load_of(prepared))
        await interpreter.run(nemesis(prepared.faults.final))
        died = await deaths(environment, self._died)
        self._notes += died.values()
        interpreter.stage("recovery")
        down = await unrecovered(
            prepared.system,
            environment,
            environment.members,
            prepared.workload.probe or PROBES.get(prepared.workload.interface),
            RECOVERY_S,
        )
        for node, reason in down.items():
            more = "" if node in died else f"; {await log_end(environment, node)}"
            self._notes.append(f"{node} did not recover within {RECOVERY_S:g} s: {reason}{more}")
        interpreter.stage("not-recovered" if down else "recovered")

    def _record(self, event: Event, writer: HistoryWriter) -> None:
        writer.write(event)
        if event.f == "stage":
            self._stage = str(event.value)
        if event.type in self._counts and isinstance(event.process, int):
            self._counts[event.type] += 1
        elif event.process == "nemesis" and isinstance(event.value, Mapping) and "fault" in event.value:
            fault = str(event.value["fault"])
            self._died += event.value.get("evidence", {}).get("died", ())
            if event.value.get("phase") == "start":
                self._active[fault] = str(event.value.get("shape", ""))
            else:
                self._active.pop(fault, None)
        elapsed_s = event.time / 1e9
        counts = " ".join(f"{name} {number}" for name, number in self._counts.items())
        faults = ", ".join(f"{name} {shape}".strip() for name, shape in self._active.items()) or "none"
        rate = self._counts["ok"] / elapsed_s if elapsed_s else 0.0
        status = f"{elapsed_s:6.1f} s  {rate:6.0f} ok/s  {counts}  faults: {faults}"
        self._progress.status(status, done=elapsed_s / self._experiment.time_limit_s)

    def _judged(self, failure: Exception | None) -> Result:
        try:
            return self._judge(failure)
        except BaseException as problem:
            if not interrupting(problem):
                raise
            self._interrupts.hold()
            history = self._folder.history
            reason = f"the run was interrupted while it was judged; `splitbrain check {history}` judges it again"
            return Result("broken", reason, None, self._folder.path, self._command)

    def _judge(self, failure: Exception | None) -> Result:
        """Check what was recorded, and write the results."""
        verdict: Verdict | None = None
        try:
            if failure is None or self._folder.history.exists():
                verdict = self._check(read_history(self._folder.history))
        except ResultsError as problem:
            failure = failure or problem
        except BaseException as problem:  # A workload names its checkers, so its own code runs here too.
            if interrupting(problem):
                raise
            text = f"judging failed, {located(problem)}"
            failure = failure or HarnessError(f"{text}; {self._folder.keep_traceback()}")
        crashes = [*(self._statistics.crashes if self._statistics is not None else ()), *self._crashes]
        status, reason = conclude(verdict, failure, crashes)
        notes = (*self._notes, *_lateness(self._statistics))
        return self._stored(Result(status, reason, verdict, self._folder.path, self._command, notes))

    def _stored(self, result: Result) -> Result:
        """The result, and `broken` if its file could not be written: who looks there later would find none."""
        try:
            self._folder.write_result(result)
        except ResultsError as problem:
            if str(problem) in result.reason or str(problem) in result.notes:
                return result
            if result.status in ("invalid", "broken"):
                return replace(result, notes=(*result.notes, str(problem)))
            return replace(result, status="broken", reason=f"{problem}; it would say: {result.status}, {result.reason}")
        return result

    def _drawn(self, result: Result, notes: Sequence[str]) -> Result:
        """The result with these notes, in its file and its report."""
        if notes:
            result = replace(result, notes=(*result.notes, *notes))
        result = self._stored(result)
        if not self._folder.history.exists() or not self._report:
            return result
        try:
            write_report(self._folder.path)
        except Exception as problem:  # A report that can't be drawn must not cost the verdict.
            known = isinstance(problem, ReportError)
            why = str(problem) if known else f"{located(problem)}; {self._folder.keep_traceback()}"
            note = f"the report could not be drawn: {why}"
            result = self._stored(replace(result, notes=(*result.notes, note)))
        return result

    def _check(self, history: History) -> Verdict:
        prepared = self._prepared
        judged_by = prepared.workload.checkers_under(prepared.plan.config)
        judging = checks(judged_by, prepared.faults.names, self._experiment.fail_if)
        if self._experiment.operations is not None:
            # What a run was given is what is wanted: it may be two operations, and a fault beside them.
            judging["evidence"] = {"min_operations": 1}
        return check_all(history, judging)

    async def _collect_logs(self, environment: Environment) -> list[str]:
        """Keep what the nodes wrote. Returns what could not be kept, a sentence each."""
        limit_s = LOGS_S if self._interrupts.problem is None else LOGS_INTERRUPTED_S
        notes = []
        asked = ""
        try:
            async with asyncio.timeout(limit_s):
                for asked, machine in environment.machines.items():
                    try:
                        notes += write_logs(self._folder.path, asked, await machine.logs())
                    except Exception as problem:  # A node that is gone can't be asked; the others can.
                        notes.append(f"no logs from {asked}: {named(problem)}")
        except TimeoutError:
            notes.append(f"no logs from {asked} and those after it: not sent within {limit_s:g} s")
        except BaseException:
            if self._interrupts.problem is None:
                raise
            self._interrupts.hold()
            notes.append(f"no logs from {asked} and those after it: interrupted")
        return notes

    async def _close(self, environment: Environment) -> None:
        guard.cleaning()
        if self._statistics is not None and not self._experiment.keep:
            failed = await tear_down(self._prepared.system, environment)
            if failed:
                self._progress(f"warning: {failed}")
        try:
            await within(CLEAN_UP_S, environment.close())
        except Exception as problem:
            self._progress(f"cleaning up failed ({named(problem)}); `splitbrain clean` removes what is left")


def _lateness(statistics: Statistics | None) -> tuple[str, ...]:
    if statistics is None or not statistics.late:
        return ()
    return (
        f"{statistics.late:,} of {statistics.operations:,} operations started late, by up to"
        f" {statistics.latest_ns / 1e9:.2f} s, for want of a free client; their latency counts from when they were due",
    )
