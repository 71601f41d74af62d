"""Injection: one operation of the nemesis, performed within bounds.

1. An action that raises had no effect, and the run goes on: what it raised is its evidence.
2. What the nemesis raises that is no failure of the environment or the system is a crash of the harness, and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from splitbrain.checkers.error_origin import at_origin
from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.operation import Invocation, Nemesis
from splitbrain.harness.running.interrupts import interrupting, named, said
from splitbrain.harness.system import OperationFailed

NEMESIS_TIMEOUT_S = 60.0
"""For restarting a node and waiting for its answer; a nemesis that hangs must not hang the run."""


async def injected(
    nemesis: Nemesis | None, invocation: Invocation, crashes: list[str], ending: Callable[[], bool]
) -> tuple[Any, str | None]:
    """Perform it. Returns the completion's value, with evidence, and its error.

    crashes: is given those of rule 2. ending: whether the run is being ended, so that a cancellation is ours.
    Raises what ends the run.
    """
    try:
        if nemesis is None:
            raise EnvironmentFailure(f"there is no nemesis for {invocation.f}; give the interpreter one")
        async with asyncio.timeout(NEMESIS_TIMEOUT_S):
            return await nemesis.invoke(invocation), None
    except BaseException as problem:
        if ending() or interrupting(problem):
            raise
        text = said(problem) or type(problem).__name__
        match problem:
            case EnvironmentFailure():
                error = f"environment: {text}"
            case OperationFailed():
                error = f"{problem.code}: {text}"
            case TimeoutError():
                text = f"not done within {NEMESIS_TIMEOUT_S:g} s"
                error = f"timeout: {text}"
            case _:
                error = f"crash: {named(problem)}"
                crashes.append(at_origin(f"{invocation.f}: {error}", problem))
        return {**(invocation.value or {}), "evidence": {"effective": False, "detail": text}}, error
