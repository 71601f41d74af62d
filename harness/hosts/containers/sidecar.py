"""Sidecars: containers of the harness's own image, each beside the container of a node that has no sshd of its own.

1. A sidecar shares its node's network: what iptables and packet queues do there is done to the node.
2. Beside a node that the harness made, it shares the node's processes and shared memory too, and reaches the node's
   files through its first process. It holds no less than that process does, or the kernel would refuse.
3. Its sshd listens where no server does, for the port is the node's too.
"""

from __future__ import annotations

from docker.client import DockerClient
from docker.models.containers import Container

from splitbrain.harness.hosts.archive import archive
from splitbrain.harness.hosts.node_root import NodeRoot
from splitbrain.harness.hosts.ssh import KeyPair

# NET_ADMIN is for partitions and packet queues, NET_RAW for duplicates of packets. sshd needs the other three for its
# privilege separation: its unprivileged part runs in an empty folder, as another user.
CAPABILITIES = (
    *("NET_ADMIN", "NET_RAW"),
    *("SYS_CHROOT", "SETUID", "SETGID"),
    # Programs may run as a user of their own. Root gives them their files, reads what they wrote, and ends them.
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"),
)
# Neither a well-known service nor, on Linux, one that the kernel chooses for an outgoing connection.
PORT = 62_022
ROOT = "/proc/1/root"
"""A node's files, where its processes are shared."""


def create(
    client: DockerClient,
    node: Container,
    image: str,
    name: str,
    labels: dict[str, str],
    keys: bytes,
    *,
    processes: bool,
) -> Container:
    """A sidecar that is not started yet. keys: a tar of what `keys_of` gives. processes: it shares the node's."""
    shared = {"pid_mode": f"container:{node.id}", "ipc_mode": f"container:{node.id}"} if processes else {"init": True}
    container = client.containers.create(
        image,
        ["/usr/sbin/sshd", "-D", "-e", "-p", str(PORT)],
        name=name,
        labels=labels,
        network_mode=f"container:{node.id}",
        cap_drop=["ALL"],
        cap_add=[*CAPABILITIES],
        security_opt=["no-new-privileges"],
        **shared,
    )
    container.put_archive("/", keys)
    return container


def root_with(variables: tuple[str, ...]) -> NodeRoot:
    """The root of a node whose processes a sidecar shares. variables: those of its image."""
    return NodeRoot(ROOT, variables)


def keys_of(host: KeyPair, user: KeyPair) -> bytes:
    """The files that let the run, and only the run, into a container, as a tar."""
    files = {
        "etc/ssh/ssh_host_ed25519_key": host.private,
        "root/.ssh/authorized_keys": user.public.encode() + b"\n",
    }
    return archive(files)
