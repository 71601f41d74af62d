"""`splitbrain-store`: run a node, and talk to one, from a shell.

Exit codes: 0 done; 1 the store refused or did not answer; 3 the node could not run; 64 wrong usage.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import json
import os
import re
import secrets
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from store.actions import Address
from store.client import Client, ClientCore
from store.config import Config, ConfigError, Member
from store.engine import Engine, EngineError, MemoryEngine, SqliteEngine
from store.errors import StoreError
from store.messages import Held
from store.replica import IdentityError
from store.server import Server, present
from store.udp import UdpSocket
from store.wire import KEY_BYTES

USAGE, FAILED, BROKEN = 64, 1, 3
PORT = re.compile("[0-9]{1,5}")
QUORUM = click.IntRange(1, 255)
T = TypeVar("T")


class _AddressType(click.ParamType[Address]):
    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        host, _, port = str(value).rpartition(":")
        if not host or not PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
            self.fail(f"{value!r} is not host:port, such as 127.0.0.1:7000", param, ctx)
        return self.resolved(host.strip("[]"), int(port), param, ctx)

    def resolved(self, host: str, port: int, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        # Answers are matched on the address they come from, so a name must become an address once, here.
        with contextlib.suppress(ValueError):
            return (str(ipaddress.ip_address(host)), port)
        try:
            return (socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0].__str__(), port)
        except (OSError, ValueError) as problem:  # ValueError: of the name's encoding
            self.fail(f"can't resolve host {host!r} ({problem}); check its spelling, or give an address", param, ctx)


class _MemberType(_AddressType):
    name = "name=host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name, equals, address = str(value).partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not name=host:port, such as n1=127.0.0.1:7000", param, ctx)
        try:
            return Member(name, super().convert(address, param, ctx))
        except ConfigError as problem:
            self.fail(str(problem), param, ctx)


def _read_key_file(context: click.Context, param: click.Parameter, value: str) -> bytes:
    path = Path(value)
    try:
        secret = path.read_bytes()
    except OSError as problem:
        raise click.BadParameter(
            f"can't read {path} ({problem.strerror}); make one with: splitbrain-store key {path}"
        ) from None
    if len(secret) != KEY_BYTES:
        raise click.BadParameter(f"{path} has {len(secret)} bytes, a key has {KEY_BYTES}: splitbrain-store key {path}")
    return secret


def _key_option(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option(
        "--key-file",
        "secret",
        required=True,
        callback=_read_key_file,
        envvar="SPLITBRAIN_KEY_FILE",
        metavar="FILE",
        help="The cluster's key (or SPLITBRAIN_KEY_FILE).",
    )(command)
    return click.option("--cluster", default="splitbrain", show_default=True, help="The cluster's name.")(command)


def _node_option(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")(command)
    command = click.option(
        "--node",
        "nodes",
        type=_AddressType(),
        multiple=True,
        required=True,
        envvar="SPLITBRAIN_NODES",
        help="A node to ask, host:port; repeat it to name others to fall back to (or SPLITBRAIN_NODES).",
    )(command)
    return _key_option(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A Dynamo key-value store over UDP."""


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
def key(path: Path) -> None:
    """Make a cluster key in a new file PATH."""
    try:
        with path.open("xb") as file:
            path.chmod(0o600)
            file.write(secrets.token_bytes(KEY_BYTES))
    except FileExistsError:
        raise click.UsageError(f"{path} exists; a cluster's key must not be overwritten: choose another path") from None
    except OSError as problem:
        raise click.UsageError(f"can't write {path} ({problem.strerror}); choose another path") from None
    click.echo(f"{path}: give it to every node and client, and to nobody else")


@cli.command()
@_key_option
@click.option("--name", required=True, help="This node's name, one of the members'.")
@click.option(
    "--member", "members", type=_MemberType(), multiple=True, required=True, help="name=host:port, once a node."
)
@click.option("--listen", type=_AddressType(), help="Where to bind; this node's member address by default.")
@click.option("--engine", type=click.Choice(["sqlite", "memory"]), default="sqlite", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="Directory of the sqlite engine.")
@click.option("--config", "settings", multiple=True, metavar="KEY=VALUE", help="Such as n=3, w=2, conflicts=lww.")
@click.option("--restored", is_flag=True, help="The data comes from a backup: never reuse the dots made after it.")
def serve(
    secret: bytes,
    cluster: str,
    name: str,
    members: tuple[Member, ...],
    listen: Address | None,
    engine: str,
    data: Path | None,
    settings: tuple[str, ...],
    restored: bool,
) -> None:
    """Run a node until it is stopped."""
    config = _config(settings)
    own = {member.name: member.address for member in members}
    if name not in own:
        raise click.UsageError(f"--name {name} is not among the members {', '.join(own)}")
    if engine == "sqlite" and data is None:
        raise click.UsageError("the sqlite engine needs --data DIRECTORY (or use --engine memory)")
    address = listen or own[name]
    opened: Engine | None = None
    try:
        opened = SqliteEngine(data) if data is not None and engine == "sqlite" else MemoryEngine()
        server = Server(
            name,
            members,
            config,
            secret=secret,
            cluster=cluster,
            engine=opened,
            listen=address,
            note=lambda text: click.echo(text, err=True),
            fresh=restored,
        )
        asyncio.run(_serve(server, f"{name} of {cluster} on {address[0]}:{address[1]}, {engine}"))
    except ConfigError as problem:
        raise click.UsageError(str(problem)) from None
    except (EngineError, IdentityError) as problem:
        _end(str(problem), BROKEN)
    except OSError as problem:
        _end(f"can't listen on {address[0]}:{address[1]} ({problem.strerror}); free the port, or give another", BROKEN)
    finally:
        if opened is not None:
            opened.close()


@cli.command()
@_node_option
@click.argument("key")
@click.option("--r", type=QUORUM, help="How many replicas must answer.")
@click.option("--local", is_flag=True, help="The raw versions this node itself holds.")
def get(
    secret: bytes, cluster: str, nodes: tuple[Address, ...], as_json: bool, key: str, r: int | None, local: bool
) -> None:
    """Print the values of KEY, and the context that covers them."""
    if local:
        held = _ask(secret, cluster, nodes, lambda client: client.local(os.fsencode(key)))
        click.echo(json.dumps(_held(held)) if as_json else _held_text(held))
        return
    found = _ask(secret, cluster, nodes, lambda client: client.get(os.fsencode(key), r))
    context = base64.b64encode(found.context).decode()
    if as_json:
        values = [value.decode("utf-8", "backslashreplace") for value in found.values]
        raw = [base64.b64encode(value).decode() for value in found.values]
        click.echo(json.dumps({"values": values, "base64": raw, "context": context}))
        return
    for value in found.values:
        click.echo(value.decode("utf-8", "backslashreplace"))
    if not found.values:
        click.echo("(no value)", err=True)
    click.echo(f"context: {context}", err=True)


@cli.command()
@_node_option
@click.argument("key")
@click.argument("value", required=False)
@click.option("--context", help="From a get: the put replaces what that get returned. Without it: a sibling.")
@click.option("--w", type=QUORUM, help="How many nodes must hold it durably.")
def put(
    secret: bytes,
    cluster: str,
    nodes: tuple[Address, ...],
    as_json: bool,
    key: str,
    value: str | None,
    context: str | None,
    w: int | None,
) -> None:
    """Write VALUE (or standard input) under KEY."""
    data = sys.stdin.buffer.read() if value is None else os.fsencode(value)
    covered = _context(context)
    new = _ask(secret, cluster, nodes, lambda client: client.put(os.fsencode(key), data, covered, w))
    _show_context(new, as_json)


@cli.command()
@_node_option
@click.argument("key")
@click.option("--context", required=True, help="From a get: what it returned is deleted.")
def delete(secret: bytes, cluster: str, nodes: tuple[Address, ...], as_json: bool, key: str, context: str) -> None:
    """Delete what a get of KEY returned."""
    covered = _context(context)
    assert covered is not None
    _show_context(_ask(secret, cluster, nodes, lambda client: client.delete(os.fsencode(key), covered)), as_json)


@cli.command()
@_node_option
def status(secret: bytes, cluster: str, nodes: tuple[Address, ...], as_json: bool) -> None:
    """Print how the node is: ring, peers, hints, queues, counters, latencies."""
    report = _ask(secret, cluster, nodes, lambda client: client.status())
    if as_json:
        click.echo(json.dumps(report))
    else:
        from rich import print_json  # Slow to import, and only a person wants it.

        print_json(data=report)


def main() -> None:
    """The command, with usage errors as exit code 64."""
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        code = USAGE
    except click.Abort:
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _config(settings: tuple[str, ...]) -> Config:
    pairs = [setting.partition("=") for setting in settings]
    for name, equals, _ in pairs:
        if not equals:
            raise click.UsageError(f"--config {name}: give key=value, such as n=3")
    try:
        return Config().changed({name: value for name, _, value in pairs})
    except ConfigError as problem:
        raise click.UsageError(str(problem)) from None


async def _serve(server: Server, where: str) -> None:
    started = asyncio.Event()
    task = asyncio.create_task(server.serve(started))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if started.is_set():
        click.echo(f"serving {where}")
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _ask(secret: bytes, cluster: str, nodes: tuple[Address, ...], request: Callable[[Client], Awaitable[T]]) -> T:
    async def ask() -> T:
        core = ClientCore(nodes, secret=secret, cluster=cluster, bits=secrets.randbits)
        client = Client(core, present)
        wildcard = "::" if ":" in nodes[0][0] else "0.0.0.0"
        client.attach(UdpSocket((wildcard, 0), client.received))
        try:
            return await request(client)
        finally:
            client.close()

    try:
        return asyncio.run(ask())
    except StoreError as problem:
        known = "it certainly did not happen" if problem.kind.definite else "nobody knows whether it happened"
        _end(f"{problem.code}: {problem.message} ({known})", FAILED)


def _end(text: str, code: int) -> NoReturn:
    click.echo(f"splitbrain-store: {text}", err=True)
    raise SystemExit(code)


def _context(text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except ValueError:
        raise click.UsageError("--context is not what a get printed; copy the whole line after 'context:'") from None


def _show_context(context: bytes, as_json: bool) -> None:
    text = base64.b64encode(context).decode()
    if as_json:
        click.echo(json.dumps({"context": text}))
    else:
        click.echo(f"context: {text}", err=True)


def _held(held: Held) -> dict[str, object]:
    return {
        "home": held.home,
        "hints_for": held.hints_for,
        "versions": [
            {
                "dot": f"{version.actor:x}:{version.counter}",
                "value": None if version.value is None else version.value.decode("utf-8", "backslashreplace"),
                "request": f"{version.request_id:016x}",
                "coordinator": version.coordinator,
                "wall_ns": version.wall_ns,
            }
            for version in held.state.versions
        ],
    }


def _held_text(held: Held) -> str:
    role = "home" if held.home else "not a home"
    lines = [f"{role}; hints for: {', '.join(held.hints_for) or 'none'}"]
    for version in held.state.versions:
        value = "(tombstone)" if version.value is None else version.value.decode("utf-8", "backslashreplace")
        lines.append(f"{version.actor:x}:{version.counter}  by {version.coordinator}  {value}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
