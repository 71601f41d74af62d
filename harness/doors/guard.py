"""The guard: the exit code stands for a verdict that was printed, whatever a user's code does to the process.

1. `run` and `check` do their work in a child process. The exit code is what the child reports once it has printed its
   answer.
2. A child that ends without a report gave no verdict: exit code 3, and one line about how it ended. So `os._exit(0)` in
   a client, a model or a plugin can't make the exit code 0. The containers that it held are removed (`aftermath`).
3. The child gets the signals that are sent to its parent, and dies with it, of SIGKILL too. It ends at most `GRACE_S`
   after its report, whatever threads are left in it.
4. A child that has not ended `INTERRUPTED_S` after an interrupt, or when its time is up (`must_end`), is killed: code
   that swallows every exception, or never returns from C, can't be stopped from within. What it had recorded is judged
   by another process (`aftermath`), for `AFTERMATH_S` at most, and is named in any case.
5. The child may forge what it reports: code of a user's has all that the harness has. The guard is there for accidents.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

GRACE_S = 10.0
"""Time for a process to end other processes and close files on its way out."""
INTERRUPTED_S = 6.0
"""How long a child may go on after an interrupt. With what comes after it, users wait for ten seconds."""
CLEANING_S = 25.0
"""The same where it is removing containers by then: killed, it would leave them behind."""
AFTERMATH_S = 3.5
_GLANCE_S = 1.0
_BYTES_MOST = 16_384
"""Of a line; a path takes twice its length."""
_READS_MOST = 16
_NO_VERDICT = 3
_INVALID = 1
_INTERRUPTED = 130
_PASSED_ON = (signal.SIGINT, signal.SIGTERM)
_ONE_INTERRUPT_S = 1.0
"""A signal that comes so soon after another is the same one, by another way."""
_reporting = -1
_parent = 0


def enter(aftermath: Callable[[str, str], int], *, interrupts: int = 1) -> None:
    """Fork. Returns in the child, which has to `report`; the parent waits for it, and exits.

    aftermath: judges what is in a run's folder, given how the child came to its end; returns an exit code. interrupts:
    how many it takes to end the child.
    """
    global _reporting, _parent
    if not hasattr(os, "fork"):
        return
    awaited = {*_PASSED_ON, signal.SIGCHLD}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # Ignored, it would take the child's end away.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    listening, reporting = os.pipe()
    living, holding = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child:
        os.close(reporting)
        os.close(living)
        sys.exit(_Watch(child, listening, aftermath, interrupts).over())
    _reporting, _parent = reporting, parent
    os.close(listening)
    os.close(holding)
    threading.Thread(target=_die_with, args=(living,), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def report(code: int) -> None:
    """Report the exit code. Only the first report counts. Does nothing outside a guard, like all of these."""
    _say(f"exit {code}")


def recording(folder: str, *, holding: bool) -> None:
    """What the child records from now on is in this run's folder; "" for nothing any more.

    holding: it makes containers, which have to be removed.
    """
    _say(f"{'holding' if holding else 'recording'} {os.fsencode(folder).hex()}")


def must_end(seconds: float | None) -> None:
    """The child is to be killed if it has not ended so many seconds from now; None: it may take any time."""
    _say(f"end {'never' if seconds is None else seconds}")


def cleaning() -> None:
    """The child removes what must not be left behind."""
    _say("cleaning")


def responsible() -> int:
    """The id of the process that users see: when it ends, the command has ended."""
    return _parent if _reporting >= 0 else os.getpid()


def _say(line: str) -> None:
    if _reporting >= 0 and os.getppid() == _parent:
        with contextlib.suppress(OSError):
            os.write(_reporting, line.encode() + b"\n")


@dataclass
class _Watch:
    """The parent's view of its child.

    aftermath, interrupts: see `enter`. code: what it reported, if it did. folder: where it records. end_s,
    interrupted_s: when its time is up, and when it was interrupted, if so. holding, cleaning: it has containers, and is
    removing them. killed: why it was. heard: the beginning of a line.
    """

    child: int
    listening: int
    aftermath: Callable[[str, str], int]
    interrupts: int
    code: int | None = None
    reported_s: float = 0.0
    folder: str = ""
    end_s: float | None = None
    interrupted_s: float | None = None
    holding: bool = False
    cleaning: bool = False
    killed: str = ""
    heard: bytes = b""
    signalled_s: list[float] = field(default_factory=list)

    def over(self) -> int:
        """The exit code, once the child has ended."""
        awaited = {*_PASSED_ON, signal.SIGCHLD}
        os.set_blocking(self.listening, False)
        while True:
            ended, status = os.waitpid(self.child, os.WNOHANG)
            self._listen()
            if ended:
                break
            self._kill_if_due(time.monotonic())
            found = signal.sigtimedwait(awaited, _GLANCE_S)
            if found is not None and found.si_signo in _PASSED_ON:
                self._interrupt(found, time.monotonic())
        if self.code is not None:
            return self.code
        interrupted = self.interrupted_s is not None
        if not self.killed:
            how = _end(os.waitstatus_to_exitcode(status))
            _warn(f"no verdict: {how}")
            if self.holding:
                self._judged(how, CLEANING_S)
            return _NO_VERDICT
        where = f"; what was recorded until then: {self.folder}" if self.folder else ""
        why = f"{self.killed}, so its process was killed"
        _warn(f"{why}{where}")
        patience_s = CLEANING_S if self.holding else AFTERMATH_S
        invalid = bool(self.folder) and self._judged(why, patience_s) == _INVALID
        return _INTERRUPTED if interrupted else _INVALID if invalid else _NO_VERDICT

    def _judged(self, why: str, patience_s: float) -> int | None:
        """Have what was recorded judged in a process of its own. Returns its exit code; None if it had none in time."""
        global _reporting, _parent
        parent = os.getpid()
        judging = os.fork()
        if not judging:
            code = _NO_VERDICT
            try:
                # What this process removes belongs to the one that users see.
                _reporting, _parent = os.open(os.devnull, os.O_WRONLY), parent
                code = self.aftermath(self.folder, why)
            finally:
                os._exit(code)
        until = time.monotonic() + patience_s
        while True:
            ended, status = os.waitpid(judging, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > until:
                os.kill(judging, signal.SIGKILL)
                os.waitpid(judging, 0)
                _warn(f"there was no time to judge it; `splitbrain check {self.folder}` does")
                return None
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_READS_MOST):  # A user's code may write here without end.
                self.heard = self.heard[-_BYTES_MOST:] + os.read(self.listening, _BYTES_MOST)
        *lines, self.heard = self.heard.split(b"\n")
        for line in lines:
            word, _, rest = line.decode(errors="replace").partition(" ")
            with contextlib.suppress(ValueError):  # Anything may write there.
                self._take(word, rest)

    def _take(self, word: str, rest: str) -> None:
        if word == "exit" and self.code is None:
            self.code, self.reported_s = int(rest) % 256, time.monotonic()
        elif word in ("recording", "holding"):
            self.folder, self.holding = os.fsdecode(bytes.fromhex(rest)), word == "holding"
        elif word == "end":
            self.end_s = None if rest == "never" else time.monotonic() + float(rest)
        elif word == "cleaning":
            self.cleaning = True

    def _interrupt(self, found: signal.struct_siginfo, now: float) -> None:
        # A signal from a terminal (its code is above 0) reaches every process there; one from `kill`, only its target.
        if found.si_code <= 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child, found.si_signo)
        if not self.signalled_s or now - self.signalled_s[-1] > _ONE_INTERRUPT_S:
            self.signalled_s.append(now)
        if len(self.signalled_s) >= self.interrupts and self.interrupted_s is None:
            self.interrupted_s = now

    def _kill_if_due(self, now: float) -> None:
        if self.code is not None:
            due = now - self.reported_s > GRACE_S
        elif self.interrupted_s is not None and now - self.interrupted_s > INTERRUPTED_S:
            due = not self.cleaning or now - self.interrupted_s > CLEANING_S
            self.killed = f"it did not end within {INTERRUPTED_S:g} s of the interrupt" if due else ""
        else:
            due = self.end_s is not None and now > self.end_s + CLEANING_S * self.cleaning
            self.killed = "it did not end when its time was up" if due else ""
        if due:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child, signal.SIGKILL)


def _warn(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(f"splitbrain: {text}", file=sys.stderr, flush=True)


def _end(code: int) -> str:
    if code >= 0:
        return f"code of a client, a model or a plugin ended the process, with exit status {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
    return f"the process was ended by {name}" + (" (is memory short?)" if -code == signal.SIGKILL else "")


def _die_with(living: int) -> None:
    # Nothing is ever written: the read returns when the other end is closed, because its process has ended.
    os.read(living, 1)
    os.kill(os.getpid(), signal.SIGKILL)
