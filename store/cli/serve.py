"""`splitbrain-store serve`: a node as a process.

1. However a node ends, the last line of its log names the cause and the remedy. A signal ends it with exit code 0.
2. A node that is no member yet says so, with the command that makes it join. It asks its seeds, and says when they do
   not answer: without one it hears of nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import click

from splitbrain.store.actions import Address, host_port
from splitbrain.store.cli.arguments import AddressType, MemberType, configuration, key_options
from splitbrain.store.cli.queries import BROKEN, answer, end
from splitbrain.store.config import CAPACITY_MAX, ConfigError, Member
from splitbrain.store.contact import Contact
from splitbrain.store.descriptors import LOOP, exhausted, require
from splitbrain.store.errors import StoreError
from splitbrain.store.membership.history import Standing
from splitbrain.store.server import Halted, Server
from splitbrain.store.storage.engine import Engine, EngineError, MemoryEngine, SqliteEngine
from splitbrain.store.storage.replica import IdentityError

SEED_PAUSE_S = 2.0
"""Between two questions to the seeds; each takes up to `client_core.TIMEOUT_S`, if nobody answers."""


@click.command()
@key_options
@click.option("--name", required=True, help="This node's name: one of the members', or a new one.")
@click.option(
    "--member",
    "members",
    type=MemberType(),
    multiple=True,
    help="name=host:port[,zone[,capacity]], once a node that the cluster begins with; the same on each of them.",
)
@click.option("--seed", "seeds", type=AddressType(), multiple=True, help="host:port of a node, to find the cluster by.")
@click.option("--zone", default="", help="Of a node that joins later: the rack or data centre that may fail with it.")
@click.option("--capacity", type=click.IntRange(1, CAPACITY_MAX), default=1, help="Of a node that joins later.")
@click.option("--listen", type=AddressType(), help="Where to bind; this node's member address by default.")
@click.option("--engine", type=click.Choice(["sqlite", "memory"]), default="sqlite", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="Directory of the sqlite engine.")
@click.option("--config", "settings", multiple=True, metavar="KEY=VALUE", help="Such as n=3, w=2, conflicts=lww.")
@click.option("--restored", is_flag=True, help="The data comes from a backup: never reuse the dots made after it.")
def serve(
    secret: bytes,
    cluster: str,
    name: str,
    members: tuple[Member, ...],
    seeds: tuple[Address, ...],
    zone: str,
    capacity: int,
    listen: Address | None,
    engine: str,
    data: Path | None,
    settings: tuple[str, ...],
    restored: bool,
) -> None:
    """Run a node until it is stopped.

    With --member: a cluster's first nodes, each started with the same list. Without: a node that waits outside the
    cluster that it finds by --seed, until somebody has it join.
    """
    config = configuration(settings)
    address = _address(name, members, seeds, listen)
    if members and (zone or capacity != 1):
        text = f"give the zone and capacity of {name} with its --member, as name=host:port,zone,capacity"
        raise click.UsageError(f"--zone and --capacity are for a node that joins later: {text}, on every node alike")
    if engine == "sqlite" and data is None:
        raise click.UsageError("the sqlite engine needs --data DIRECTORY (or use --engine memory)")
    opened: Engine | None = None
    try:
        joining = Member(name, address, zone, capacity)
        opened = SqliteEngine(data) if data is not None and engine == "sqlite" else MemoryEngine()
        server = Server(
            name,
            members,
            config,
            secret=secret,
            cluster=cluster,
            engine=opened,
            listen=address,
            note=_note,
            seeds=seeds,
            fresh=restored,
        )
        _tune()
        if server.standing in (None, Standing.GONE):
            _note(_waiting(joining, seeds[0] if seeds else None, cluster))
        where = f"{name} of {cluster} on {host_port(address)}, {engine}"
        require(LOOP)
        asyncio.run(_serve(server, where, Contact(secret, cluster, seeds)))
    except ConfigError as problem:
        raise click.UsageError(str(problem)) from None
    except (EngineError, IdentityError, Halted) as problem:
        end(f"{name} stops: {problem}", BROKEN)
    except OSError as problem:
        end(_cannot_listen(address, problem), BROKEN)
    except Exception as problem:
        _end_of_a_bug(problem)
    finally:
        if opened is not None:
            opened.close()


async def _serve(server: Server, where: str, seeds: Contact) -> None:
    started = asyncio.Event()
    task = asyncio.create_task(server.serve(started))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if started.is_set():
        with contextlib.suppress(OSError):
            click.echo(f"serving {where}")
    asking = asyncio.create_task(_ask_seeds(server, seeds)) if seeds.nodes else None
    with contextlib.suppress(asyncio.CancelledError):
        await task
    if asking is not None:
        asking.cancel()


async def _ask_seeds(server: Server, seeds: Contact) -> None:
    """While the node waits outside the ring: say when no seed answers, and when one does again."""
    silent = False
    while server.standing in (None, Standing.GONE):
        try:
            await answer(seeds, lambda client: client.view())
        except (StoreError, OSError) as problem:
            if not silent:
                why = problem.message if isinstance(problem, StoreError) else problem.strerror
                _note(f"no seed answers ({', '.join(map(host_port, seeds.nodes))}): {why}; asking on")
            silent = True
        else:
            if silent:
                _note("a seed answers now")
            silent = False
        await asyncio.sleep(SEED_PAUSE_S)


def _tune() -> None:
    """The interpreter's own settings, for a process that does nothing else."""
    # What exists by now stays for good: garbage collection need not scan it. Most later objects are freed without it;
    # the first generation's default of 700 is half a dozen requests.
    gc.freeze()
    gc.set_threshold(10_000, 20, 100)
    # The thread that commits needs the interpreter several times for a moment. It would wait 5 ms each time.
    sys.setswitchinterval(0.000_5)


def _address(name: str, members: tuple[Member, ...], seeds: tuple[Address, ...], listen: Address | None) -> Address:
    """Where to bind."""
    own = {member.name: member.address for member in members}
    if members and name not in own:
        raise click.UsageError(f"--name {name} is not among the members {', '.join(own)}")
    if not members and not seeds:
        text = "give --member for each node of a new cluster, or --seed with a node of a cluster to join"
        raise click.UsageError(f"{name} belongs to no cluster: {text}")
    if not members and listen is None:
        raise click.UsageError("without --member a node needs --listen HOST:PORT, where the others are to reach it")
    return listen or own[name]


def _waiting(joining: Member, seed: Address | None, cluster: str) -> str:
    host, port = joining.address
    where = f"HOST:{port}" if ipaddress.ip_address(host).is_unspecified else f"{host_port(joining.address)}"
    more = f" --zone {joining.zone}" if joining.zone else ""
    more += f" --capacity {joining.capacity}" if joining.capacity != 1 else ""
    more += f" --cluster {cluster}" if cluster != "splitbrain" else ""
    node = "HOST:PORT" if seed is None else host_port(seed)
    command = f"splitbrain-store join {joining.name}={where}{more} --node {node} --key-file FILE"
    return f"{joining.name} waits outside the ring, and serves nobody; have it join with: {command}"


def _note(text: str) -> None:
    # The reader of the log may have gone (a closed pipe); that must not end the node.
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _cannot_listen(address: Address, problem: OSError) -> str:
    full = exhausted(problem)
    if full is not None:
        return f"can't start ({problem.strerror}): {full}"
    if problem.errno == errno.EADDRNOTAVAIL:
        remedy = "this machine has no such address; give one of its own with --listen"
    elif problem.errno == errno.EACCES:
        remedy = "ports below 1024 are the system's; give another"
    else:
        remedy = "free the port, or give another"
    return f"can't listen on {host_port(address)} ({problem.strerror}): {remedy}"


def _end_of_a_bug(problem: Exception) -> NoReturn:
    frames = traceback.extract_tb(problem.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
    text = f"a bug in the store at {where}: {type(problem).__name__}: {problem}"
    end(f"{text}; report this line, and start the node again: what it had acknowledged is on its disk", BROKEN)
