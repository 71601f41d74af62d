"""Reached machines: what the network between real machines has to know of each."""

from __future__ import annotations

from typing import Protocol

from splitbrain.harness.hosts.ssh import SshConnection


class Reached(Protocol):
    """A machine that one can log in to as root.

    name: the node's. host: its address. connection: to it, or to what shares its network. Both may be others after
    `present` was false for a while.
    """

    name: str
    host: str
    connection: SshConnection

    async def present(self) -> bool:
        """Whether there is a network of it now, with the rules in it."""
