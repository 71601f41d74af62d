"""Functions that do one thing in a simulated process and another everywhere else.

Which it is depends on the loop that is running, so other threads, and the harness between two turns of a process, never
see a difference.
"""

from __future__ import annotations

from asyncio.events import _get_running_loop
from collections.abc import Callable
from typing import Any

from splitbrain.harness.simulation.programs.process_loop import ProcessLoop

Function = Callable[..., Any]


def running_process() -> ProcessLoop | None:
    """The process whose code is running, if any. About 50 ns."""
    loop = _get_running_loop()
    return loop if isinstance(loop, ProcessLoop) else None


def by_process(real: Function, inside: Function) -> Function:
    """A function that is `inside(process, ...)` in a process, and `real(...)` elsewhere."""

    def dispatched(*args: Any, **options: Any) -> Any:
        loop = _get_running_loop()
        return inside(loop, *args, **options) if isinstance(loop, ProcessLoop) else real(*args, **options)

    dispatched.__name__ = getattr(real, "__name__", "dispatched")
    dispatched.__doc__ = real.__doc__
    return dispatched


def refused(real: Function, what: str, asked: str) -> Function:
    """A function that a process can't have. what: as in `refusals.REMEDIES`. asked: how the error names the call."""
    return by_process(real, lambda process, *args, **options: process.refuse(what, asked))
