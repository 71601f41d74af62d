"""Environments: what a place to run must offer, which is machines, a network between them, and means to inject faults.

1. Links are directed: `("n1", "n2")` is what n1 sends to n2. A partition in both directions names both.
2. A fault that the environment can't inject is missing from `abilities`. A test that asks for it is refused before it
   starts, by name.
3. Commands are not trusted: `Network.observe` sends a real packet over every directed link, and the history records
   what it saw as the fault's evidence.
4. Machines or links that something outside takes away (`lost`) are no fault of the system: the run ends there.
5. `close` leaves nothing behind, however the run ended, and may be called at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Link = tuple[str, str]
Address = tuple[str, int]
Progress = Callable[[str], None]


class EnvironmentFailure(Exception):
    """The environment can't do what it must. The message names the cause, then the remedy."""


class EnvironmentLost(EnvironmentFailure):
    """Something outside took away what the environment had made. From then on, observations say nothing about the
    system.
    """


@dataclass(frozen=True, slots=True)
class LinkObservation:
    """What was observed on one directed link.

    source, target: node names. cut: whether the harness wants it cut now. heard: whether a probe sent over it arrived.
    dropped: packets that the cut has dropped since it was made, or None where nothing counts them.
    """

    source: str
    target: str
    cut: bool
    heard: bool
    dropped: int | None


class Network(Protocol):
    """The links between the nodes."""

    async def cut(self, links: Collection[Link]) -> None:
        """Drop everything sent over these directed links, besides those cut already."""

    async def heal(self) -> None:
        """Remove every cut this run has made, and nothing else."""

    async def observe(self) -> list[LinkObservation]:
        """Observe every directed link between two nodes, in the order of the nodes' names."""


class Endpoint(Protocol):
    """A datagram socket, real or simulated."""

    def send(self, datagram: bytes, to: Address) -> None: ...
    def close(self) -> None: ...


OnDatagram = Callable[[bytes, Address], None]


@dataclass(frozen=True)
class Program:
    """A server process, as a machine can run it.

    name: what it is called in logs and process lists, e.g. "splitbrain-store".
    command: argv on a real machine. Its standard output and error become `<name>.log`.
    files: path -> contents, written with mode 0600 before the start.
    data: the directory whose contents are the node's durable state, or None.
    simulate: builds the process inside a simulated machine; None if the system can't be simulated. It is
    given the `simulated_machine.SimulatedMachine` and returns a `SimulatedProcess`. `asyncio_program(main)` is one,
    for any program written for asyncio.
    """

    name: str
    command: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    data: str | None = None
    simulate: Callable[[Any], SimulatedProcess] | None = None


class SimulatedProcess(Protocol):
    """A process inside a simulated machine. After `stop` it must do nothing more: that is a kill -9."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Machine(Protocol):
    """One node's machine.

    name: the node's name. host: the address at which peers and clients reach it.
    """

    name: str
    host: str

    async def start(self, program: Program) -> None:
        """Start the program. Raises EnvironmentFailure with the end of its log if it is gone at once."""

    async def kill(self) -> None:
        """kill -9 the program; what it had not synced is lost."""

    async def pause(self) -> None:
        """SIGSTOP."""

    async def resume(self) -> None:
        """SIGCONT."""

    async def wipe(self) -> None:
        """Empty the program's data directory. Only while it is not running."""

    async def running(self) -> bool:
        """Whether the program's process exists; a paused one does."""

    async def logs(self) -> Mapping[str, bytes]:
        """Log files by name."""


class Environment(Protocol):
    """A place to run.

    name: as in `--env`. abilities: among "cut", "kill", "pause", "wipe". Making one starts nothing; `open` does.
    """

    name: str
    abilities: frozenset[str]

    @property
    def machines(self) -> Mapping[str, Machine]: ...

    @property
    def network(self) -> Network: ...

    async def open(self, progress: Progress) -> None:
        """Provide the machines. Raises EnvironmentFailure; what was made by then is removed by `close`."""

    async def close(self) -> None:
        """Remove everything that `open` made. Idempotent."""

    async def lost(self) -> str:
        """Look now. Returns what something outside has taken away, by the nodes' names; empty if nothing."""

    async def watch(self) -> str:
        """Look repeatedly. Returns what was lost, as soon as something is; never returns where nothing can be."""

    async def endpoint(self, receive: OnDatagram) -> Endpoint:
        """A datagram socket for a client outside the cluster; partitions never cut it off."""
