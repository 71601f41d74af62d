"""A bench for programs: machines with asyncio programs on them, and a scenario that plays with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from splitbrain.harness.environment import Program
from splitbrain.harness.simulation import LinkConditions, SimulatedEnvironment, run_simulated
from splitbrain.harness.simulation.programs import asyncio_program
from splitbrain.harness.simulation.simulated_machine import SimulatedMachine

NODES = ("n1", "n2", "n3")


class Bench:
    """Three machines, on which nothing runs yet."""

    def __init__(self, environment: SimulatedEnvironment) -> None:
        self.environment = environment

    def machine(self, name: str) -> SimulatedMachine:
        return self.environment.machines[name]

    async def start(self, name: str, main: Callable[..., Awaitable[Any]], *args: Any) -> None:
        await self.machine(name).start(Program("program", (), simulate=asyncio_program(main, *args)))

    async def log(self, name: str) -> list[str]:
        """What the program printed, without the times."""
        text = (await self.machine(name).logs())["program.log"].decode()
        return [line[13:] if line[:12].strip().replace(".", "").isdigit() else line for line in text.splitlines()]

    async def cut(self, one: str, other: str) -> None:
        """Both ways."""
        await self.environment.network.cut([(one, other), (other, one)])


def on_machines(
    scenario: Callable[[Bench], Awaitable[Any]], *, seed: int = 1, conditions: LinkConditions | None = None
) -> Any:
    async def main() -> Any:
        bench = Bench(SimulatedEnvironment(NODES, seed=seed, conditions=conditions))
        await bench.environment.open(lambda text: None)
        try:
            return await scenario(bench)
        finally:
            await bench.environment.close()

    return run_simulated(main)
