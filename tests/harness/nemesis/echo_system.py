"""A system under test of echoing processes: enough to kill, pause and be asked whether it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from splitbrain.harness.environment import Environment, Machine
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.simulation import SimulatedEnvironment
from splitbrain.harness.system import OperationFailed
from tests.harness.simulation.echo import PORT, Echo, program

ANSWER_S = 0.5


class EchoConnection:
    """Sends one datagram at a time to its node and waits for what comes back."""

    def __init__(self, environment: Environment, node: str) -> None:
        self._environment = environment
        self._node = node

    async def ask(self, datagram: bytes) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        endpoint = await self._environment.endpoint(lambda data, _: answer.done() or answer.set_result(data))
        try:
            async with asyncio.timeout(ANSWER_S):
                endpoint.send(datagram, (self._node, PORT))
                return await answer
        except TimeoutError:
            raise OperationFailed("silence", f"no answer from {self._node}", definite=False) from None
        finally:
            endpoint.close()

    async def invoke(self, invocation: Invocation) -> Completion:
        return Completion("ok", (await self.ask(invocation.f.encode()))[-4:].hex())

    async def close(self) -> None:
        """Nothing stays open between two questions."""


class EchoSystem:
    """Implements `harness.system.System` as far as nemeses need it. refusing: nodes that do not start."""

    name = "echo"
    config: Mapping[str, str] = {}
    interfaces: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.started: list[Echo] = []

    def configure(self, config: Mapping[str, str], *, seed: int, nodes: int) -> EchoSystem:
        return self

    async def start(self, environment: Environment, machine: Machine) -> None:
        await machine.start(program(self.started))
        while not await self.ready(environment, machine.name):
            await asyncio.sleep(0.01)

    async def connect(self, environment: Environment, node: str) -> EchoConnection:
        return EchoConnection(environment, node)

    async def ready(self, environment: Environment, node: str) -> bool:
        try:
            return await EchoConnection(environment, node).ask(b"hello") == b"hello"
        except OperationFailed:
            return False

    def describe(self) -> Mapping[str, Any]:
        return {}


async def echo_cluster(nodes: tuple[str, ...], *, seed: int) -> tuple[SimulatedEnvironment, EchoSystem]:
    """A simulated cluster on which the system runs."""
    environment, system = SimulatedEnvironment(nodes, seed=seed), EchoSystem()
    await environment.open(lambda text: None)
    for machine in environment.machines.values():
        await system.start(environment, machine)
    return environment, system
