"""The keeper: a small process that outlives the harness by a moment, and ends the nodes that a killed one left.

1. It reads lines on standard input: a process group's number once it was started, and that number with a minus once it
   ended. At the end of input it kills the groups that are left, and removes the folder named by its argument.
2. A node that is stopped (SIGSTOP) would never see the end of its own input: somebody else has to end it.
3. It needs nothing but Python's standard library.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable


def keep(lines: Iterable[str], folder: str) -> None:
    """Follow the lines to their end, then kill what is left and remove the folder."""
    groups: set[int] = set()
    for line in lines:
        number = int(line)
        if number > 0:
            groups.add(number)
        else:
            groups.discard(-number)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    keep(sys.stdin, sys.argv[1])
