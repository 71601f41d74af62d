"""Error origins: the place in a user's code that an exception came from.

1. The project's own frames and the standard library's are passed over: a KeyError in a client is the client's.
2. An installed package counts if it registers workloads, systems or checkers. Others are libraries: their frame is on
   the way from one place to another.
3. A file that can't be parsed is its own origin.
"""

from __future__ import annotations

import sys
import sysconfig
import traceback
from importlib.metadata import entry_points

_OURS = __file__[: -len("checkers/error_origin.py")]
_SEPARATOR = _OURS[-1]
_STANDARD = tuple(f"{sysconfig.get_path(name)}{_SEPARATOR}" for name in ("stdlib", "platstdlib"))
_GROUPS = ("splitbrain.workloads", "splitbrain.systems", "splitbrain.checkers")
_INSTALLED = tuple(f"{_SEPARATOR}{folder}{_SEPARATOR}" for folder in ("site-packages", "dist-packages"))


def origin(problem: BaseException) -> str:
    """The innermost place in a user's code, as `file:line`; "" if the exception passed through none.

    The file is named from where it was imported, if it can be: the same on every machine.
    """
    if isinstance(problem, SyntaxError) and problem.filename and not problem.filename.startswith("<"):
        return _shown(problem.filename, problem.lineno or 1)
    passed = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(problem.__traceback__)]
    for file, line in reversed(passed):
        if _users(file):
            return _shown(file, line)
    return ""


def at_origin(text: str, problem: BaseException) -> str:
    """What is said of an exception, with its origin."""
    where = origin(problem)
    return f"{text} at {where}" if where else text


def _users(file: str) -> bool:
    """Whether a file is a user's: neither ours nor Python's nor a library's, nor made up (`<string>`)."""
    if file.startswith(("<", _OURS)):
        return False
    for folder in _INSTALLED:
        if folder in file:
            package = file.rpartition(folder)[2].partition(_SEPARATOR)[0].removesuffix(".py")
            registered = (entry.module for group in _GROUPS for entry in entry_points(group=group))
            return package in {module.partition(".")[0] for module in registered}
    return not file.startswith(_STANDARD)


def _shown(file: str, line: int) -> str:
    roots = [f"{root}{_SEPARATOR}" for root in sys.path if root and file.startswith(f"{root}{_SEPARATOR}")]
    return f"{file[max(map(len, roots), default=0) :]}:{line}"
