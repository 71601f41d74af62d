"""The environment `sim`: every node in this process, in virtual time, from one seed.

1. It only works on a VirtualLoop (`run_simulated`).
2. Clients share one host, outside the cluster. What they open by asyncio, such as a stream, is a socket of that host: a
   connection that works on real machines works here.
3. It can do all that an environment may be able to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from splitbrain.harness.environment import ABILITIES, CLIENTS, Endpoint, EnvironmentFailure, OnDatagram, Progress
from splitbrain.harness.seeds import split
from splitbrain.harness.simulation.loop import VirtualLoop
from splitbrain.harness.simulation.network import LinkConditions, SimulatedNetwork
from splitbrain.harness.simulation.programs.addresses import CLIENT_HOST, Addresses
from splitbrain.harness.simulation.programs.sockets import HostSockets
from splitbrain.harness.simulation.programs.tcp import SimulatedTcp
from splitbrain.harness.simulation.simulated_machine import SimulatedMachine


class SimulatedEnvironment:
    """Implements `environment.Environment`.

    nodes: names. spares: names of machines on which nothing runs at first. seed: for network, disks and processes.
    conditions: of every link at first.
    """

    name = "sim"
    abilities = ABILITIES

    def __init__(
        self,
        nodes: Sequence[str],
        *,
        seed: int,
        spares: Sequence[str] = (),
        conditions: LinkConditions | None = None,
    ) -> None:
        self.members = list(nodes)
        self._nodes = (*nodes, *spares)
        self._seed = seed
        self._conditions = conditions
        self._network: SimulatedNetwork | None = None
        self._machines: dict[str, SimulatedMachine] = {}
        self._clients = 0

    @property
    def machines(self) -> Mapping[str, SimulatedMachine]:
        return self._machines

    @property
    def network(self) -> SimulatedNetwork:
        if self._network is None:
            raise EnvironmentFailure("the simulated network is not open; call `open` first")
        return self._network

    async def open(self, progress: Progress) -> None:
        """Make network and machines. Raises EnvironmentFailure on any loop but a VirtualLoop."""
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise EnvironmentFailure("a simulation needs virtual time; run it through run_simulated")
        network = SimulatedNetwork(loop, self._nodes, seed=split(self._seed, "network"), conditions=self._conditions)
        self._network = network
        self._machines = {
            name: SimulatedMachine(name, loop, network, seed=split(self._seed, f"machine {name}"))
            for name in self._nodes
        }
        tcp = SimulatedTcp(CLIENT_HOST, loop, network, seed=split(self._seed, "clients"))
        loop.sockets = HostSockets(
            loop, tcp, Addresses(self._nodes), lambda port, receive: network.bind((CLIENT_HOST, port), receive)
        )
        progress(f"{len(self._nodes)} simulated nodes")

    async def close(self) -> None:
        for machine in self._machines.values():
            await machine.kill()

    async def lost(self) -> str:
        return ""

    async def watch(self) -> str:
        # No timer: where nothing else is set either, the loop can tell that it would wait for ever.
        nothing: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await nothing

    async def endpoint(self, receive: OnDatagram) -> Endpoint:
        self._clients += 1
        return self.network.bind((CLIENTS, self._clients), receive)
