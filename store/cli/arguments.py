"""Arguments: what `splitbrain-store` accepts on its command line, and how it refuses the rest.

1. A mistake is reported before anything is sent, with the cause and the remedy, as a usage error.
2. A host name is resolved to an address here, once: answers are matched on the address they come from.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import ipaddress
import os
import re
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from splitbrain.store.actions import Address
from splitbrain.store.config import Config, ConfigError, Member
from splitbrain.store.descriptors import exhausted
from splitbrain.store.wire.datagrams import KEY_BYTES

COUNT_MAX = 255
PORT = re.compile("[0-9]{1,5}")
CAPACITY = re.compile("[0-9]{1,3}")


@dataclass(frozen=True)
class Contact:
    """How to reach a cluster: its key and name, and nodes to ask, in that order."""

    secret: bytes
    cluster: str
    nodes: tuple[Address, ...]


class AddressType(click.ParamType[Address]):
    """host:port."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        host, _, port = str(value).rpartition(":")
        if not host or not PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
            self.fail(f"{value!r} is not host:port, such as 127.0.0.1:7000", param, ctx)
        return self.resolved(host.strip("[]"), int(port), param, ctx)

    def resolved(self, host: str, port: int, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """The address of a host by name or number."""
        with contextlib.suppress(ValueError):
            return (str(ipaddress.ip_address(host)), port)
        try:
            return (str(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0]), port)
        except (OSError, ValueError) as problem:  # ValueError: of the name's encoding
            remedy = exhausted(problem) or "check its spelling, or give an address"
            self.fail(f"can't resolve host {host!r} ({problem}); {remedy}", param, ctx)


class MemberType(AddressType):
    """name=host:port, optionally followed by a comma and the zone, and another and the capacity."""

    name = "name=host:port[,zone[,capacity]]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name, equals, rest = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not name=host:port, such as n1=127.0.0.1:7000", param, ctx)
        address, *more = rest.split(",")
        zone, capacity = [*more, "", "1"][:2] if len(more) < 2 else more[:2]
        if len(more) > 2 or not CAPACITY.fullmatch(capacity or "1"):
            text = f"{value!r} is not name=host:port,zone,capacity, such as n1=127.0.0.1:7000,rack2,1"
            self.fail(f"{text}; the capacity is a number", param, ctx)
        try:
            return Member(name, super().convert(address, param, ctx), zone, int(capacity or "1"))
        except ConfigError as problem:
            self.fail(str(problem), param, ctx)


def key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--key-file` and `--cluster`, as `secret` and `cluster`."""
    command = click.option(
        "--key-file",
        "secret",
        required=True,
        callback=_read_key_file,
        envvar="SPLITBRAIN_KEY_FILE",
        metavar="FILE",
        help="The cluster's key (or SPLITBRAIN_KEY_FILE).",
    )(command)
    return click.option(
        "--cluster",
        default="splitbrain",
        show_default=True,
        envvar="SPLITBRAIN_CLUSTER",
        help="The cluster's name (or SPLITBRAIN_CLUSTER).",
    )(command)


def contact_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that talks to a cluster: a `contact`, and `as_json`."""

    @functools.wraps(command)
    def with_contact(secret: bytes, cluster: str, nodes: tuple[Address, ...], **others: Any) -> Any:
        return command(contact=Contact(secret, cluster, nodes), **others)

    asked: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")(
        with_contact
    )
    asked = click.option(
        "--node",
        "nodes",
        type=AddressType(),
        multiple=True,
        required=True,
        envvar="SPLITBRAIN_NODES",
        help="A node to ask, host:port; repeat it to name others to fall back to (or SPLITBRAIN_NODES).",
    )(asked)
    return key_options(asked)


def read_quorum(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--r`, `--pr`, `--sloppy` or `--strict`, as `Client.get` takes them; None: as the cluster is configured."""
    return _counts(command, ("r", 1, "How many replicas must answer."), ("pr", 0, "How many primaries among them."))


def write_quorum(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--w`, `--pw`, `--dw`, `--sloppy` or `--strict`, as `Client.put` takes them."""
    return _counts(
        command,
        ("w", 1, "How many replicas must hold it."),
        ("pw", 0, "How many primaries among them."),
        ("dw", 0, "How many of them durably."),
    )


def _counts(command: Callable[..., Any], *counts: tuple[str, int, str]) -> Callable[..., Any]:
    text = "Whether other healthy nodes may stand in for primaries.  [default: as configured]"
    command = click.option("--sloppy/--strict", default=None, help=text)(command)
    for letter, least, text in reversed(counts):
        command = click.option(f"--{letter}", type=click.IntRange(least, COUNT_MAX), help=text)(command)
    return command


def configuration(settings: tuple[str, ...]) -> Config:
    """The configuration that `--config key=value` options make."""
    pairs = [setting.partition("=") for setting in settings]
    for name, equals, _ in pairs:
        if not equals:
            raise click.UsageError(f"--config {name}: give key=value, such as n=3")
    try:
        return Config().changed({name: value for name, _, value in pairs})
    except ConfigError as problem:
        raise click.UsageError(str(problem)) from None


def context_of(text: str | None) -> bytes | None:
    """The bytes of a context as a get prints it."""
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except ValueError:
        raise click.UsageError("--context is not what a get printed; copy the whole line after 'context:'") from None


def _read_key_file(context: click.Context, param: click.Parameter, value: str) -> bytes:
    path = Path(value)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
                raise click.BadParameter(f"{path} can be read or written by every user; run: chmod o-rw {path}")
            secret = file.read()
    except FileNotFoundError:
        raise click.BadParameter(f"there is no file {path}; make a key with: splitbrain-store key {path}") from None
    except (OSError, ValueError) as problem:  # ValueError: a zero byte in the name
        why = getattr(problem, "strerror", None) or problem
        remedy = exhausted(problem) or "check its permissions, or make a key with: splitbrain-store key FILE"
        text = f"can't read {path} ({why}): {remedy}"
        raise click.BadParameter(text) from None
    if len(secret) != KEY_BYTES:
        text = f"{path} has {len(secret)} bytes, and a key has {KEY_BYTES}: copy the cluster's whole, or make one with"
        raise click.BadParameter(f"{text}: splitbrain-store key FILE")
    return secret
