"""Nodes on real hosts: containers of this machine, or any host that one can log in to.

`DockerEnvironment` is a place to run (`harness.environment.Environment`). Its parts work on any host with sshd,
Python 3 and iptables: `SshMachine` on an `SshConnection`, and `IptablesNetwork` between such machines.
`remove_leftovers` removes what killed runs have left. `python -m harness.hosts.image` builds the node image.
"""

from __future__ import annotations

from harness.hosts.docker import DockerEnvironment
from harness.hosts.iptables import IptablesNetwork
from harness.hosts.leftovers import remove_leftovers
from harness.hosts.machine import SshMachine
from harness.hosts.ssh import KeyPair, Login, SshConnection

__all__ = [
    "DockerEnvironment",
    "IptablesNetwork",
    "KeyPair",
    "Login",
    "SshConnection",
    "SshMachine",
    "remove_leftovers",
]
