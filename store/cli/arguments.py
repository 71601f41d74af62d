"""Arguments: what `splitbrain-store` accepts on its command line, and how it refuses the rest.

A mistake is reported before anything is sent, with the cause and the remedy, as a usage error.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Callable
from typing import Any

import click

from splitbrain.store.actions import Address
from splitbrain.store.config import Config, ConfigError, Member
from splitbrain.store.contact import Contact, address, read_key_file
from splitbrain.store.errors import StoreError

COUNT_MAX = 255
CAPACITY = re.compile("[0-9]{1,3}")


class AddressType(click.ParamType[Address]):
    """host:port."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        try:
            return address(str(value))
        except StoreError as problem:
            self.fail(problem.message, param, ctx)


class MemberType(AddressType):
    """name=host:port, optionally followed by a comma and the zone, and another and the capacity."""

    name = "name=host:port[,zone[,capacity]]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name, equals, rest = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not name=host:port, such as n1=127.0.0.1:7000", param, ctx)
        where, *more = rest.split(",")
        zone, capacity = [*more, "", "1"][:2] if len(more) < 2 else more[:2]
        if len(more) > 2 or not CAPACITY.fullmatch(capacity or "1"):
            text = f"{value!r} is not name=host:port,zone,capacity, such as n1=127.0.0.1:7000,rack2,1"
            self.fail(f"{text}; the capacity is a number", param, ctx)
        try:
            return Member(name, super().convert(where, param, ctx), zone, int(capacity or "1"))
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
    try:
        return read_key_file(value)
    except StoreError as problem:
        raise click.BadParameter(problem.message) from None
