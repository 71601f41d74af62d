"""Who made what a run leaves on machines: a process, identified so that no other can be mistaken for it.

1. A process id alone says little: ids are used again. With the moment of its start, its boot and its namespace it is
   one process for ever.
2. A process on another machine, or in another namespace, can't be seen from here: whether it lives is unknown.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from splitbrain.harness.doors import guard

Life = Literal["alive", "dead", "unknown"]


@dataclass(frozen=True, slots=True)
class Owner:
    """A process on some machine. born: in clock ticks since the boot. place: machine/boot/namespace."""

    pid: int
    born: str
    place: str

    @staticmethod
    def this() -> Owner:
        """This process, or the one that users see in its place (`guard`)."""
        pid = guard.responsible()
        return Owner(pid, _born(pid), _place())

    @staticmethod
    def parse(label: str) -> Owner | None:
        """Read what `str` has written; None if something else has."""
        pid, _, rest = label.partition(" ")
        born, _, place = rest.partition(" ")
        return Owner(int(pid), born, place) if pid.isdecimal() and born and place else None

    def __str__(self) -> str:
        return f"{self.pid} {self.born} {self.place}"

    def life(self) -> Life:
        """Whether the process still exists. Unknown if it can't be seen from here."""
        machine, boot, _ = here = _place().split("/")
        if self.place == "/".join(here):
            return "alive" if _born(self.pid) == self.born else "dead"
        then = self.place.split("/")
        # The same machine booted since then: no process of before is left. Others can't be seen from here.
        return "dead" if machine and boot and then[0] == machine and then[1] != boot else "unknown"


def _born(pid: int) -> str:
    """When the process started, in clock ticks since the boot; "" if there is none (a zombie is none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _place() -> str:
    """This machine, its boot, and the namespace in which its process ids hold; slashes between."""
    try:
        machine = Path("/etc/machine-id").read_text().strip()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{machine}/{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()}//"
