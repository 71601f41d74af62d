"""What can't be simulated, each with what to do instead."""

from __future__ import annotations

from typing import Any

REMEDIES = {
    "threads": "await a coroutine instead, or call the function itself",
    "subprocesses": "make each process a program of its own, on a node of its own",
    "real sockets": "use asyncio's streams and endpoints by host and port",
    "Unix sockets": "use asyncio's streams by host and port",
    "pipes": "use asyncio's streams by host and port",
    "TLS": "leave ssl unset in simulation; test TLS in containers",
    "signal handlers": "use loop.add_signal_handler",
    "signals to processes": "faults of the run kill and pause processes",
    "files by descriptor": "write files through open()",
    "files of SQLite": "use a database in memory, or write files through open()",
    "blocking sleep": "use await asyncio.sleep",
    "a loop inside the loop": "await the coroutine instead",
}


class NotSimulatedError(NotImplementedError):
    """A program asked for what a simulation doesn't have. The message names it, and the remedy."""

    def __init__(self, what: str, asked: str) -> None:
        super().__init__(f"{asked}: {what} can't be simulated; {REMEDIES[what]}")


def refuse_options(asked: str, given: dict[str, Any]) -> None:
    """Raises NotSimulatedError if a socket, or TLS, is among the options given."""
    if given.get("sock") is not None:
        raise NotSimulatedError("real sockets", f"{asked}(sock=...)")
    if given.get("ssl"):
        raise NotSimulatedError("TLS", f"{asked}(ssl=...)")
