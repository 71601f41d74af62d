"""The machines of a run that one has logged in to, and the network between them: what every real environment has.

1. Machines are reached one by one, by whoever knows how they come to be. Once all are, `join` makes one network of
   them.
2. Before that, `abilities` are those of such machines as such. Then they are those of their kernels too, and once
   programs were started, those that reach every one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

from splitbrain.harness.environment import EnvironmentFailure, Progress
from splitbrain.harness.hosts.containers.composed_machine import ComposedMachine
from splitbrain.harness.hosts.iptables import IptablesNetwork
from splitbrain.harness.hosts.ssh import SshConnection
from splitbrain.harness.hosts.ssh_machine import SshMachine

ABILITIES = frozenset({"cut", "cut-clients", "degrade", "kill", "terminate", "pause", "wipe", "flip-bit"})
PRELOADED = frozenset({"clock", "power-cut", "torn-write", "full-disk", "failing-disk", "stalled-disk"})
"""What a shim in the program does."""


Reached = TypeVar("Reached", bound="SshMachine | ComposedMachine")


class SshCluster(Generic[Reached]):
    """The machines of one run. run: its id. seed: of what is drawn for degraded links. what: as "the hosts"."""

    def __init__(self, run: str, seed: int, what: str) -> None:
        self.run = run
        self.machines: dict[str, Reached] = {}
        self.connections: list[SshConnection] = []
        """Those to be closed with it, also of machines that were never reached."""
        self._seed = seed
        self._what = what
        self._network: IptablesNetwork | None = None

    @property
    def abilities(self) -> frozenset[str]:
        made = [machine for machine in self.machines.values() if isinstance(machine, SshMachine)]
        reached = all(machine.preload.possible for machine in made)
        queued = self._network is None or not self._network.obstacle
        return (ABILITIES if queued else ABILITIES - {"degrade"}) | (PRELOADED if reached else frozenset())

    @property
    def joined(self) -> bool:
        """Whether there is a network."""
        return self._network is not None

    @property
    def network(self) -> IptablesNetwork:
        """Raises EnvironmentFailure before `join`."""
        if self._network is None:
            raise EnvironmentFailure(f"{self._what} are not up; call open first")
        return self._network

    async def join(
        self,
        machines: Sequence[Reached],
        progress: Progress,
        turn: asyncio.Lock | None = None,
    ) -> None:
        """Make one network of these machines, and tell what can't be done there. Raises EnvironmentFailure.

        turn: held by whoever works on the network, if machines do so too.
        """
        self.machines = {machine.name: machine for machine in machines}
        self._network = IptablesNetwork(self.machines, self.run, self._seed, turn)
        without = await self._network.open()
        if self._network.obstacle:
            progress(f"no link can be degraded here: {self._network.obstacle}")
        if without:
            progress(f"no IPv6 on {', '.join(without)}: there is none to cut")

    def close(self) -> None:
        """Stop what runs on the machines for the network, and hang up. Idempotent."""
        if self._network is not None:
            self._network.close()
        for connection in self.connections:
            connection.close()
