"""Judging a recorded history: what `splitbrain check` does between its arguments and its output.

1. Wrong arguments (an unknown checker, option or model) are reported before the history is read.
2. An option goes to each chosen checker that has it, and at least one must.
3. A history or an option that a checker refuses is for the user to correct. A checker that fails itself is `broken`.
4. Processes started for a check end with it, however it ends.
5. Where no checker was asked for, a run's folder is judged by what its own run was judged by, and any other history by
   what its operations ask for (`selection`). The answer says which checkers these are, and why.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import re
import shlex
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from splitbrain.checkers import History, HistoryError, Outcome, Verdict, check_all
from splitbrain.checkers.compose import compose, describe_error
from splitbrain.checkers.linearizability import MODELS, Model
from splitbrain.checkers.registry import Checker, find, names
from splitbrain.checkers.selection import Selection, fitting
from splitbrain.harness.catalogue import UnknownName, workload
from splitbrain.harness.nemesis import family_named
from splitbrain.harness.places import NoSuchPlace, is_place, thing_at
from splitbrain.harness.running.experiment import UsageProblem, checks
from splitbrain.harness.running.interrupts import located
from splitbrain.harness.running.results import WIDTH, Status
from splitbrain.harness.suggestions import did_you_mean

_LINES_OF_WITNESS = 14
_GLANCE_S = 0.5
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def chosen(asked: Sequence[str]) -> list[Checker]:
    """The checkers of those names, each once. Raises UsageProblem naming those that exist, and the nearest."""
    found = {}
    for name in asked:
        try:
            checker = find(name)
        except ValueError as problem:
            raise UsageProblem(f"{problem}{did_you_mean(name, names())}") from None
        found[checker.name] = checker
    return list(found.values())


def told(path: Path, history: History) -> Selection:
    """The checkers for a history that nobody named any for (rule 5).

    path: as given, a file or a run's folder. Raises UsageProblem if its operations tell none.
    """
    ran = _as_it_ran(path)
    if isinstance(ran, Selection):
        return ran
    try:
        found = fitting(history)
    except ValueError as problem:
        remedy = f"name one with --checker: {', '.join(names())}"
        raise UsageProblem(f"{path}: no checker can be told: {problem}; {remedy}") from None
    return Selection(found.checkers, f"{ran}{found.why}")


def _as_it_ran(path: Path) -> Selection | str:
    """What the run in a folder was judged by; or, where that can't be had, why, to begin a sentence with."""
    if not path.is_dir():
        return ""
    try:
        facts = msgspec.json.decode((path / "run.json").read_bytes(), type=_Facts)
    except (OSError, msgspec.MsgspecError):
        return "the folder has no run.json that can be read, and "
    try:
        checkers = workload(facts.workload).checkers_under(facts.config)
    except UnknownName:
        return f"its workload {facts.workload} is not installed, and "
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # It is somebody else's module.
        return f"its workload {facts.workload} can't be loaded ({located(problem)}), and "
    try:
        faults = list(dict.fromkeys(family_named(each) for each in facts.faults))
    except ValueError as problem:
        return f"its faults can't be looked up ({problem}), and "
    return Selection(checks(checkers, faults, facts.fail_if), f"its run of {facts.workload} was judged by them")


class _Facts(msgspec.Struct):
    """What of a run.json decides how the run is judged."""

    workload: str
    config: dict[str, str] = {}
    faults: list[str] = []
    fail_if: list[str] = []


def options_for(
    checkers: Sequence[Checker], options: Mapping[str, Any], flags: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Each checker's options, by its name.

    options: as given. flags: by option, the words of the command line that gave it.
    Raises UsageProblem for an option that none of them has, a value of the wrong type, or one that can't be.
    """
    known = {name: None for checker in checkers for name in checker.options}
    for name in options:
        if name not in known:
            whose = " and ".join(checker.name for checker in checkers)
            there = f"{whose} has {', '.join(known)}" if known else f"{whose} has none"
            raise UsageProblem(f"{flags[name]}: no such option; {there}{did_you_mean(name, known)}")
    if "executor" in options and isinstance(options.get("model"), Model):
        _hold_sendable(options["model"], flags["model"])
    return {checker.name: _accepted(checker, options, flags) for checker in checkers}


def _hold_sendable(model: Model, flag: str) -> None:
    """Raises UsageProblem for a model that can't be sent to other processes."""
    try:
        pickle.dumps(model)
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # Their `__getstate__` may raise anything.
        reason = f"{type(problem).__name__}: {_ADDRESS.sub('', str(problem))}"
        remedy = "run with --jobs 1, or define it so that it can be pickled"
        raise UsageProblem(f"{flag}: the model can't be sent to other processes ({reason}); {remedy}") from None


def _accepted(checker: Checker, options: Mapping[str, Any], flags: Mapping[str, str]) -> dict[str, Any]:
    """The options that the checker has. An option that is wrong for an empty history is wrong for any."""
    accepted: dict[str, Any] = {}
    for name in [each for each in options if each in checker.options]:
        try:
            accepted |= checker.accept({name: options[name]})
        except ValueError as problem:
            raise UsageProblem(f"{flags[name]}: {problem}") from None
    try:
        checker.judge(History([]), **accepted)
    except ValueError as problem:
        if isinstance(problem, HistoryError):
            return accepted
        named = accepted.get("model")
        own = "; one of your own is --model module:ATTRIBUTE" if isinstance(named, str) and named not in MODELS else ""
        raise UsageProblem(f"{problem}{own}") from None
    except KeyboardInterrupt:
        raise
    except BaseException:
        pass  # It will fail again on the history, and is reported then.
    return accepted


def model(name: str) -> Any:
    """The model that a name stands for: the name itself, or what is at a place (`file.py:NAME`). A class is called to
    make one. Raises UsageProblem.
    """
    if not is_place(name):
        return name
    try:
        thing = thing_at(name)
    except NoSuchPlace as problem:
        raise UsageProblem(f"--model {name}: {problem}") from None
    try:
        made = thing() if isinstance(thing, type) else thing
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        raise UsageProblem(f"--model {name}: can't make one ({located(problem)})") from None
    if not isinstance(made, Model):
        what = type(made).__name__
        wanted = "splitbrain.checkers.linearizability.Model"
        raise UsageProblem(f"--model {name}: it must be a {wanted}, and is of type {what}")
    return made


@contextlib.contextmanager
def workers(jobs: int) -> Iterator[Executor | None]:
    """A pool of so many processes that judge parts of a history; None for a single job, which needs none."""
    if jobs == 1:
        yield None
        return
    executor = ProcessPoolExecutor(jobs, initializer=_begin)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        # What they still judge may take hours, and its result is no longer needed.
        for child in multiprocessing.active_children():
            child.kill()


def logs_beside(history: Path) -> dict[str, str]:
    """The nodes' logs by name (`n1/store.log`), if the history lies in a run's folder."""
    nodes = history.parent / "nodes"
    return {
        file.relative_to(nodes).as_posix(): file.read_text(errors="replace")
        for file in sorted(nodes.rglob("*.log"))
        if file.is_file()
    }


def judged(name: str, history: History, checkers: Sequence[Checker], options: Mapping[str, Any]) -> Verdict:
    """What they say: one checker's own verdict, or several composed.

    name: the history's, for errors. Raises UsageProblem if a single checker refuses the history or an option.
    """
    if len(checkers) > 1:
        return check_all(history, options)
    (checker,) = checkers
    try:
        return checker.judge(history, **options[checker.name])
    except HistoryError as problem:
        # In other formats events may have more lines than one, or share one.
        place = "line" if name.endswith(".jsonl") else "event"
        text = f"{name}, {place} {problem.line}: {problem.problem}; record it again, or correct it"
        raise UsageProblem(text) from None
    except ValueError as problem:
        raise UsageProblem(str(problem)) from None
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # Its own failure is no verdict, and must not look like one.
        return compose({}, {checker.name: describe_error(problem)})


def status(verdict: Verdict) -> Status:
    """The verdict's outcome; `broken` if a checker failed and the others found no anomaly."""
    if verdict.broken and verdict.outcome is not Outcome.INVALID:
        return "broken"
    return verdict.outcome.value


def hold_writable(page: Path | None) -> None:
    """Raises UsageProblem for a report that could not be written: said before hours of checking, not after."""
    if page is None:
        return
    if page.is_dir():
        raise UsageProblem(f"--report {page}: that is a folder; give a file, such as {page / 'report.html'}")
    if not page.absolute().parent.is_dir():
        raise UsageProblem(f"--report {page}: there is no folder {page.parent}; make it, or give another file")
    if not os.access(page.absolute().parent, os.W_OK):
        raise UsageProblem(f"--report {page}: {page.parent} can't be written to; give another file")


def draw(page: Path, source: Path, history: History, verdict: Verdict, names: Sequence[str]) -> None:
    """Draw the history with its verdict. Raises UsageProblem if the page can't be written.

    source: as given, a file, a run's folder, or `-`. names: of the checkers that judged it.
    """
    from splitbrain.harness.report import ReportError, write_judged  # Imports the templates' engine.

    form = verdict.as_dict()
    if not verdict.parts and not verdict.broken:
        form = {"verdict": form["verdict"], "reason": form["reason"], "checkers": dict.fromkeys(names, form)}
    form["verdict"] = status(verdict)
    # As it was typed: an option whose value the shell had to quote is quoted again.
    command = shlex.join(["splitbrain", *sys.argv[1:]]) if sys.argv[1:2] == ["check"] else ""
    try:
        write_judged(page, source, history, form, command)
    except ReportError as problem:
        raise UsageProblem(str(problem)) from None


def as_json(verdict: Verdict, history: History, selection: Selection | None = None) -> str:
    """One JSON object on one line. What JSON lacks (NaN, infinity) is null.

    `truncated` and `cut_at`: of a cut file. `chosen`: the checkers by name with their options, and why, where nobody
    named any.
    """
    form: dict[str, Any] = {**verdict.as_dict(), "verdict": status(verdict)}
    if history.truncated:
        form |= {"truncated": True, "cut_at": history.cut_at}
    if selection is not None:
        form["chosen"] = {"checkers": selection.checkers, "why": selection.why}
    return msgspec.json.encode(form).decode()


def as_text(verdict: Verdict, history: History, selection: Selection | None = None) -> str:
    """Some twenty lines for people: the verdict, the witness, each checker of several, where the file was cut, and
    which checkers were chosen, where nobody named any.
    """
    shown = [" ".join(f"{status(verdict).upper()}: {verdict.reason}".split())]
    if verdict.witness is not None:
        text = verdict.witness.text.splitlines()
        lines = [each for line in text for each in textwrap.wrap(line, WIDTH, subsequent_indent="    ") or [""]]
        shown += lines[:_LINES_OF_WITNESS]
        if len(lines) > _LINES_OF_WITNESS:
            shown.append(f"... ({len(lines) - _LINES_OF_WITNESS} more lines with --json)")
    shown += [f"  {part.outcome.value:<8} {name}: {part.reason}" for name, part in verdict.parts.items()]
    if history.truncated:
        where = f" at line {history.cut_at:,}" if history.cut_at else ""
        shown.append(f"the file was cut off{where}; what came before was judged")
    if selection is not None:
        models = {name: options.get("model", "") for name, options in selection.checkers.items()}
        chosen = ", ".join(f"{name} (as a {model})" if model else name for name, model in models.items())
        shown.append(f"chosen, as {selection.why}: {chosen}; --checker names others")
    return "\n".join(shown)


def _begin() -> None:
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    # A Ctrl-C reaches every process of a terminal: the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit_with_parent(parent: int) -> None:
    # A process that is killed with SIGKILL can't end its children, but they see that they get another parent.
    while os.getppid() == parent:
        time.sleep(_GLANCE_S)
    os._exit(1)
