"""Recovery: after the last heal, wait until every node serves again.

1. A node serves if it says that it is ready, and if a write and a read through it are answered: a node that answers
   only questions about its own state has not recovered.
2. The probe uses a key of its own, and nothing of it is recorded: no checker sees it.
3. The read need not return what was written. Where R + W <= N, a store may miss its last write and be right.
4. The wait is bounded, whatever the system's code does: a call that never returns is left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from splitbrain.harness import interfaces
from splitbrain.harness.environment import Environment
from splitbrain.harness.system import OperationFailed, System, VersionedStore

Probe = Callable[[Any], Awaitable[None]]
"""Writes and reads through a connection. Raises OperationFailed if it is not answered."""
PROBE_KEY = b"splitbrain/probe"
ATTEMPT_S = 5.0
PAUSE_S = 0.1
CLOSE_S = 5.0
"""How long what was given up may take to close its connections."""


async def write_and_read(connection: VersionedStore) -> None:
    """The probe of a `VersionedStore`."""
    found = await connection.get(PROBE_KEY)
    await connection.put(PROBE_KEY, b"probe", found.context)
    await connection.get(PROBE_KEY)


PROBES: Mapping[str, Probe] = {"VersionedStore": write_and_read, **interfaces.PROBES}
"""The probes of the interfaces that the harness knows. A workload for another interface brings its own."""


async def unrecovered(
    system: System, environment: Environment, nodes: Sequence[str], probe: Probe | None, limit_s: float
) -> Mapping[str, str]:
    """Wait until every node serves, at most `limit_s` seconds.

    probe: None asks only whether nodes are ready. Returns the nodes that do not serve, each with why; none if all do.
    Raises what the system raised, except for OperationFailed.
    """
    reasons = dict.fromkeys(nodes, "it did not answer")

    async def until_served(node: str) -> None:
        while reason := await _problem(system, environment, node, probe):
            reasons[node] = reason
            await asyncio.sleep(PAUSE_S)
        del reasons[node]

    tasks = [asyncio.create_task(until_served(node)) for node in nodes]
    try:
        await asyncio.wait(tasks, timeout=limit_s)
    finally:
        # Not awaited without end: a call may swallow its cancellation (rule 4).
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
    if left:
        await asyncio.wait(left, timeout=CLOSE_S)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()
    return reasons


async def _problem(system: System, environment: Environment, node: str, probe: Probe | None) -> str:
    """Why the node does not serve; empty if it does."""
    if not await system.ready(environment, node):
        return "it is not ready"
    if probe is None:
        return ""
    try:
        connection = await system.connect(environment, node)
    except OperationFailed as failed:
        return f"it takes no connection ({failed.code}: {failed})"
    try:
        async with asyncio.timeout(ATTEMPT_S) as limit:
            await probe(connection)
    except OperationFailed as failed:
        return f"it answers, but serves no write and read ({failed.code}: {failed})"
    except TimeoutError:
        if not limit.expired():
            raise
        return f"it answers, but serves no write and read within {ATTEMPT_S:g} s"
    finally:
        await connection.close()
    return ""
