"""Readiness: a node that was started is awaited until it answers, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from splitbrain.harness.environment import Environment, EnvironmentFailure, Machine, NotReady
from splitbrain.harness.running.deaths import log_end
from splitbrain.harness.system import OperationFailed

START_PATIENCE_S = 10.0


Ready = Callable[[Environment, str], Awaitable[bool]]
"""A system's own `ready`."""


async def until_ready(
    ready: Ready, environment: Environment, machine: Machine, patience_s: float = START_PATIENCE_S
) -> None:
    """Wait until the node answers.

    Raises NotReady, with the end of its log, if it does not within `patience_s` seconds, and EnvironmentFailure if its
    program ends by itself before.
    """
    try:
        # A `ready` that never returns is bounded as well.
        async with asyncio.timeout(patience_s) as limit:
            while not await ready(environment, machine.name):
                if not (await machine.running() or machine.taken_down):
                    how = machine.ended or "it is gone"
                    raise EnvironmentFailure(
                        f"{machine.name} ended before it answered ({how}); {await log_end(environment, machine.name)}"
                    )
                await asyncio.sleep(0.05)
    except TimeoutError:
        if not limit.expired():
            raise
        raise NotReady(
            f"{machine.name} does not answer {patience_s:g} s after its start;"
            f" {await log_end(environment, machine.name)}"
        ) from None


async def until_done(work: Callable[[], Awaitable[object]], patience_s: float) -> None:
    """Do this again and again until it succeeds. Raises its last OperationFailed once `patience_s` seconds are over."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        try:
            await work()
            return
        except OperationFailed as problem:
            if asyncio.get_running_loop().time() > deadline:
                raise EnvironmentFailure(f"not done {patience_s:g} s after the start: {problem}") from None
        await asyncio.sleep(0.2)
