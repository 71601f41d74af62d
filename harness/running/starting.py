"""Starting: all nodes of a system at the same time, then what it needs done once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from splitbrain.harness.environment import Environment, EnvironmentFailure
from splitbrain.harness.system import Preparable, System

PREPARE_S = 120.0
"""How long a system may take to prepare itself. A cluster of databases forms within some tens of seconds."""


async def start_all(system: System, environment: Environment, nodes: Sequence[str]) -> None:
    """Start these nodes, and prepare the system if it is `Preparable`.

    Raises the first failure once all starts have ended, and EnvironmentFailure if the preparation takes too long.
    """
    starts = (system.start(environment, environment.machines[node]) for node in nodes)
    for outcome in await asyncio.gather(*starts, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
    if not isinstance(system, Preparable):
        return
    try:
        async with asyncio.timeout(PREPARE_S) as limit:
            await system.prepare(environment)
    except TimeoutError:
        if not limit.expired():
            raise
        raise EnvironmentFailure(
            f"{system.name} was not prepared within {PREPARE_S:g} s; its nodes' logs in the run's folder may say why"
        ) from None
