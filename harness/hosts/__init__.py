"""Nodes on real hosts: containers of this machine, or any host that one can log in to.

`DockerEnvironment` and `RemoteEnvironment` are places to run (`environment.Environment`). Their parts work on any host
with sshd, Python 3 and iptables: `SshMachine` on an `SshConnection`, and `IptablesNetwork` between such machines.
`preload` makes clocks and disks fail, `degrade` makes links bad, and `agent` has what runs on a node for that.
`remove_leftovers` removes what killed runs have left in an engine, `clean_hosts` what they have left on hosts, and
`remove_unneeded_images` what earlier versions built. Begin reading at `containers`.
"""

from __future__ import annotations

from splitbrain.harness.hosts.containers.docker import DockerEnvironment
from splitbrain.harness.hosts.containers.leftovers import remove_leftovers
from splitbrain.harness.hosts.containers.unneeded_images import remove_unneeded_images
from splitbrain.harness.hosts.iptables import IptablesNetwork
from splitbrain.harness.hosts.remote.remote_environment import RemoteEnvironment
from splitbrain.harness.hosts.remote.remote_leftovers import clean_hosts
from splitbrain.harness.hosts.ssh import KeyPair, Login, SshConnection
from splitbrain.harness.hosts.ssh_machine import SshMachine

__all__ = [
    "DockerEnvironment",
    "IptablesNetwork",
    "KeyPair",
    "Login",
    "RemoteEnvironment",
    "SshConnection",
    "SshMachine",
    "clean_hosts",
    "remove_leftovers",
    "remove_unneeded_images",
]
