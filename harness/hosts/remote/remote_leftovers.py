"""What dead runs have left on hosts: found by its marker, and removed if its run is dead or has kept its system.

1. What a living run has is not touched. A run on another machine lives as long as it renews its lease.
2. If one host can't be cleaned, the others still are.
"""

from __future__ import annotations

import asyncio

from splitbrain.harness.environment import EnvironmentFailure, Progress
from splitbrain.harness.hosts.remote.host_login import each, enter, login_of
from splitbrain.harness.hosts.remote.hosts_file import Host, read_hosts
from splitbrain.harness.hosts.remote.stay import Stay
from splitbrain.harness.hosts.ssh import SshConnection


def clean_hosts(file: str, progress: Progress = lambda line: None) -> list[str]:
    """Clean the hosts of a file; returns each thing removed, as "2 processes (run 1a2b3c4d on n1)".

    Raises HostsFileProblem for the file; after the others were cleaned, EnvironmentFailure for hosts that can't be.
    """
    hosts = read_hosts(file)

    async def clean_all() -> list[str]:
        removed = await each(_cleaned(host, progress) for host in hosts)
        return [line for lines in removed for line in lines]

    return asyncio.run(clean_all())


async def _cleaned(host: Host, progress: Progress) -> list[str]:
    connection = SshConnection(host.name, await login_of(host, ""))
    try:
        await enter(host, connection)
        held = await Stay(connection, "").look()
        if held is None:
            return []
        if held.life == "alive" and not held.kept:
            progress(f"left alone: run {held.run} ({held.by}) on {host.name}, which goes on")
            return []
        undone = await Stay(connection, held.run).undo()
        if undone.failed:
            raise EnvironmentFailure(f"not removed on {host.name}: {'; '.join(undone.failed)}")
        return [f"{what} (run {held.run} on {host.name})" for what in undone.removed or ["the marker"]]
    finally:
        connection.close()
