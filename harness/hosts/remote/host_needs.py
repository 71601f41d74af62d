"""What a host must have, and what it is given: tools by name, and the libraries that are preloaded into programs.

1. What is missing is said before the start, by name and with the package that has it. Nothing is installed.
2. The shims are compiled here and brought along, into a folder of the run's own. Where they don't fit (another
   architecture, no compiler here, a file system without execution), faults that need them are no ability of that host.
"""

from __future__ import annotations

import platform
import shlex
import shutil
import socket
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.archive import archive
from splitbrain.harness.hosts.containers import shim_build
from splitbrain.harness.hosts.ssh import SshConnection

LAYERS = Path(__file__).parent.parent / "layers"
TOOLS = {
    "python3": "python3",
    "iptables": "iptables",
    "hostname": "hostname",
    "pgrep": "procps",
    "setsid": "util-linux",
    "tar": "tar",
    "find": "findutils",
    "realpath": "coreutils",
    "truncate": "coreutils",
}
"""What scripts on a node call, and Debian's package of it."""
PYTHON = (3, 8)
"""The oldest that runs the agents."""
_LOOK = f"""
for tool in {" ".join(TOOLS)}; do command -v "$tool" >/dev/null 2>&1 || echo "lacks $tool"; done
echo "is $(uname -s) $(uname -m)"
echo "at $(hostname -I 2>/dev/null)"
echo "ssh $SSH_CONNECTION"
python3 -c 'import sys; print("python", *sys.version_info[:2])' 2>/dev/null || :
"""


async def checked(connection: SshConnection) -> str:
    """The host's architecture, as "x86_64".

    Raises EnvironmentFailure if it is no Linux, lacks something, or is reached where addresses are translated.
    """
    said = [line.split() for line in (await connection.check(_LOOK)).text.splitlines()]
    lacking = [words[1] for words in said if words[:1] == ["lacks"] and words[1:2] and words[1] in TOOLS]
    if lacking:
        packages = " ".join(dict.fromkeys(TOOLS[tool] for tool in lacking))
        raise EnvironmentFailure(
            f"{connection.name} lacks {', '.join(lacking)}; install that there (`apt-get install {packages}`)"
        )
    kind = next((words[1:] for words in said if words[:1] == ["is"]), [])
    if kind[:1] != ["Linux"]:
        raise EnvironmentFailure(f"{connection.name} is no Linux ({' '.join(kind)[:40]}); leave it out of the file")
    version = next((words[1:3] for words in said if words[:1] == ["python"]), [])
    if not all(word.isdecimal() for word in version) or tuple(map(int, version)) < PYTHON:
        raise EnvironmentFailure(
            f"{connection.name} has Python {'.'.join(version) or '(one that does not start)'}; "
            f"install {'.'.join(map(str, PYTHON))} or newer there, as python3"
        )
    _see_addresses(connection, said)
    return " ".join(kind[1:2])


def _see_addresses(connection: SshConnection, said: Sequence[Sequence[str]]) -> None:
    """Peers talk to the address at which it is reached, and clients wait for answers where it sees them."""
    own = next((words[1:] for words in said if words[:1] == ["at"]), [])
    if connection.host not in own:
        raise EnvironmentFailure(
            f"{connection.name} is reached at {connection.host}, which is no address of its own ({' '.join(own)[:80]});"
            " where something translates addresses, run splitbrain inside the hosts' network"
        )
    clients = next((words[1] for words in said if words[:1] == ["ssh"] and len(words) == 5), "")
    if not clients:
        raise EnvironmentFailure(
            f"{connection.name} does not say from where it is reached; see whether its sshd sets SSH_CONNECTION"
        )
    try:
        with socket.socket(socket.AF_INET6 if ":" in clients else socket.AF_INET, socket.SOCK_DGRAM) as trial:
            trial.bind((clients, 0))
    except OSError:
        raise EnvironmentFailure(
            f"{connection.name} sees this machine at {clients[:40]}, which is no address of its own: no answer comes "
            "back; where something translates addresses, run splitbrain inside the hosts' network"
        ) from None


async def bring_shims(connection: SshConnection, machine: str, folder: str) -> str:
    """Put the shims into a folder on the host, and see that they load. Returns why they can't be used; "" if they can.

    machine: its architecture. Raises EnvironmentFailure if the connection is lost.
    """
    if machine != platform.machine():
        return f"it is {machine}, and this machine compiles for {platform.machine()}"
    try:
        libraries = _shims()
    except EnvironmentFailure as failure:
        return str(failure)
    where = shlex.quote(folder)
    loaded = " && ".join(
        f'LD_PRELOAD={where}/{name} cat /proc/self/maps 2>/dev/null | grep -q "{name}"' for name in sorted(libraries)
    )
    brought = await connection.run(
        f"mkdir -p {where} && tar -xf - -C {where} --no-same-owner && {loaded}", stdin=archive(libraries, 0o755)
    )
    said = brought.excerpt.splitlines()
    return "" if brought.status == 0 else (said[-1] if said else f"what lies in {folder} can't be preloaded")


@cache
def _shims() -> dict[str, bytes]:
    if shutil.which("cc") is None:
        raise EnvironmentFailure("this machine has no C compiler (`apt-get install gcc libc6-dev`)")
    return shim_build.compiled({name: (LAYERS / name).read_bytes() for name in shim_build.SOURCES})
