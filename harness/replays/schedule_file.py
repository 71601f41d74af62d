"""schedule.json: what was drawn before the start of a run, beside the run.json that says what was asked for.

1. It is written before anything starts. run.json and schedule.json are all that it takes to run it again.
2. `strikes` are the nemesis's. `operations` are the clients', in a run that was given some; else there are none, and
   the workload's generator makes them.
3. A file of another version is refused: what it does not say could be part of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.replays.scripted import ScriptedOperation

NAME = "schedule.json"
VERSION = 1


class UnreadableSchedule(Exception):
    """A schedule.json that can't be used. The message names the cause, then the remedy."""


class ScheduleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module's rules."""

    version: int
    strikes: tuple[Strike, ...]
    operations: tuple[ScriptedOperation, ...] | None = None


class _Versioned(msgspec.Struct):
    version: int


def encode(strikes: Sequence[Strike], operations: Sequence[ScriptedOperation] | None) -> bytes:
    """The file's contents: a line a strike and a line an operation, for those who read or change it."""
    parts = [f'"version": {VERSION}', f'"strikes": {_lines(strikes)}']
    if operations is not None:
        parts.append(f'"operations": {_lines(operations)}')
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def _lines(items: Sequence[msgspec.Struct]) -> str:
    lines = ",\n".join("  " + msgspec.json.encode(item).decode() for item in items)
    return f"[\n{lines}\n]" if lines else "[]"


def read_schedule(folder: Path) -> ScheduleFile:
    """The schedule in a run's folder. Raises UnreadableSchedule."""
    path = folder / NAME
    remedy = "give the folder of a run by this version of splitbrain, or run it again"
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise UnreadableSchedule(f"can't read {path} ({problem.strerror}); {remedy}") from None
    try:
        version = msgspec.json.decode(content, type=_Versioned).version
        if version != VERSION:
            raise UnreadableSchedule(f"{path} has version {version}, and {VERSION} is known; {remedy}")
        return msgspec.json.decode(content, type=ScheduleFile)
    except msgspec.MsgspecError as problem:
        raise UnreadableSchedule(f"{path} is no schedule ({problem}); {remedy}") from None
