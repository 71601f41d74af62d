"""A contact: how a client reaches a cluster, checked before anything is sent.

1. A host name is resolved here, once: answers are matched on the address they come from.
2. A key file that every user can read or write is refused.
3. A mistake is a `StoreError` `cannot_connect`: nothing was sent. It names the cause and the remedy.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from splitbrain.store.actions import Address
from splitbrain.store.descriptors import exhausted
from splitbrain.store.errors import StoreError
from splitbrain.store.wire.datagrams import KEY_BYTES

PORT = re.compile("[0-9]{1,5}")


@dataclass(frozen=True)
class Contact:
    """How to reach a cluster: its key and name, and nodes to ask, in that order."""

    secret: bytes = field(repr=False)
    cluster: str
    nodes: tuple[Address, ...]


def read_contact(nodes: str | Iterable[str], key_file: str | os.PathLike[str], cluster: str) -> Contact:
    """Read what `connecting.connect` is given. Blocks while names are resolved. Raises StoreError."""
    given = nodes.split() if isinstance(nodes, str) else list(nodes)
    if not given:
        raise _refused("there is no node to ask: give host:port of at least one")
    return Contact(read_key_file(key_file), cluster, tuple(map(address, given)))


def address(text: str) -> Address:
    """The address that host:port names, the host by name or number. Raises StoreError."""
    host, _, port = text.rpartition(":")
    if not host or not PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise _refused(f"{text!r} is not host:port, such as 127.0.0.1:7000")
    host = host.strip("[]")
    try:
        return (str(ipaddress.ip_address(host)), int(port))
    except ValueError:
        pass  # It is a name.
    try:
        return (str(socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)[0][4][0]), int(port))
    except (OSError, ValueError) as problem:  # ValueError: of the name's encoding
        remedy = exhausted(problem) or "check its spelling, or give an address"
        raise _refused(f"can't resolve host {host!r} ({problem}); {remedy}") from None


def read_key_file(file: str | os.PathLike[str]) -> bytes:
    """The cluster's key that a file holds. Raises StoreError."""
    path = Path(file)
    try:
        with path.open("rb") as opened:
            status = os.fstat(opened.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
                raise _refused(f"{path} can be read or written by every user; run: chmod o-rw {path}")
            secret = opened.read()
    except FileNotFoundError:
        raise _refused(f"there is no file {path}; make a key with: splitbrain-store key {path}") from None
    except (OSError, ValueError) as problem:  # ValueError: a zero byte in the name
        why = getattr(problem, "strerror", None) or problem
        remedy = exhausted(problem) or "check its permissions, or make a key with: splitbrain-store key FILE"
        raise _refused(f"can't read {path} ({why}): {remedy}") from None
    if len(secret) != KEY_BYTES:
        text = f"{path} has {len(secret)} bytes, and a key has {KEY_BYTES}: copy the cluster's whole, or make one with"
        raise _refused(f"{text}: splitbrain-store key FILE")
    return secret


def _refused(text: str) -> StoreError:
    return StoreError("cannot_connect", text)
