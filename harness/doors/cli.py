"""`splitbrain`: where every command begins and ends.

1. Every error a user can cause is one line and an exit code, never a traceback.
2. Exit codes: 0 valid, 1 invalid, 2 unknown, 3 broken (the harness failed, or could not print its answer), 64 wrong
   usage, 130 interrupted.
3. An interrupt is handled from the first line of `main` on: slow imports run under a handler. While Python itself
   starts, it ends the process with 1 (a fatal error of Python's) or by the signal, with no verdict printed.
4. The commands of `GUARDED` exit with 0 only after a valid verdict was printed; see `guard`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from splitbrain.harness.doors import guard

if TYPE_CHECKING:
    import click

EXIT_INTERRUPTED = 130
GUARDED = ("run", "check", "replay", "shrink", "campaign", "suite", "mutants")
COMPLETE = "_SPLITBRAIN_COMPLETE"
"""Shells set it to have a word completed."""
_ONE_INTERRUPT_S = 1.0
_interrupted_at = float("-inf")


def main() -> None:
    """The command."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    if os.environ.get(COMPLETE):
        _complete()
    if sys.argv[1:2] and sys.argv[1] in GUARDED:
        # Of a campaign the first interrupt ends only what would come next.
        guard.enter(_aftermath, interrupts=2 if sys.argv[1] in ("campaign", "mutants") else 1)
    from splitbrain.harness.terminal import OutputLost, keep_output, warn

    keep_output()
    import click

    from splitbrain.harness.doors.commands import Answered
    from splitbrain.harness.running.experiment import UsageProblem
    from splitbrain.harness.running.results import EXIT_CODES, EXIT_USAGE, ResultsError

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        code = command().main(standalone_mode=False) or 0
    except Answered as answer:
        code = answer.exit_code
    except click.ClickException as problem:
        with contextlib.suppress(OSError, ValueError):
            problem.show()
        code = EXIT_USAGE
    except (UsageProblem, ResultsError) as problem:
        warn(f"splitbrain: {problem}")
        code = EXIT_USAGE
    except OutputLost as problem:
        warn(f"splitbrain: {problem}")
        code = EXIT_CODES["broken"]
    except (click.Abort, KeyboardInterrupt):
        warn("splitbrain: interrupted")
        code = EXIT_INTERRUPTED
    except BaseException as problem:  # The last line of defence: exit code 1 would read as "invalid".
        warn(f"splitbrain: {_failed(problem)}")
        code = EXIT_CODES["broken"]
    guard.report(code)
    sys.exit(code)


def _aftermath(folder: str, why: str) -> int:
    from splitbrain.harness.doors.aftermath import told

    return told(folder, why)


def command() -> click.Group:
    """The command with all its commands."""
    from splitbrain.harness.doors.campaign_command import campaign
    from splitbrain.harness.doors.commands import cli
    from splitbrain.harness.doors.mutants_command import mutants
    from splitbrain.harness.doors.new_command import new
    from splitbrain.harness.doors.replay_command import replay
    from splitbrain.harness.doors.runs_command import compare, serve
    from splitbrain.harness.doors.shrink_command import shrink
    from splitbrain.harness.doors.suite_command import suite

    for each in (replay, shrink, campaign, suite, mutants, new, serve, compare):
        cli.add_command(each)
    return cli


def _failed(problem: BaseException) -> str:
    from splitbrain.checkers.error_origin import origin
    from splitbrain.harness.running.interrupts import named

    if isinstance(problem, MemoryError):
        return "memory is short; give less to do at once, or more memory"
    where = origin(problem)
    if where:
        return f"{where} raised {named(problem)}; correct it there"
    return f"internal error, {named(problem)}; please report it with this command"


def _complete() -> NoReturn:
    """Answer a shell that completes a word. Runs no command."""
    command().main(prog_name="splitbrain", complete_var=COMPLETE)
    raise AssertionError("click answers the shell and exits")


def _interrupt(number: int, frame: object) -> None:
    # A signal to the whole process group also arrives by way of the parent, and the second one must not disturb the
    # answer to the first. A later one counts again: a user's code may have swallowed the first.
    global _interrupted_at
    now = time.monotonic()
    if now - _interrupted_at > _ONE_INTERRUPT_S:
        _interrupted_at = now
        raise KeyboardInterrupt


def _leave(number: int, frame: object) -> None:
    # There is nothing to clean up yet, and an exception in the middle of an import could be swallowed.
    os.write(2, b"splitbrain: interrupted\n")
    guard.report(EXIT_INTERRUPTED)
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
