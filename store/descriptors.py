"""File descriptors: what to say when there are none left.

The system reports it in the place of whatever needed one: a socket, a database, a key file. The remedy is none of
theirs.
"""

from __future__ import annotations

import errno
import os

LOOP = 6
"""An event loop's own, its socket, and one to read the system's tables."""


def exhausted(problem: BaseException | None = None) -> str | None:
    """What is to be done if a problem is that no more files can be opened; None if it is something else.

    Without a problem (sqlite does not tell) it tries for itself.
    """
    if problem is None:
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as own:
            problem = own
    number = getattr(problem, "errno", None)
    if number == errno.EMFILE:
        return "this process may open no more files: raise its limit (ulimit -n, or LimitNOFILE of its service)"
    if number == errno.ENFILE:
        return "this machine may open no more files: close programs, or raise its limit (sysctl fs.file-max)"
    return None


def require(number: int) -> None:
    """See that so many can be opened. Raises OSError if not.

    An event loop that runs out of them halfway leaves a traceback of its own, which nobody can catch.
    """
    opened: list[int] = []
    try:
        for _ in range(number):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for each in opened:
            os.close(each)
