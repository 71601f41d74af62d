"""By which keys hosts are known: those in the file of hosts, else those of the user's known_hosts.

1. A host without a known key is refused, with the key that it shows and the line by which it becomes known. Nothing is
   ever trusted at first sight.
2. Of known_hosts, plain and hashed names count, and what is revoked does not. Patterns and authorities don't count.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import shlex
import socket
from pathlib import Path

import paramiko

from splitbrain.harness.hosts.remote.hosts_file import Host
from splitbrain.harness.hosts.ssh import CONNECT_TIMEOUT_S

KNOWN_HOSTS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
REVOKED = "@revoked"


def known_keys(host: Host, numeric: str) -> str:
    """The public keys of a host, a line each; "" if none is known. numeric: its address in digits."""
    if host.host_key:
        return host.host_key
    known, revoked = paramiko.HostKeys(), set()
    for file in KNOWN_HOSTS:
        for line in _lines(Path(file).expanduser()):
            marker, _, rest = line.partition(" ") if line.startswith("@") else ("", "", line)
            entry = _entry(rest.strip())
            if entry is None or entry.key is None or marker not in ("", REVOKED):
                continue
            if marker == REVOKED:
                revoked.add(entry.key.asbytes())
                continue
            for name in entry.hostnames or ():
                known.add(name, entry.key.get_name(), entry.key)
    found: dict[bytes, paramiko.PKey] = {}
    for name in (host.known_as, numeric if host.port == 22 else f"[{numeric}]:{host.port}"):
        for key in (known.lookup(name) or {}).values():
            found[key.asbytes()] = key
    trusted = [key for blob, key in found.items() if blob not in revoked]
    return "\n".join(f"{key.get_name()} {key.get_base64()}" for key in trusted)


def refusal(host: Host, numeric: str) -> str:
    """Why a host without a known key is refused: what it shows, and what to do. Takes one exchange with it.

    Raises OSError or paramiko.SSHException if it does not answer.
    """
    shown = _shown(numeric, host.port)
    kind = shown.get_name()
    short = kind.removeprefix("ssh-").partition("-sha2")[0]
    port = f"-p {host.port} " if host.port != 22 else ""
    scan = f"ssh-keyscan {port}-t {short} {shlex.quote(host.address)} >> ~/.ssh/known_hosts"
    return (
        f"{host.name} ({host.known_as}) is unknown: it shows the key {kind} {fingerprint(shown)}; compare it with "
        f"`ssh-keygen -lf /etc/ssh/ssh_host_{short}_key.pub` there, then run `{scan}`, or give host_key"
    )


def fingerprint(key: paramiko.PKey) -> str:
    """As ssh-keygen shows it.

    >>> line = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    >>> fingerprint(paramiko.PKey.from_type_string("ssh-ed25519", base64.b64decode(line)))
    'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU'
    """
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


def _shown(address: str, port: int) -> paramiko.PKey:
    """The key that a host shows. Nobody logs in."""
    with socket.create_connection((address, port), timeout=CONNECT_TIMEOUT_S) as sock:
        transport = paramiko.Transport(sock)
        try:
            transport.start_client(timeout=CONNECT_TIMEOUT_S)
            return transport.get_remote_server_key()
        finally:
            transport.close()


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return []


def _entry(line: str) -> paramiko.hostkeys.HostKeyEntry | None:
    try:
        return paramiko.hostkeys.HostKeyEntry.from_line(line)
    except (paramiko.hostkeys.InvalidHostKey, paramiko.SSHException, binascii.Error, ValueError):
        return None
