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
import logging
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
from asyncio.events import _get_running_loop
from collections.abc import Callable
from typing import Any

from splitbrain.harness.simulation.programs.process_loop import ProcessLoop
from splitbrain.harness.simulation.programs.stream_transport import StreamTransport

Function = Callable[..., Any]
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
_lock = threading.Lock()
_users = 0
_replaced: list[tuple[Any, str, Any]] = []


def _process() -> ProcessLoop | None:
    """The process whose code is running, if any."""
    loop = _get_running_loop()
    return loop if isinstance(loop, ProcessLoop) else None


def _by_process(real: Function, inside: Callable[..., Any]) -> Function:
    """A function that is `inside(process, ...)` in a process, and `real(...)` elsewhere."""

    def dispatched(*args: Any, **options: Any) -> Any:
        loop = _get_running_loop()
        return inside(loop, *args, **options) if isinstance(loop, ProcessLoop) else real(*args, **options)

    dispatched.__name__ = getattr(real, "__name__", "dispatched")
    dispatched.__doc__ = real.__doc__
    return dispatched


def _refused(real: Function, what: str, asked: str) -> Function:
    return _by_process(real, lambda process, *args, **options: process.refuse(what, asked))


# Clocks.


def _wall_s(process: ProcessLoop) -> float:
    return process.machine.wall_ns() / 1e9


def _monotonic_ns(process: ProcessLoop) -> int:
    return round(process.machine.now() * 1e9)


def _of_moment(real: Function) -> Function:
    """A function of a moment, which is the present one if none is given."""
    return _by_process(real, lambda process, secs=None: real(_wall_s(process) if secs is None else secs))


def _of_broken_down_time(real: Function, before: int) -> Function:
    """The same of a moment's fields, before which come so many arguments."""

    def inside(process: ProcessLoop, *args: Any) -> Any:
        return real(*args) if len(args) > before else real(*args, _LOCALTIME(_wall_s(process)))

    return _by_process(real, inside)


_LOCALTIME = time.localtime


# Randomness.


def _urandom(process: ProcessLoop, size: int) -> bytes:
    return process.rng.getrandbits(8 * size).to_bytes(size, "big")


def _drawn(name: str) -> Callable[..., Any]:
    return lambda process, *args, **options: getattr(process.rng, name)(*args, **options)


def _seed_random(real: Function) -> Function:
    """`Random.seed`, so that a generator without a seed gets one of the machine's, not of the operating system's."""

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        process = _process()
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


# What is written.


def _print(real: Function) -> Function:
    def inside(
        process: ProcessLoop, *values: Any, sep: Any = None, end: Any = None, file: Any = None, **more: Any
    ) -> None:
        if file is None or file in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            process.machine.log((" " if sep is None else sep).join(map(str, values)))
        else:
            real(*values, sep=sep, end=end, file=file, **more)

    return _by_process(real, inside)


def _emit(real: Function) -> Function:
    """`StreamHandler.emit`, whose stream may be the terminal."""

    def emit(self: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
        process = _process()
        if process is None or isinstance(self, logging.FileHandler):
            real(self, record)
        else:
            process.machine.log(self.format(record))

    return emit


def _of_files(real: Function, method: str) -> Function:
    """A function that `SimulatedFiles` has, too."""
    return _by_process(
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


def _functions() -> list[tuple[Any, str, Any]]:
    """Who holds it, by what name, and what stands in for it."""
    clocks: dict[str, Callable[[ProcessLoop], Any]] = {
        "time": _wall_s,
        "time_ns": lambda process: process.machine.wall_ns(),
        "monotonic": lambda process: process.machine.now(),
        "monotonic_ns": _monotonic_ns,
        "perf_counter": lambda process: process.machine.now(),
        "perf_counter_ns": _monotonic_ns,
        "process_time": lambda process: process.machine.now(),
        "process_time_ns": _monotonic_ns,
    }
    found: list[tuple[Any, str, Any]] = [
        (time, name, _by_process(getattr(time, name), inside)) for name, inside in clocks.items()
    ]
    found += [(time, name, _of_moment(getattr(time, name))) for name in ("localtime", "gmtime", "ctime")]
    found += [(time, "asctime", _of_broken_down_time(time.asctime, 0))]
    found += [(time, "strftime", _of_broken_down_time(time.strftime, 1))]
    names = [name for name in random.__all__ if name not in NOT_DRAWN]
    found += [(random, name, _by_process(getattr(random, name), _drawn(name))) for name in names]
    found += [
        (random.Random, "seed", _seed_random(random.Random.seed)),
        (os, "urandom", _by_process(os.urandom, _urandom)),
        (uuid, "uuid1", _by_process(uuid.uuid1, _uuid1)),
        (uuid, "getnode", _by_process(uuid.getnode, _getnode)),
        (os, "getpid", _by_process(os.getpid, lambda process: process.pid)),
        (os, "_exit", _by_process(os._exit, _exit_now)),
        (socket, "gethostname", _by_process(socket.gethostname, lambda process: process.machine.name)),
        (socket, "getfqdn", _by_process(socket.getfqdn, lambda process, name="": name or process.machine.name)),
        (builtins, "open", _of_files(builtins.open, "open")),
        *((os, name, _of_files(getattr(os, name), method)) for name, method in FILE_CALLS.items()),
        (os, "open", _by_process(os.open, _open_descriptor)),
        (sqlite3, "connect", _by_process(sqlite3.connect, _connect_database)),
        (builtins, "print", _print(builtins.print)),
        (logging.StreamHandler, "emit", _emit(logging.StreamHandler.emit)),
        (asyncio.StreamWriter, "__hash__", _writer_hash),
        (time, "sleep", _refused(time.sleep, "blocking sleep", "time.sleep()")),
        (signal, "signal", _refused(signal.signal, "signal handlers", "signal.signal()")),
        (os, "kill", _refused(os.kill, "signals to processes", "os.kill()")),
        (os, "fork", _refused(os.fork, "subprocesses", "os.fork()")),
        (os, "system", _refused(os.system, "subprocesses", "os.system()")),
        (threading.Thread, "start", _refused(threading.Thread.start, "threads", "Thread.start()")),
        (subprocess.Popen, "__init__", _refused(subprocess.Popen.__init__, "subprocesses", "subprocess.Popen()")),
        (socket.socket, "__init__", _refused(socket.socket.__init__, "real sockets", "socket.socket()")),
    ]
    if hasattr(os, "getrandom"):
        found.append(
            (os, "getrandom", _by_process(os.getrandom, lambda process, size, flags=0: _urandom(process, size)))
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
        if not isinstance(held, dict) or module.__name__ == __name__:
            continue
        for name, value in list(held.items()):
            if id(value) in instead:
                held[name] = instead[id(value)]
