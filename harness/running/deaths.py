"""Deaths: nodes whose program ended by itself, with how it ended and the end of their logs.

1. After the last heal every program should run. One that does not has died by itself, and is named.
2. Asking is bounded, and a node that can't be asked is nobody's death: the environment's own watch reports it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from splitbrain.harness.environment import Environment, Machine

ASK_S = 10.0
LOG_LINES = 3
LOG_CHARACTERS = 600


async def deaths(environment: Environment, known: Collection[str]) -> dict[str, str]:
    """A sentence about each node that died, by its name.

    known: nodes that were found dead before, and started again since.
    """
    nodes = list(environment.members)
    found = await asyncio.gather(*(_runs(environment.machines[node]) for node in nodes))
    died = dict.fromkeys([*known, *(node for node, runs in zip(nodes, found, strict=True) if not runs)])
    return {node: await _sentence(environment, node) for node in died}


async def _sentence(environment: Environment, node: str) -> str:
    ended = environment.machines[node].ended
    how = f" ({ended})" if ended else ""
    return f"{node} died by itself{how}: nobody killed its process; {await log_end(environment, node)}"


async def log_end(environment: Environment, node: str) -> str:
    """The last lines that a node wrote, for people."""
    try:
        async with asyncio.timeout(ASK_S):
            logs = await environment.machines[node].logs()
    except Exception:  # It was asked for the sake of a note.
        return "its log can't be had"
    # Decoded at its end only: a log may have megabytes.
    lines = [line for log in logs.values() for line in log[-LOG_CHARACTERS:].decode("utf-8", "replace").splitlines()]
    said = " | ".join(line.strip() for line in lines[-LOG_LINES:] if line.strip())
    return f"its log ends: {said}" if said else "its log is empty"


async def _runs(machine: Machine) -> bool:
    try:
        async with asyncio.timeout(ASK_S):
            return await machine.running()
    except Exception:
        return True
