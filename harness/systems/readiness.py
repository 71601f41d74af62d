"""Readiness: a node that was started is awaited until it answers, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from splitbrain.harness.environment import Environment, EnvironmentFailure, Machine

START_PATIENCE_S = 10.0


Ready = Callable[[Environment, str], Awaitable[bool]]
"""A system's own `ready`."""


async def until_ready(ready: Ready, environment: Environment, machine: Machine) -> None:
    """Wait until the node answers. Raises EnvironmentFailure if it does not within `START_PATIENCE_S`."""
    try:
        # A `ready` that never returns is bounded as well.
        async with asyncio.timeout(START_PATIENCE_S) as limit:
            while not await ready(environment, machine.name):
                await asyncio.sleep(0.05)
    except TimeoutError:
        if not limit.expired():
            raise
        raise EnvironmentFailure(
            f"{machine.name} does not answer {START_PATIENCE_S:g} s after its start;"
            " its log in the run's folder may say why"
        ) from None
