"""Addresses: how the hosts of a simulated network are called by programs that speak IP.

1. Each node has one IPv4 address, and the clients' host has another. A host's name resolves to its address.
2. `localhost`, 127.0.0.1 and ::1 are the host that asks; 0.0.0.0, :: and no host at all are any address of its own.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any

from splitbrain.harness.environment import CLIENTS, Address

CLIENT_HOST = CLIENTS
CLIENT_IP = "10.1.0.1"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ANY = frozenset({"", "0.0.0.0", "::"})
AddressInfo = tuple[int, int, int, str, tuple[str, int]]


class Addresses:
    """The names and addresses of one network's hosts.

    nodes: names. n9 comes before n10, so that n3 is 10.0.0.3.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        ordered = sorted(nodes, key=lambda name: (len(name), name))
        self._ip = {name: f"10.0.{number >> 8}.{number & 255}" for number, name in enumerate(ordered, 1)}
        self._ip[CLIENT_HOST] = CLIENT_IP
        self._host = {ip: name for name, ip in self._ip.items()}

    def seen(self, address: Address) -> Address:
        """A network address (name, port) as a program sees it: (IP, port)."""
        return self._ip[address[0]], address[1]

    def host(self, asked: str, own: str) -> str:
        """The host's name that a program means. own: the asking host's. Raises socket.gaierror if there is none."""
        if asked in LOOPBACK or asked in ANY:
            return own
        if asked in self._ip:
            return asked
        if asked in self._host:
            return self._host[asked]
        known = ", ".join(f"{name} ({ip})" for name, ip in self._ip.items())
        raise socket.gaierror(socket.EAI_NONAME, f"no simulated host is called {asked!r}; there are {known}")

    def check_own(self, asked: str | None, own: str) -> None:
        """Raises OSError if a socket of `own` can't be bound to the host asked for."""
        if asked is not None and self.host(asked, own) != own:
            raise OSError(errno.EADDRNOTAVAIL, f"{os.strerror(errno.EADDRNOTAVAIL)}: {asked} is not {own}'s")

    def info(
        self, asked: str | bytes | None, port: str | bytes | int | None, own: str, *, family: int, kind: int, flags: int
    ) -> list[AddressInfo]:
        """What `getaddrinfo` returns. Raises socket.gaierror for what has no IPv4 address."""
        if family not in (socket.AF_UNSPEC, socket.AF_INET):
            raise socket.gaierror(socket.EAI_FAMILY, "simulated hosts have IPv4 addresses only")
        name = asked.decode() if isinstance(asked, bytes) else asked
        if name is None:
            ip = "0.0.0.0" if flags & socket.AI_PASSIVE else "127.0.0.1"
        elif name in LOOPBACK:
            ip = "127.0.0.1"
        elif name in ANY:
            ip = "0.0.0.0"
        else:
            ip = self._ip[self.host(name, own)]
        kinds: Any = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP}
        chosen = kinds if kind == 0 else {each: proto for each, proto in kinds.items() if each == kind}
        return [(socket.AF_INET, each, proto, "", (ip, _port(port))) for each, proto in chosen.items()]


def _port(port: str | bytes | int | None) -> int:
    try:
        return int(port or 0)
    except ValueError:
        raise socket.gaierror(
            socket.EAI_SERVICE, f"no service is called {port!r} in simulation; give its number"
        ) from None
