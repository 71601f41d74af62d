"""Nodes on hosts that somebody else has set up: any Linux with sshd, Python 3, iptables, and the program.

1. Nothing is provisioned. What a host lacks, and whatever keeps one from it, is said before the start, one line for all
   hosts. A system's `image()` counts for nothing here.
2. One run at a time has a host. What a dead run has left there is removed first; a living run's, and a system that a
   run has kept, is left alone, and the hosts are refused.
3. `close` gives the hosts back as they were, or, if asked to keep, healed and with the system running. A cleaning that
   failed is reported, and never ends the run.
4. If this machine is gone, the hosts heal themselves (`lease`).
5. Packets must come from every node to every other one and to this machine and back, or no cut could be observed:
   looked at before the start.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence

from splitbrain.harness.environment import CLIENTS, EnvironmentFailure, Link, Network, OnDatagram, Progress
from splitbrain.harness.hosts.endpoint import UdpEndpoint
from splitbrain.harness.hosts.remote.host_login import each, enter, login_of
from splitbrain.harness.hosts.remote.host_needs import bring_shims, checked
from splitbrain.harness.hosts.remote.hosts_file import Host
from splitbrain.harness.hosts.remote.lease import Leases
from splitbrain.harness.hosts.remote.stay import Held, Stay
from splitbrain.harness.hosts.ssh import Login, SshConnection
from splitbrain.harness.hosts.ssh_cluster import SshCluster
from splitbrain.harness.hosts.ssh_machine import SshMachine

LOOK_INTERVAL_S = 1.0
SHOWN = 4
"""Links that a message names."""


class RemoteEnvironment:
    """An `environment.Environment` of hosts.

    hosts: those of the nodes, in order. spares: those on which nothing runs at first. file: which names them, for
    messages. keep: whether the system is left running at the end. seed: of what is drawn for degraded links.
    """

    name = "ssh"

    def __init__(
        self, hosts: Sequence[Host], spares: Sequence[Host] = (), *, file: str, keep: bool = False, seed: int = 0
    ) -> None:
        self.run = secrets.token_hex(4)
        self.members = [host.name for host in hosts]
        self._hosts = (*hosts, *spares)
        self._spared = bool(spares)
        self._file = file
        self._keep = keep
        self._cluster: SshCluster[SshMachine] = SshCluster(self.run, seed, "the hosts")
        self._progress: Progress = lambda line: None
        self._logins: dict[str, Login] = {}
        self._taking: list[asyncio.Task[None]] = []
        self._leases: Leases | None = None
        self._here = ""
        self._opened = False

    @property
    def abilities(self) -> frozenset[str]:
        return self._cluster.abilities | (frozenset({"spares"}) if self._spared else frozenset())

    @property
    def machines(self) -> Mapping[str, SshMachine]:
        return self._cluster.machines

    @property
    def network(self) -> Network:
        return self._cluster.network

    async def open(self, progress: Progress) -> None:
        """Log in to the hosts, see what they have, and take them.

        Raises EnvironmentFailure: one line for all hosts that can't be used, each by name.
        """
        self._progress = progress
        started = time.monotonic()
        connections = await each(self._entered(host) for host in self._hosts)
        kinds = await each(checked(connection) for connection in connections)
        stays = [Stay(connection, self.run) for connection in connections]
        # What is being taken is taken, whoever is cancelled: `close` has to know of it.
        self._taking = [asyncio.create_task(self._take(*pair)) for pair in zip(connections, stays, strict=True)]
        await each(asyncio.shield(task) for task in self._taking)
        self._leases = Leases(self.run, self._logins)
        machines = []
        for connection, stay in zip(connections, stays, strict=True):
            machine = SshMachine(connection.name, connection, stay.note)
            machine.preload.libraries = stay.libraries
            machines.append(machine)
        # A command that is under way on a host goes on there: what it makes must not come after the tidying up.
        bringing = [asyncio.create_task(self._bring(*pair)) for pair in zip(machines, kinds, strict=True)]
        self._taking += bringing
        await each(asyncio.shield(task) for task in bringing)
        await self._cluster.join(machines, progress)
        await self._see_packets()
        self._opened = True
        progress(f"{len(machines)} hosts are ready after {time.monotonic() - started:.1f} s (run {self.run})")

    async def close(self) -> None:
        """Give the hosts back. Idempotent; reports what could not be undone, and does not raise."""
        if self._taking:
            await asyncio.wait(self._taking)
        self._cluster.close()
        if self._leases is not None:
            self._leases.close()
        taken, self._taking = self._taking, []
        if not taken:
            return
        given_back = await asyncio.gather(*(self._give_back(*each) for each in self._logins.items()))
        for why in filter(None, given_back):
            self._progress(f"warning: {why}; `splitbrain clean --env ssh --hosts {self._file}` tries again")
        if self._keep and self._opened:
            self._progress(
                f"the system is left running on {', '.join(self.machines)}; "
                f"`splitbrain clean --env ssh --hosts {self._file}` ends it"
            )

    async def lost(self) -> str:
        """Which hosts are lost, and why; empty if none is."""
        if self._leases is None:
            return ""
        await self._leases.renew()
        return self._losses()

    async def watch(self) -> str:
        while not (loss := self._losses()):
            await asyncio.sleep(LOOK_INTERVAL_S)
        return loss

    async def endpoint(self, receive: OnDatagram) -> UdpEndpoint:
        """A socket where nodes see this machine: there, links of `CLIENTS` begin and end."""
        if not self._here:
            raise EnvironmentFailure("the hosts are not up; call open first")
        return UdpEndpoint(receive, self._here)

    def _losses(self) -> str:
        losses = {} if self._leases is None else self._leases.losses
        for name in losses:
            # Commands would wait for it.
            self.machines[name].close()
        return "; ".join(losses.values())

    async def _entered(self, host: Host) -> SshConnection:
        login = await login_of(host, self.run)
        connection = SshConnection(host.name, login)
        self._cluster.connections.append(connection)
        await enter(host, connection)
        self._logins[host.name] = login
        return connection

    async def _take(self, connection: SshConnection, stay: Stay) -> None:
        name = connection.name
        held = await stay.take()
        if held is not None and held.life == "dead" and not held.kept and held.run not in ("", self.run):
            self._progress(f"removing what run {held.run} ({held.by}) has left on {name}")
            undone = await Stay(connection, held.run).undo()
            if undone.failed:
                raise EnvironmentFailure(f"{name}: what run {held.run} has left stays: {'; '.join(undone.failed)}")
            held = await stay.take()
        if held is not None:
            raise EnvironmentFailure(f"{name} {_taken(held, self.run, self._file)}")

    async def _bring(self, machine: SshMachine, kind: str) -> None:
        why = await bring_shims(machine.connection, kind, machine.preload.libraries)
        if why:
            machine.preload.libraries = ""
            self._progress(f"no faults of clocks, disks and power on {machine.name}: {why}")

    async def _see_packets(self) -> None:
        """Raises EnvironmentFailure where packets don't come through: rule 5."""
        network = self._cluster.network
        addresses = sorted(set(network.clients.values()))
        families = {":" in address for address in addresses}
        if len(families) > 1:
            raise EnvironmentFailure(f"{self._file} gives addresses of IPv4 and IPv6; give those of one of them")
        silent = await network.silent()
        if silent:
            raise EnvironmentFailure(
                f"no packet comes {_links(silent)}, and no cut could be told from that; "
                "let UDP pass between the hosts, and between them and this machine"
            )
        # Several: this machine has an address in each of their networks, and its routes choose.
        self._here = addresses[0] if len(addresses) == 1 else ("::" if families == {True} else "0.0.0.0")

    async def _give_back(self, name: str, login: Login) -> str:
        """On a connection of its own: the others may hang. Returns what went wrong."""
        connection = SshConnection(name, login)
        stay = Stay(connection, self.run)
        try:
            if self._keep and self._opened:
                await stay.keep()
                return ""
            failed = (await stay.undo()).failed
        except EnvironmentFailure as failure:
            failed = [str(failure)]
        finally:
            connection.close()
        return f"not undone on {name}: {'; '.join(failed)}" if failed else ""


def _taken(held: Held, run: str, file: str) -> str:
    if held.stray:
        return f"runs a program of a run that has left no word of itself (process {held.stray}); end it there"
    if held.run == run:
        return "is the same machine as another host of the file; give every node one of its own"
    if held.kept:
        return (
            f"still runs what run {held.run} ({held.by}) has kept; `splitbrain clean --env ssh --hosts {file}` ends it"
        )
    return f"is taken by run {held.run} ({held.by}); wait for its end, or use other hosts"


def _links(links: Sequence[Link]) -> str:
    named = {CLIENTS: "this machine"}
    told = [f"from {named.get(a, a)} to {named.get(b, b)}" for a, b in links[:SHOWN]]
    return ", ".join(told) + (f" and over {len(links) - SHOWN} more links" if len(links) > SHOWN else "")
