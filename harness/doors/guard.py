"""The guard: the exit code stands for a verdict that was printed, whatever a user's code does to the process.

1. `run` and `check` do their work in a child process. The exit code is what the child reports once it has printed its
   answer.
2. A child that ends without a report gave no verdict: exit code 3, and one line about how it ended. So `os._exit(0)` in
   a client, a model or a plugin can't make the exit code 0.
3. The child gets the signals that are sent to its parent, and dies with it, of SIGKILL too. It ends at most `GRACE_S`
   after its report, whatever threads are left in it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

GRACE_S = 10.0
"""Time for a process to end other processes and close files on its way out."""
_GLANCE_S = 1.0
_NO_VERDICT = 3
_PASSED_ON = (signal.SIGINT, signal.SIGTERM)
_reporting = -1
_parent = 0


def enter() -> None:
    """Fork. Returns in the child, which has to `report`; the parent waits for it, and exits."""
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
        sys.exit(_awaited(child, listening, awaited))
    _reporting, _parent = reporting, parent
    os.close(listening)
    os.close(holding)
    threading.Thread(target=_die_with, args=(living,), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def report(code: int) -> None:
    """Report the exit code. Only the first report counts. Does nothing outside a guard."""
    if _reporting >= 0 and os.getppid() == _parent:
        os.write(_reporting, bytes([code]))


def responsible() -> int:
    """The id of the process that users see: when it ends, the command has ended."""
    return _parent if _reporting >= 0 else os.getpid()


def _awaited(child: int, listening: int, awaited: set[signal.Signals]) -> int:
    """The exit code, once the child has ended."""
    os.set_blocking(listening, False)
    reported, since = b"", 0.0
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        try:
            said = os.read(listening, 1)
        except BlockingIOError:
            said = b""
        if said and not reported:
            reported, since = said, time.monotonic()
        if ended:
            break
        if reported and time.monotonic() - since > GRACE_S:
            os.kill(child, signal.SIGKILL)
        found = signal.sigtimedwait(awaited, _GLANCE_S)
        # A signal from a terminal (its code is above 0) reaches every process there; one from `kill`, only its target.
        if found is not None and found.si_signo in _PASSED_ON and found.si_code <= 0:
            os.kill(child, found.si_signo)
    if reported:
        return reported[0]
    print(f"splitbrain: no verdict: {_end(os.waitstatus_to_exitcode(status))}", file=sys.stderr, flush=True)
    return _NO_VERDICT


def _end(code: int) -> str:
    if code >= 0:
        return f"code of a client, a model or a plugin ended the process, with exit status {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
    return f"the process was ended by {name}" + (" (is memory short?)" if -code == signal.SIGKILL else "")


def _die_with(living: int) -> None:
    # Nothing is ever written: the read returns when the other end is closed, because its process has ended.
    os.read(living, 1)
    os.kill(os.getpid(), signal.SIGKILL)
