"""The toys as a system under test. The same node runs in simulation and, by `toy_server`, on real machines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from splitbrain.harness.environment import Address, Environment, Machine, Program
from splitbrain.harness.interfaces import PROBES
from splitbrain.harness.seeds import split
from splitbrain.harness.system import Mutant, NodeImage, OperationFailed
from splitbrain.harness.systems.readiness import until_ready
from splitbrain.harness.systems.toys.simulated_toy import SimulatedToy
from splitbrain.harness.systems.toys.toy_client import ToyConnection
from splitbrain.harness.systems.toys.toy_defects import DEFECTS
from splitbrain.harness.systems.toys.toy_node import ToyNode

PORT = 7100
DATA = "/var/lib/splitbrain/data"
SOURCE = "/opt/splitbrain/splitbrain/harness/systems/toys"
SERVED = ("toy_objects", "toy_node", "toy_mistakes", "toy_defects", "toy_server")
"""The modules that a node on a real machine consists of."""


@dataclass(frozen=True)
class Toys:
    """The toys, configured. defect: the mistake that its nodes make, or ""."""

    defect: str = ""
    seed: int = 0
    name: str = "toys"
    interfaces: frozenset[str] = frozenset(PROBES)
    connections: Iterator[int] = field(default_factory=count, compare=False)

    @property
    def config(self) -> Mapping[str, str]:
        return {"defect": self.defect}

    @property
    def defects(self) -> Mapping[str, Mutant]:
        return {name: Mutant(defect.wrong, defect.seen, {"defect": name}) for name, defect in DEFECTS.items()}

    def configure(self, config: Mapping[str, str], *, seed: int, nodes: int) -> Toys:
        defect = config.get("defect", self.defect)
        if defect and defect not in DEFECTS:
            raise ValueError(f"defect={defect}: there is no such defect; give one of {', '.join(DEFECTS)}")
        return replace(self, defect=defect, seed=seed, connections=count())

    async def start(self, environment: Environment, machine: Machine) -> None:
        await machine.start(self._program(environment, machine.name))
        await until_ready(self.ready, environment, machine)

    async def ready(self, environment: Environment, node: str) -> bool:
        connection = await self.connect(environment, node)
        try:
            await connection.ask("ready", patience_s=0.5)
        except OperationFailed:
            return False
        finally:
            await connection.close()
        return True

    async def connect(self, environment: Environment, node: str) -> ToyConnection:
        # The moment is virtual in simulation, so this repeats; on real machines no two runs have the same clients.
        moment = asyncio.get_running_loop().time()
        client = f"{split(self.seed, f'client {next(self.connections)} at {moment!r}'):x}"
        return await ToyConnection(client, (environment.machines[node].host, PORT)).open(environment)

    def image(self) -> NodeImage:
        folder = Path(__file__).parent
        return NodeImage(files={f"{SOURCE}/{name}.py": (folder / f"{name}.py").read_bytes() for name in SERVED})

    def describe(self) -> Mapping[str, Any]:
        return dict(self.config)

    def _program(self, environment: Environment, node: str) -> Program:
        addresses: dict[str, Address] = {name: (each.host, PORT) for name, each in environment.machines.items()}
        make = DEFECTS[self.defect].node if self.defect else ToyNode
        command = ["python3", "-m", "splitbrain.harness.systems.toys.toy_server", node, DATA, self.defect or "none"]
        command += [f"{name}={host}:{port}" for name, (host, port) in addresses.items()]
        return Program(
            name="toy-server",
            command=tuple(command),
            data=DATA,
            simulate=lambda machine: SimulatedToy(machine, addresses, make),
        )


SYSTEM = Toys()
