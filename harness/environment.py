"""Environments: what a place to run must offer, which is machines, a network between them, and means to inject faults.

1. Links are directed: `("n1", "n2")` is what n1 sends to n2. A partition in both directions names both. An end may be
   `CLIENTS`: all clients, outside the cluster.
2. A fault that the environment can't inject is missing from `abilities`. A test that asks for it is refused before it
   starts, by name.
3. Commands are not trusted: `Network.observe` sends a real packet over every directed link, `read_clock` asks through
   the program's own eyes, and the history records what was seen as the fault's evidence.
4. Faults of the network have holders. A link is cut while any holder cuts it, and healing one leaves the others'.
5. Machines or links that something outside takes away (`lost`) are no fault of the system: the run ends there.
6. `close` leaves nothing behind, however the run ended, and may be called at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

Link = tuple[str, str]
CLIENTS = "clients"
"""Where clients are, as the end of a link."""
Address = tuple[str, int]
Progress = Callable[[str], None]


class EnvironmentFailure(Exception):
    """The environment can't do what it must. The message names the cause, then the remedy."""


class EnvironmentLost(EnvironmentFailure):
    """Something outside took away what the environment had made. From then on, observations say nothing about the
    system.
    """


class NotReady(EnvironmentFailure):
    """A program that was started runs, and has not answered in time."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a degraded link does to packets, besides what it does anyway.

    loss, duplication, corruption: the share of packets that are lost, that arrive twice, of which one bit is flipped;
    0 to 1. delay_s: how much later they arrive, the least and the most, uniform between, in seconds; unequal delays
    reorder. rate_bytes_s: at most so many bytes pass in a second; the rest waits, and is lost once it would wait for
    over a second. None for any number. hold: nothing passes until the link is healed, and then all of it, in random
    order.
    Raises ValueError for shares, delays or rates that can't be.
    """

    loss: float = 0.0
    duplication: float = 0.0
    corruption: float = 0.0
    delay_s: tuple[float, float] = (0.0, 0.0)
    rate_bytes_s: int | None = None
    hold: bool = False

    def __post_init__(self) -> None:
        for name, share in (("loss", self.loss), ("duplication", self.duplication), ("corruption", self.corruption)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} {share} must lie between 0 and 1")
        if not 0 <= self.delay_s[0] <= self.delay_s[1]:
            raise ValueError(f"delays {self.delay_s} must be the least, then the most, in seconds")
        if self.rate_bytes_s is not None and self.rate_bytes_s <= 0:
            raise ValueError(f"a rate of {self.rate_bytes_s} bytes a second lets nothing pass; cut the link instead")


@dataclass(frozen=True, slots=True)
class Interference:
    """How many packets a degraded link has treated since it was degraded; a packet may count more than once."""

    lost: int = 0
    duplicated: int = 0
    corrupted: int = 0
    delayed: int = 0
    held: int = 0

    @property
    def any(self) -> bool:
        """Whether any packet was touched."""
        return bool(self.lost or self.duplicated or self.corrupted or self.delayed or self.held)


@dataclass(frozen=True, slots=True)
class LinkObservation:
    """What was observed on one directed link.

    source, target: node names, or `CLIENTS`. cut: whether the harness wants it cut now. heard: whether a probe sent
    over it arrived. dropped: packets that the cut has dropped since it was made, or None where nothing counts them.
    interference: what was done to packets, probes of earlier observations too, since the link was degraded; None if it
    is not degraded.
    """

    source: str
    target: str
    cut: bool
    heard: bool
    dropped: int | None
    interference: Interference | None = None


class Network(Protocol):
    """The links between the nodes, and between nodes and clients."""

    async def cut(self, links: Collection[Link], holder: str = "") -> None:
        """Drop everything sent over these directed links, besides those cut already."""

    async def degrade(self, links: Collection[Link], conditions: Conditions, holder: str = "") -> None:
        """Give these directed links these conditions, until healed. Of two holders the later one's count."""

    async def heal(self, holder: str | None = None) -> None:
        """Remove what this holder did, or all that this run has done, and nothing else."""

    async def observe(self) -> list[LinkObservation]:
        """Observe every directed link between two nodes, in the order of the nodes' names; after them, those links of
        clients that are cut or degraded.
        """


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """How wrong a program's clock is.

    offset_s: of the calendar clock, in seconds, from the moment it is set. drift: of the calendar clock; 0.05 gains 5
    seconds in 100. monotonic_drift: of the monotonic clock and all timers, likewise.
    """

    offset_s: float = 0.0
    drift: float = 0.0
    monotonic_drift: float = 0.0


@dataclass(frozen=True, slots=True)
class DiskCondition:
    """What a machine's disk does from now on.

    full: writes fail with ENOSPC. failing: writes and syncs fail with EIO. stall_s: every sync takes this much longer,
    in seconds.
    """

    full: bool = False
    failing: bool = False
    stall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DiskObservation:
    """What a disk did since its condition was set.

    free_bytes: that can be written; None where the machine can't tell. refused: writes and syncs that failed.
    stalled: syncs that were held up.
    """

    free_bytes: int | None = None
    refused: int = 0
    stalled: int = 0


@dataclass(frozen=True, slots=True)
class PowerCut:
    """What a power cut took: writes that were not synced (`undone`), and their bytes. torn: the last one was kept in
    part.
    """

    undone: int
    undone_bytes: int
    torn: bool = False


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
    data: the directory whose contents are the node's durable state, or None. It is made if it is missing.
    preload: whether libraries may be preloaded into it, as faults of clocks and disks need on real machines. False for
    a static binary, and for Go: those faults are then refused by name.
    simulate: builds the process inside a simulated machine; None if the system can't be simulated. It is
    given the `simulated_machine.SimulatedMachine` and returns a `SimulatedProcess`. `asyncio_program(main)` is one,
    for any program written for asyncio.
    user: as whom it runs on a real machine; the files and the directory are that user's. None for root.
    logs: paths of more files to which it logs.
    """

    name: str
    command: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    data: str | None = None
    preload: bool = True
    simulate: Callable[[Any], SimulatedProcess] | None = None
    user: str | None = None
    logs: tuple[str, ...] = ()


class SimulatedProcess(Protocol):
    """A process inside a simulated machine. After `stop` it must do nothing more: that is a kill -9.

    It may have a method `terminate`, which handles SIGTERM; without one SIGTERM ends it at once.
    """

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Machine(Protocol):
    """One node's machine.

    name: the node's name. host: the address at which peers and clients reach it. taken_down: the program's end is no
    wonder: it was killed, terminated or cut off from power, or a fault gave it cause to end. A start takes that back
    once the program runs. ended: how the program ended when `running` last found that it had ended by itself (`exit
    status 1`); empty if it never did, or that is not known.
    """

    name: str
    host: str
    taken_down: bool
    ended: str

    async def start(self, program: Program) -> None:
        """Start the program. Raises EnvironmentFailure with the end of its log if it is gone at once."""

    async def kill(self) -> None:
        """kill -9 the program. A simulated machine loses what was not synced as well."""

    async def terminate(self) -> None:
        """SIGTERM. Returns at once; the program ends when it likes."""

    async def power_cut(self, *, torn: bool = False) -> PowerCut:
        """kill -9, and lose what was not synced. torn: of the last write not synced, a part is kept."""

    async def pause(self) -> None:
        """SIGSTOP."""

    async def resume(self) -> None:
        """SIGCONT."""

    async def wipe(self) -> None:
        """Empty the program's data directory. Only while it is not running."""

    async def set_clock(self, clock: ClockSetting) -> None:
        """Make the program's clock wrong, or right again: `ClockSetting()`."""

    async def read_clock(self) -> float:
        """By how much the program's calendar clock is ahead of the harness's, in seconds, through its own eyes."""

    async def read_monotonic(self) -> float:
        """What the program's monotonic clock shows, in seconds. Only where the environment can make it wrong."""

    async def set_disk(self, condition: DiskCondition) -> None:
        """Make the disk fail, or work again: `DiskCondition()`."""

    async def read_disk(self) -> DiskObservation:
        """What the disk did since then."""

    async def flip_bit(self, seed: int) -> str:
        """Flip one bit of what the program has stored, drawn by the seed. Only while it is not running. Returns where;
        "" if nothing is stored.
        """

    async def marked(self, marks: Collection[str]) -> str:
        """Wait until the program makes one of these marks (`system.Marking`), from now on. Returns which."""

    async def running(self) -> bool:
        """Whether the program's process exists; a paused one does."""

    async def run(self, command: Sequence[str], *, user: str | None = None, timeout_s: float = 30.0) -> str:
        """Run another command to its end, as this user or as root, and return what it printed.

        Raises EnvironmentFailure if its exit status is not 0, with what it said, or if it takes longer. A simulated
        machine has no commands.
        """

    async def logs(self) -> Mapping[str, bytes]:
        """Log files by name."""


ABILITIES = frozenset(
    {
        *("cut", "cut-clients", "degrade"),
        *("kill", "terminate", "pause"),
        *("clock", "monotonic-clock"),
        *("power-cut", "torn-write", "wipe", "full-disk", "failing-disk", "stalled-disk", "flip-bit"),
        *("marks", "spares"),
    }
)
"""What an environment may be able to do."""


class Environment(Protocol):
    """A place to run.

    name: as in `--env`. Making one starts nothing; `open` does.
    members: nodes that belong to the cluster at present: at first all but spares; a fault may change that.
    """

    name: str
    members: list[str]

    @property
    def abilities(self) -> frozenset[str]:
        """Among `ABILITIES`. They may get fewer when `open` sees the machines, and when a program starts there."""

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
        """A datagram socket for a client outside the cluster, at the end `CLIENTS` of links."""


@runtime_checkable
class Recording(Protocol):
    """An environment that records more than the history and the nodes' logs."""

    def record(self, folder: Path) -> None:
        """Write it to this folder, the run's. Called once, before `open`."""
