"""Operations of a nemesis, as a played schedule makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from splitbrain.harness.nemesis.families import families
from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.nemesis.play import invocation
from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.nemesis.targets import Targets
from splitbrain.harness.operation import Nemesis
from splitbrain.harness.simulation import SimulatedEnvironment, run_simulated
from tests.harness.nemesis.echo_system import EchoSystem, echo_cluster
from tests.harness.simulation.echo import PORT

NODES = ("n1", "n2", "n3", "n4", "n5")
TARGETS = Targets(NODES, expendable=("n1", "n2"))


class Striking:
    """One family's nemesis on an echo cluster. evidence: of the operation before."""

    def __init__(self, name: str, environment: SimulatedEnvironment, system: EchoSystem) -> None:
        self.family: FaultFamily = families()[name]
        self.environment = environment
        self.system = system
        self.nemesis: Nemesis = self.family.nemesis(environment, system)
        self._writing: list[asyncio.Task[None]] = []

    async def start(self, number: int = 0, **how: Any) -> Mapping[str, Any]:
        """Start a strike. Returns its evidence."""
        return await self._do("start", Strike(number, self.family.name, 0.0, 1.0, how))

    async def stop(self, number: int = 0, **how: Any) -> Mapping[str, Any]:
        """Stop it. Returns the evidence."""
        return await self._do("stop", Strike(number, self.family.name, 0.0, 1.0, how))

    async def stop_all(self) -> Mapping[str, Any]:
        """The stop without a strike."""
        return await self._do("stop", None)

    async def _do(self, phase: str, strike: Strike | None) -> Mapping[str, Any]:
        done = await self.nemesis.invoke(invocation(self.family, phase, strike))
        evidence: Mapping[str, Any] = done["evidence"]
        return evidence

    def write(self, *nodes: str) -> None:
        """From now on these nodes are asked to store something all the time."""
        self._writing += [asyncio.create_task(self._write(node)) for node in nodes]

    async def _write(self, node: str) -> None:
        endpoint = await self.environment.endpoint(lambda datagram, source: None)
        while True:
            endpoint.send(b"add", (node, PORT))
            await asyncio.sleep(0.01)


def with_nemesis(name: str, scenario: Callable[[Striking], Awaitable[None]], *, seed: int = 1) -> None:
    """Run the scenario with that family's nemesis, on five nodes."""

    async def main() -> None:
        await scenario(Striking(name, *await echo_cluster(NODES, seed=seed)))

    run_simulated(main)


def aims(name: str, *, seed: int = 3, turns: int = 40) -> list[Mapping[str, Any]]:
    """What the family's first strikes are."""
    return [families()[name].aim(TARGETS, seed, turn) for turn in range(turns)]
