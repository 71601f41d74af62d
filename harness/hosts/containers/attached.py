"""What a run does to containers that are somebody else's, and how all of it is undone.

1. What has to be known to undo it is on the sidecar's labels before anything is done. So it is undone as well if the
   harness is killed: by `splitbrain clean`, or by the next run.
2. The engine would start a killed node again by its restart policy, and the node would never have been down. So the
   policy is set aside during the run, and put back at its end.
3. One run at a time is attached to a container.
4. At the end the node runs, with the id it had, and nothing of the run is left in its network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docker.client import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.containers import sidecar
from splitbrain.harness.hosts.rules import TOOLS, cleared

NODE_LABEL = "splitbrain.node"
"""On a sidecar: the id of the container that was there before."""
POLICY_LABEL = "splitbrain.restart"
"""Its restart policy, as "name:most"."""


def policy_of(node: Container) -> str:
    """The restart policy of a container, as a label keeps it; "" for none."""
    policy: Mapping[str, object] = node.attrs["HostConfig"].get("RestartPolicy") or {}
    name = str(policy.get("Name") or "no")
    return "" if name == "no" else f"{name}:{policy.get('MaximumRetryCount') or 0}"


def set_policy(node: Container, policy: str) -> None:
    """Set a container's restart policy. policy: as of `policy_of`."""
    name, _, most = policy.partition(":")
    retries = int(most) if name == "on-failure" and most.isdecimal() else 0
    wanted: Any = {"Name": name or "no", "MaximumRetryCount": retries}
    node.update(restart_policy=wanted)


def refuse_attached(client: DockerClient, containers: Mapping[str, str]) -> None:
    """Two runs on one project would undo each other's faults. containers: their ids, by node.

    Raises EnvironmentFailure naming a node beside which a run has put a sidecar.
    """
    nodes = {container: node for node, container in containers.items()}
    for beside in client.containers.list(all=True, filters={"label": NODE_LABEL}, ignore_removed=True):
        node = nodes.get(beside.labels[NODE_LABEL])
        if node is not None:
            raise EnvironmentFailure(
                f"another run tests {node} ({beside.name} is beside it); wait for its end, or `splitbrain clean` if it "
                "was killed"
            )


def attach(
    client: DockerClient, node: Container, image: str, name: str, labels: dict[str, str], keys: bytes
) -> Container:
    """A sidecar beside a container that is somebody else's. Raises DockerException."""
    policy = policy_of(node)
    marks = {**labels, NODE_LABEL: str(node.id), POLICY_LABEL: policy}
    beside = sidecar.create(client, node, image, name, marks, keys, processes=False)
    if policy:
        set_policy(node, "")
    beside.start()
    beside.reload()
    return beside


def detach(client: DockerClient, beside: Container, chain: str) -> None:
    """Undo all that a run did to a sidecar's node; the sidecar stays. chain: the run's. Takes about a second.

    It works whatever became of the sidecar, and two may do it at once. Raises DockerException if rules of the run are
    left, or if the engine refuses something.
    """
    labels: Mapping[str, str] = beside.labels
    try:
        node = client.containers.get(labels[NODE_LABEL])
    except NotFound:
        return
    if labels.get(POLICY_LABEL):
        set_policy(node, labels[POLICY_LABEL])
    state = node.attrs["State"]
    if state["Running"]:
        # A kernel may have no IPv6 to clear.
        tools = [f"if {TOOLS[each]} -S >/dev/null 2>&1; then\n{cleared(chain, [each])}fi\n" for each in TOOLS]
        client.containers.run(
            str(beside.attrs["Image"]),
            ["sh", "-c", "".join(tools)],
            labels={name: value for name, value in labels.items() if name not in (NODE_LABEL, POLICY_LABEL)},
            network_mode=f"container:{node.id}",
            cap_drop=["ALL"],
            cap_add=["NET_ADMIN", "NET_RAW"],
            remove=True,
        )
    if state["Paused"]:
        node.unpause()
    if not state["Running"]:
        node.start()
