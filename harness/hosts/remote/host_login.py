"""Logging in to a host that somebody else has set up, and becoming root there.

1. What keeps one out is one line: the address, the host's key, the user's key, or sudo; each with its remedy.
2. Nothing is changed on the host.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Iterable
from typing import TypeVar

import paramiko

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.remote.host_keys import known_keys, refusal
from splitbrain.harness.hosts.remote.hosts_file import Host
from splitbrain.harness.hosts.ssh import Login, SshConnection

T = TypeVar("T")

CONNECT_DEADLINE_S = 10.0


async def login_of(host: Host, run: str) -> Login:
    """How to log in for that run, with the host's address in digits and its known keys. Raises EnvironmentFailure."""
    numeric = await _numeric(host)
    keys = await asyncio.to_thread(known_keys, host, numeric)
    if not keys:
        try:
            why = await asyncio.to_thread(refusal, host, numeric)
        except (OSError, EOFError, paramiko.SSHException) as problem:
            why = (
                f"{host.name} ({host.known_as}) does not answer ({problem or type(problem).__name__}); "
                "check that sshd runs there and that this machine can reach that address"
            )
        raise EnvironmentFailure(why)
    return Login(numeric, host.key, keys, host.user, host.port, host.sudo, run)


async def enter(host: Host, connection: SshConnection) -> None:
    """Log in, and see that one is root there. Raises EnvironmentFailure."""
    await connection.connect(CONNECT_DEADLINE_S)
    said = await connection.run("id -u")
    if said.status == 0 and said.text.splitlines()[-1:] == ["0"]:
        return
    cause = " ".join(said.excerpt.split())[:200]
    if not host.sudo:
        raise EnvironmentFailure(
            f"{host.name}: {host.user} is not root there; set sudo = true, and allow {host.user} to use it"
        )
    if "not found" in cause:
        raise EnvironmentFailure(f"{host.name} has no sudo ({cause}); install it there, or log in as root")
    raise EnvironmentFailure(
        f"{host.name}: {host.user} does not become root unasked ({cause}); "
        f"allow it in /etc/sudoers.d there: {host.user} ALL=(ALL) NOPASSWD: ALL"
    )


async def each(works: Iterable[Awaitable[T]]) -> list[T]:
    """Wait for all of them. Raises one EnvironmentFailure for all that failed; anything else is raised as it is."""
    done = await asyncio.gather(*works, return_exceptions=True)
    failures = []
    for outcome in done:
        if isinstance(outcome, EnvironmentFailure):
            failures.append(str(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
    if failures:
        raise EnvironmentFailure("; ".join(failures))
    return [outcome for outcome in done if not isinstance(outcome, BaseException)]


async def _numeric(host: Host) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.address, host.port, type=socket.SOCK_STREAM)
    except OSError as problem:
        raise EnvironmentFailure(
            f"{host.name}: the address {host.address} can't be resolved ({problem.strerror}); "
            "correct it, or give a number"
        ) from None
    # IPv4 first: every node must be reached by the same family, and most have that one.
    return str(sorted(found, key=lambda entry: entry[0] != socket.AF_INET)[0][4][0])
