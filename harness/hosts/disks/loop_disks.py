"""Loop disks: each node's state on a file system of its own, whose disk is a file. A power cut takes what is not in it.

1. What a program wrote and did not sync is in the kernel's memory. A copy of the file, taken while the program is down,
   has what the disk has. Mounted, with its journal replayed, it is what the machine would find after a power cut.
2. The copy is taken again until the file did not change meanwhile: the kernel writes back when it likes.
3. Afterwards the node's folder is made what it is in the copy (`agent/roll_back.py`), and synced. The file system
   itself stays mounted, so the node's container notices nothing.
4. All of it is done in one container of the run's own, beside the nodes, which may mount and sees the loop devices.
   The nodes' own may do nothing more than without. Loop devices are let go of once they are mounted: the kernel frees
   them when the last container is removed.
5. What the kernel had written back before, by its own timers, survives, as on any machine. So a cut may tear a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import msgspec
from docker.client import DockerClient
from docker.models.containers import Container

from splitbrain.harness.environment import EnvironmentFailure, PowerCut
from splitbrain.harness.hosts.containers import leftovers
from splitbrain.harness.hosts.containers.engine import refusals

COPIES_MOST = 20
SAID_MOST = 300
_AGENT = Path(__file__).parents[1] / "agent"
_MAKE = """
set -e
mkdir -p /live/"$1" /cut/"$1"
truncate -s "$2"M /disks/"$1"
mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 /disks/"$1"
device=$(losetup --find --show /disks/"$1")
mount -t ext4 "$device" /live/"$1"
losetup --detach "$device"
rmdir /live/"$1"/lost+found
chmod 711 /live/"$1"
sync -f /live/"$1"
echo "$device"
"""
_CUT = """
set -e
python3 -c "$4" /disks/"$1" /disks/"$1".cut "$5" || { echo "the disk does not come to rest"; exit 3; }
device=$(losetup --find --show /disks/"$1".cut)
mount -t ext4 "$device" /cut/"$1" || { losetup --detach "$device"; exit 3; }
losetup --detach "$device"
trap 'umount /cut/"$1"; rm -f /disks/"$1".cut' EXIT
mkdir -p /cut/"$1/$2" /live/"$1/$2"
python3 -c "$3" /live/"$1/$2" /cut/"$1/$2"
sync -f /live/"$1"
"""


class Undone(msgspec.Struct):
    """What the roll-back answers."""

    undone: Annotated[int, msgspec.Meta(ge=0)]
    undone_bytes: Annotated[int, msgspec.Meta(ge=0)]


class LoopDisks:
    """The disks of one run's nodes.

    run: its id. state: where a node's volume is mounted there. Methods block.
    """

    def __init__(self, client: DockerClient, run: str, state: str) -> None:
        self._client = client
        self._run = run
        self._state = PurePosixPath(state)
        self._helper: Container | None = None

    def open(self, image: str, nodes: Sequence[str], size_mib: int) -> None:
        """Make a disk and a volume on it for each node; the volumes are called `splitbrain-RUN-NODE`.

        Raises EnvironmentFailure where the engine allows no container that mounts, or its kernel has no loop devices.
        What was made by then is removed by the run's label.
        """
        name, marks = f"splitbrain-{self._run}-disks", leftovers.labels(self._run)
        with refusals("start a container that may mount, for disks of nodes"):
            self._client.volumes.create(name, labels=marks)
            self._helper = self._client.containers.run(
                image,
                ["sleep", "infinity"],
                name=name,
                labels=marks,
                detach=True,
                init=True,
                cap_add=["SYS_ADMIN"],
                device_cgroup_rules=["b 7:* rwm", "c 10:237 rwm"],
                security_opt=["apparmor=unconfined", "seccomp=unconfined"],
                network_mode="none",
                volumes={name: {"bind": "/disks", "mode": "rw"}, "/dev": {"bind": "/dev", "mode": "rw"}},
            )
        for node in nodes:
            device = self._do(
                f"a disk for {node} can't be made; it needs loop devices and ext4 where the engine runs",
                _MAKE,
                node,
                str(size_mib),
            ).strip()
            with refusals(f"make a volume on the disk of {node}"):
                options = {"type": "ext4", "device": device}
                self._client.volumes.create(f"splitbrain-{self._run}-{node}", driver_opts=options, labels=marks)

    def folder(self, node: str, data: str | None) -> str:
        """A data folder, as `cut` wants it. Raises EnvironmentFailure if it is not on the node's disk."""
        if data is None or not PurePosixPath(data).is_relative_to(self._state):
            raise EnvironmentFailure(
                f"the program on {node} keeps its data at {data}, which is not on the node's own disk, so no power cut "
                f"can be made; give Program.data below {self._state}, or leave that fault out"
            )
        return PurePosixPath(data).relative_to(self._state).as_posix()

    def cut(self, node: str, folder: str) -> PowerCut:
        """Take what is not on the disk from that folder. Only while the node's program is not running."""
        scripts = [(_AGENT / f"{name}.py").read_text() for name in ("roll_back", "still_copy")]
        said = self._do(
            f"{node} can't be cut off from power; leave that fault out", _CUT, node, folder, *scripts, str(COPIES_MOST)
        )
        try:
            undone = msgspec.json.decode(said, type=Undone)
        except ValueError as problem:
            raise EnvironmentFailure(f"the roll-back of {node} answers with what can't be: {problem}") from None
        return PowerCut(undone.undone, undone.undone_bytes)

    def _do(self, otherwise: str, script: str, *arguments: str) -> str:
        """Run a script in the helper. Returns what it printed."""
        if self._helper is None:
            raise EnvironmentFailure("the disks are not made yet; call open first")
        with refusals("run a command beside the nodes"):
            status, output = self._helper.exec_run(["sh", "-c", script, "sh", *arguments], demux=True)
        printed, complaint = (bytes(each or b"").decode(errors="replace") for each in output)
        if status != 0:
            said = " ".join(f"{complaint} {printed}".split())[:SAID_MOST]
            raise EnvironmentFailure(f"{otherwise} ({said or 'no reason was given'})")
        return printed
