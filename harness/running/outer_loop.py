"""The caller's event loop, set aside while a run has a loop of its own.

1. A run blocks its caller, a coroutine too: the other tasks of the caller's loop stand still until the run is over.
2. The run stays on the caller's thread: on another, no Ctrl-C and no time limit of a test would reach it.
3. However the run ends, the caller's loop and task are the current ones again.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Iterator


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """Within it no loop runs on this thread, as asyncio sees it. No signal's handler may raise meanwhile."""
    loop = asyncio._get_running_loop()
    if loop is None:
        yield
        return
    task = asyncio.current_task(loop)
    if task is not None:
        _leave_task(loop, task)
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)
        if task is not None:
            _enter_task(loop, task)
