"""The hosts that a file names, for runs on machines that somebody else has set up.

1. A table `[[host]]` for each: `name`, `address`, `port`, `user`, `key`, `sudo`, `host_key`. What they have in common
   may stand once, at the top.
2. Nothing is asked of a host here. What can be seen to be wrong is refused in one line: file, host, cause, remedy.
3. A private key that others may read is refused. So is one with a passphrase: nobody is asked anything during a run.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import paramiko

from splitbrain.harness.environment import CLIENTS
from splitbrain.harness.hosts.ssh import public_key
from splitbrain.harness.suggestions import did_you_mean

HOSTS_MAX = 101
"""Nodes and spares."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:%-]{0,252}|::[0-9a-fA-F:]*", re.ASCII)


class HostsFileProblem(ValueError):
    """A file of hosts can't be used. The message names the file, the host, the cause, and the remedy."""


@dataclass(frozen=True)
class Host:
    """A host, and how to log in there.

    address: a name or a number. key: the private key that gets in. sudo: whether the user becomes root by `sudo -n`.
    host_key: its public keys, a line each; "" for those of the user's known_hosts.
    """

    name: str
    address: str
    port: int
    user: str
    key: paramiko.PKey
    sudo: bool
    host_key: str

    @property
    def known_as(self) -> str:
        """As known_hosts has it."""
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"


class _Entry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: str = ""
    address: str = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 22
    user: str = "root"
    key: str = ""
    sudo: bool = False
    host_key: str = ""


FIELDS = _Entry.__struct_fields__
SHARED = tuple(name for name in FIELDS if name not in ("name", "address"))
"""What may stand at the top, for all hosts."""


def read_hosts(file: str) -> tuple[Host, ...]:
    """The hosts in the file, in its order. Raises HostsFileProblem."""
    path = Path(file)
    try:
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise HostsFileProblem(f"{file} is no TOML ({problem}); write a table [[host]] for each host") from None
    except OSError as problem:
        raise HostsFileProblem(
            f"can't read {file} ({problem.strerror}); give a file with a table [[host]] for each host"
        ) from None
    tables = parsed.pop("host", None)
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise HostsFileProblem(f'{file} names no host; add [[host]] with name = "n1" and address = "10.0.0.1"')
    if len(tables) > HOSTS_MAX:
        raise HostsFileProblem(f"{file} names {len(tables)} hosts; give {HOSTS_MAX} at most")
    for name in parsed:
        if name not in SHARED:
            raise HostsFileProblem(
                f"{file}: unknown setting {name!r} of all hosts; known: {', '.join(SHARED)}{did_you_mean(name, SHARED)}"
            )
    hosts = tuple(_host(file, number, {**parsed, **table}) for number, table in enumerate(tables, start=1))
    _distinct(file, hosts)
    return hosts


def _host(file: str, number: int, table: Mapping[str, Any]) -> Host:
    named = table.get("name")
    where = f"{file}, host {number}" + (f" ({named})" if isinstance(named, str) and named else "")
    for name in table:
        if name not in FIELDS:
            raise HostsFileProblem(
                f"{where}: unknown setting {name!r}; known: {', '.join(FIELDS)}{did_you_mean(name, FIELDS)}"
            )
    try:
        entry = msgspec.convert(table, _Entry)
    except msgspec.ValidationError as problem:
        said, _, setting = str(problem).partition(" - at `$.")
        raise HostsFileProblem(f"{where}: {setting.strip('`')}: {said[:1].lower()}{said[1:]}; correct it") from None
    if not _NAME.fullmatch(entry.name) or entry.name == CLIENTS:
        raise HostsFileProblem(
            f'{where}: name {entry.name!r} can\'t be; give letters, digits, dots and dashes: name = "n1"'
        )
    if not _ADDRESS.fullmatch(entry.address):
        raise HostsFileProblem(
            f'{where}: address {entry.address!r} can\'t be; give a name or a number: address = "10.0.0.1"'
        )
    if not entry.user or entry.user.startswith("-"):
        raise HostsFileProblem(f"{where}: user {entry.user!r} can't be; give the name of an account there")
    if not entry.key:
        raise HostsFileProblem(
            f'{where}: no key; give the file of the private key that gets in: key = "~/.ssh/id_ed25519"'
        )
    try:
        for line in entry.host_key.splitlines():
            public_key(line)
    except ValueError as problem:
        raise HostsFileProblem(f"{where}: host_key: {problem}") from None
    key = private_key(where, Path(file).parent / Path(entry.key).expanduser())
    return Host(entry.name, entry.address, entry.port, entry.user, key, entry.sudo, entry.host_key)


def private_key(where: str, path: Path) -> paramiko.PKey:
    """The key in a file. where: for messages. Raises HostsFileProblem."""
    try:
        mode, key = path.stat().st_mode & 0o777, paramiko.PKey.from_path(path)
    except OSError as problem:
        why = f"can't read the key {path} ({problem.strerror}); give another with `key`"
    except (paramiko.PasswordRequiredException, TypeError):
        make = f"`ssh-keygen -t ed25519 -N '' -f {path}.test`"
        why = f"the key {path} has a passphrase; give one without, made for tests: {make}"
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, ValueError):
        why = f"{path} holds no private key; give the file that ssh-keygen made"
    else:
        if not mode & 0o077:
            return key
        why = f"others may use the key {path} (its mode is {mode:o}); run `chmod 600 {path}`"
    raise HostsFileProblem(f"{where}: {why}")


def _distinct(file: str, hosts: tuple[Host, ...]) -> None:
    for kind, told in (("name", [host.name for host in hosts]), ("address", [host.known_as for host in hosts])):
        twice = next((each for each in told if told.count(each) > 1), "")
        if twice:
            raise HostsFileProblem(f"{file}: two hosts have the {kind} {twice}; give each one of its own")
