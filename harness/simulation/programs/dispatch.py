"""What a process finds in the standard library: its machine's clocks, randomness, name and log.

1. While a simulation has such processes, some functions of the standard library are replaced, wherever a module holds
   them. Each asks which loop is running. Inside a process it does as the machine says; everywhere else, in the
   harness and in other threads, it is the function that it replaces.
2. The same seed gives the same times and the same randomness to a process, `os.urandom` and all that is made of it
   (`secrets`, `uuid`) included.
3. What would reach out of the simulation is refused by name: threads, processes, real sockets.
4. Not reached are functions that were kept elsewhere than in a module: a default argument, an attribute of a class.
"""

from __future__ import annotations

import asyncio
import builtins
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from splitbrain.harness.simulation.programs.by_process import Function, by_process, refused, running_process
from splitbrain.harness.simulation.programs.process_clocks import clocks
from splitbrain.harness.simulation.programs.process_loop import ProcessLoop
from splitbrain.harness.simulation.programs.process_output import output
from splitbrain.harness.simulation.programs.stream_transport import StreamTransport

NOT_DRAWN = frozenset({"Random", "SystemRandom"})
FILE_CALLS = {
    "fsync": "fsync",
    "fdatasync": "fsync",
    "replace": "replace",
    "rename": "replace",
    "remove": "remove",
    "unlink": "remove",
    "mkdir": "mkdir",
    "makedirs": "makedirs",
    "listdir": "listdir",
    "stat": "stat",
}
"""By their names in `os`: the methods of `SimulatedFiles`."""
_OWN = __name__.rpartition(".")[0]
"""Modules here keep the real functions."""
_lock = threading.Lock()
_users = 0
_replaced: list[tuple[Any, str, Any]] = []


# Randomness.


def _urandom(process: ProcessLoop, size: int) -> bytes:
    return process.rng.getrandbits(8 * size).to_bytes(size, "big")


def _drawn(name: str) -> Callable[..., Any]:
    return lambda process, *args, **options: getattr(process.rng, name)(*args, **options)


def _seed_random(real: Function) -> Function:
    """`Random.seed`, so that a generator without a seed gets one of the machine's, not of the operating system's."""

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        process = running_process()
        real(self, process.rng.getrandbits(256) if process is not None and a is None else a, version)

    return seed


def _uuid1(process: ProcessLoop, node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
    ticks = process.machine.wall_ns() // 100 + 0x01B21DD213814000 + next(process.uuids)
    sequence = process.rng.getrandbits(14) if clock_seq is None else clock_seq & 0x3FFF
    low, middle, high = ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48 & 0x0FFF
    fields = (low, middle, high, sequence >> 8, sequence & 0xFF, _getnode(process) if node is None else node)
    return uuid.UUID(fields=fields, version=1)


def _getnode(process: ProcessLoop) -> int:
    return 0x020000000000 | int.from_bytes(socket.inet_aton(process.ip), "big")


# Files.


def _of_files(real: Function, method: str) -> Function:
    """A function that `SimulatedFiles` has, too."""
    return by_process(
        real, lambda process, *args, **options: getattr(process.machine.files, method)(real, *args, **options)
    )


def _open_descriptor(process: ProcessLoop, path: Any, flags: int, *args: Any, **options: Any) -> int:
    if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        process.refuse("files by descriptor", f"os.open({path!r})")
    return _OPEN_DESCRIPTOR(path, flags, *args, **options)


def _connect_database(process: ProcessLoop, database: Any, *args: Any, **options: Any) -> Any:
    if database != ":memory:":
        process.refuse("files of SQLite", f"sqlite3.connect({database!r})")
    return _CONNECT_DATABASE(database, *args, **options)


_OPEN_DESCRIPTOR = os.open
_CONNECT_DATABASE = sqlite3.connect


def _exit_now(process: ProcessLoop, status: int) -> None:
    raise SystemExit(status)


def _writer_hash(writer: asyncio.StreamWriter) -> int:
    transport = writer.transport
    return hash(transport) if isinstance(transport, StreamTransport) else object.__hash__(writer)


def _protocol_hash(protocol: asyncio.BaseProtocol) -> int:
    """The order in which a process first hashed it; programs keep sets of their protocols."""
    own = getattr(protocol, "__dict__", {})
    process = running_process()
    if process is not None and _HASH not in own:
        own[_HASH] = next(process.hashes)
    return own[_HASH] if _HASH in own else object.__hash__(protocol)


_HASH = "_splitbrain_hash"


def _as_completed(real: Function) -> Function:
    """`asyncio.as_completed`, which puts coroutines in a set, where their addresses would give their order."""

    def inside(process: ProcessLoop, fs: Any, **options: Any) -> Any:
        return real([asyncio.ensure_future(each) for each in dict.fromkeys(fs)], **options)

    return by_process(real, inside)


def _functions() -> list[tuple[Any, str, Any]]:
    """Who holds it, by what name, and what stands in for it."""
    names = [name for name in random.__all__ if name not in NOT_DRAWN]
    found: list[tuple[Any, str, Any]] = clocks() + output()
    found += [(random, name, by_process(getattr(random, name), _drawn(name))) for name in names]
    found += [
        (random.Random, "seed", _seed_random(random.Random.seed)),
        (os, "urandom", by_process(os.urandom, _urandom)),
        (uuid, "uuid1", by_process(uuid.uuid1, _uuid1)),
        (uuid, "getnode", by_process(uuid.getnode, _getnode)),
        (os, "getpid", by_process(os.getpid, lambda process: process.pid)),
        (os, "_exit", by_process(os._exit, _exit_now)),
        (socket, "gethostname", by_process(socket.gethostname, lambda process: process.machine.name)),
        (socket, "getfqdn", by_process(socket.getfqdn, lambda process, name="": name or process.machine.name)),
        (builtins, "open", _of_files(builtins.open, "open")),
        *((os, name, _of_files(getattr(os, name), method)) for name, method in FILE_CALLS.items()),
        (os, "open", by_process(os.open, _open_descriptor)),
        (sqlite3, "connect", by_process(sqlite3.connect, _connect_database)),
        (asyncio.StreamWriter, "__hash__", _writer_hash),
        (asyncio.BaseProtocol, "__hash__", _protocol_hash),
        (asyncio, "as_completed", _as_completed(asyncio.as_completed)),
        (time, "sleep", refused(time.sleep, "blocking sleep", "time.sleep()")),
        (signal, "signal", refused(signal.signal, "signal handlers", "signal.signal()")),
        (os, "kill", refused(os.kill, "signals to processes", "os.kill()")),
        (os, "fork", refused(os.fork, "subprocesses", "os.fork()")),
        (os, "system", refused(os.system, "subprocesses", "os.system()")),
        (threading.Thread, "start", refused(threading.Thread.start, "threads", "Thread.start()")),
        (subprocess.Popen, "__init__", refused(subprocess.Popen.__init__, "subprocesses", "subprocess.Popen()")),
        (socket.socket, "__init__", refused(socket.socket.__init__, "real sockets", "socket.socket()")),
    ]
    if hasattr(os, "getrandom"):
        found.append(
            (os, "getrandom", by_process(os.getrandom, lambda process, size, flags=0: _urandom(process, size)))
        )
    return found


def install() -> Callable[[], None]:
    """Replace them, unless that is done already. Returns what puts them back; the last one to ask for it does.

    O(names in all modules that are loaded), some milliseconds.
    """
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _replace(_functions())
    return _uninstall


def _uninstall() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            # A module that was loaded meanwhile may have taken a replacement: those are looked for, too.
            _exchange({id(getattr(owner, name)): real for owner, name, real in _replaced})
            for owner, name, real in _replaced:
                _set(owner, name, real)
            _replaced.clear()


def _replace(functions: list[tuple[Any, str, Any]]) -> None:
    instead = {}
    for owner, name, replacement in functions:
        own = vars(owner).get(name)
        _replaced.append((owner, name, own))
        if not isinstance(owner, type):
            instead[id(own)] = replacement
    _exchange(instead)
    for owner, name, replacement in functions:
        _set(owner, name, replacement)


def _set(owner: Any, name: str, value: Any) -> None:
    if value is None:
        delattr(owner, name)
    else:
        setattr(owner, name, value)


def _exchange(instead: dict[int, Any]) -> None:
    """In every module: what has one of these identities becomes what is given for it."""
    for module in list(sys.modules.values()):
        held = getattr(module, "__dict__", None)
        if not isinstance(held, dict) or module.__name__.startswith(_OWN):
            continue
        for name, value in list(held.items()):
            if id(value) in instead:
                held[name] = instead[id(value)]
