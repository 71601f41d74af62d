"""Whether a system can be simulated: asked before the run, of the program that it would start.

1. The system's own `start` is carried out up to the moment at which it gives a machine its program, and no further.
2. What can't be told so (it awaits something else first, or fails) is left to the run.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from splitbrain.harness.environment import Environment, Machine, Program
from splitbrain.harness.running.interrupts import interrupting
from splitbrain.harness.system import System


class _Given(BaseException):
    """The program has been given to a machine; no code of a system's catches this."""

    def __init__(self, program: Program) -> None:
        self.program = program


@dataclass(frozen=True)
class _Machine:
    """A machine that takes a program, and does nothing."""

    name: str
    host: str

    async def start(self, program: Program) -> NoReturn:
        raise _Given(program)


@dataclass(frozen=True)
class _Environment:
    """Machines, and nothing else of an environment."""

    machines: Mapping[str, _Machine]

    @property
    def members(self) -> list[str]:
        return list(self.machines)


def unsimulated_program(system: System, nodes: Sequence[str]) -> str:
    """The name of the program that a system starts and that can't be simulated; "" if there is none known."""
    machines = {node: _Machine(node, f"10.0.0.{number}") for number, node in enumerate(nodes, 1)}
    starting = system.start(cast("Environment", _Environment(machines)), cast("Machine", machines[nodes[0]]))
    coroutine: Any = starting
    try:
        if inspect.iscoroutine(coroutine):
            coroutine.send(None)
            coroutine.close()
    except _Given as given:
        return "" if given.program.simulate is not None else given.program.name
    except BaseException as problem:
        if interrupting(problem):
            raise
        # Else the run shows it, with its place.
    return ""
