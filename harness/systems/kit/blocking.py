"""Blocking: drivers that block are called on threads.

1. There are `THREADS` at most for all connections together. What finds none free waits for one, within the bound of the
   call that it belongs to; what is given up while it waits never begins.
2. A thread can't be interrupted. So whatever runs on one has to end by a timeout of the driver's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREADS = 64
"""Far more than clients that wait at the same time, since a hung driver keeps its thread for a while."""
_POOL = ThreadPoolExecutor(THREADS, thread_name_prefix="driver")


async def on_thread(work: Callable[[], T]) -> T:
    """Do blocking work on a thread, and return what it returns."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, work)
