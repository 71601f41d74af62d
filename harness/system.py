"""Systems: what a system under test must offer, which is a program for each node and connections for clients.

1. The harness kills, pauses and cuts off nodes by the environment's means. A system only starts nodes, connects
   clients, and says whether a node is ready.
2. A connection speaks one or more interfaces: `VersionedStore`, or those in `interfaces`. A workload names
   the one that it needs, and a system that lacks it is refused before the start, by name.
3. A connection raises `OperationFailed` if an operation did not succeed: `fail` in the history if it certainly did not
   happen (`definite`), `info` if its outcome is indeterminate. Anything else it raises is a crash of the client, and
   the run is broken.
4. A system that can make mistakes on demand publishes them by name, as its attribute `defects` (`defects_of`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from splitbrain.harness.environment import Environment, Machine

USER: ContextVar[str] = ContextVar("user", default="")
"""For whom a connection is made: "process 3" of the clients, or "" for the harness itself. What a simulated system's
clients draw may hang on it, so that with one client less the others are what they were."""


class OperationFailed(Exception):
    """An operation did not succeed.

    code: the system's own name for the reason, e.g. "timeout". definite: it certainly did not happen (`fail`);
    otherwise its outcome is indeterminate (`info`).
    """

    def __init__(self, code: str, message: str, *, definite: bool) -> None:
        super().__init__(message)
        self.code = code
        self.definite = definite


@dataclass(frozen=True, slots=True)
class Siblings:
    """What a versioned read returned: every concurrent value, and one context that covers them all.

    values: the siblings; empty if the key was never written or is deleted. context: opaque; None if the system gives
    none.
    """

    values: tuple[bytes, ...]
    context: bytes | None


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What one node itself holds of a key.

    home: the node is among the key's N primary replicas. versions: an identifier of each version, sorted; equal lists
    mean equal replicas. values: their values in the same order (None: a tombstone). hinted: for how many other nodes it
    keeps this key.
    """

    home: bool
    versions: tuple[str, ...]
    values: tuple[bytes | None, ...]
    hinted: int


@runtime_checkable
class Connection(Protocol):
    """A client's connection to the system, through one node."""

    async def close(self) -> None: ...


@runtime_checkable
class VersionedStore(Connection, Protocol):
    """A key-value store that keeps siblings (Dynamo, SOSP 2007, section 4.1). Raises OperationFailed."""

    async def get(self, key: bytes) -> Siblings: ...

    async def put(self, key: bytes, value: bytes, context: bytes | None) -> bytes:
        """Returns the context that covers this write and what it replaced."""

    async def delete(self, key: bytes, context: bytes) -> bytes:
        """Delete what the context covers. Returns the context that covers the delete too."""

    async def replica(self, key: bytes) -> ReplicaState:
        """Ask the node itself, with no quorum."""


@dataclass(frozen=True)
class NodeImage:
    """What a system's nodes are made of, besides what the harness puts on every node (sshd, iptables, Python 3).

    Either it is built on the harness's own Debian:
    debian: names of Debian packages. python: names of installed distributions; a node gets the versions installed
    here, in a folder on its PYTHONPATH, so that it runs what was tested. files: absolute path on the node -> contents,
    mode 0644; `/opt/splitbrain` is on PYTHONPATH too. executables: those of the files with mode 0755.
    disk_mib: each container has a disk of its own, of so many MiB, so that a power cut needs nothing preloaded into the
    program; 0 for none.

    Or it is somebody else's, taken as it is, with the files added; it needs no shell, no Python and no sshd:
    stock: an image by name, "redis:7". dockerfile: the path of a Dockerfile, or of the folder that has it.
    Equal values make equal images, which are built once. Raises ValueError for a mixture of these.
    """

    debian: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    executables: tuple[str, ...] = ()
    disk_mib: int = 0
    stock: str = ""
    dockerfile: str | Path = ""

    def __post_init__(self) -> None:
        if self.stock and self.dockerfile:
            raise ValueError(f"a node image is either stock ({self.stock}) or of a Dockerfile ({self.dockerfile})")
        if self.foreign and (self.debian or self.python):
            raise ValueError(
                f"{self.stock or self.dockerfile} is taken as it is, so debian and python can't be added; "
                "install them in a Dockerfile of your own"
            )

    @property
    def foreign(self) -> bool:
        """Whether it is somebody else's image."""
        return bool(self.stock or self.dockerfile)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A well-known mistake that a system makes on demand, so that a harness can be measured by what it finds.

    summary: what goes wrong, in one sentence. source: where the mistake is known from. config: the system's keys and
    values that switch it on.
    """

    summary: str
    source: str
    config: Mapping[str, str]


@runtime_checkable
class System(Protocol):
    """A system under test.

    name: as registered in `splitbrain.systems`. config: its keys with their defaults. interfaces: names of those its
    connections speak, e.g. "VersionedStore". configure: the same system with some keys changed, for so many nodes;
    raises ValueError naming a bad value.
    """

    name: str
    config: Mapping[str, str]
    interfaces: frozenset[str]

    def configure(self, config: Mapping[str, str], *, seed: int, nodes: int) -> System: ...

    async def start(self, environment: Environment, machine: Machine) -> None:
        """Start the node on that machine, for the first time or again. Returns once it answers."""

    async def connect(self, environment: Environment, node: str) -> Connection:
        """A new connection for a client, through that node."""

    async def ready(self, environment: Environment, node: str) -> bool:
        """Whether the node answers a request of its own."""

    def image(self) -> NodeImage:
        """What its nodes are made of, for environments of containers."""

    def describe(self) -> Mapping[str, Any]:
        """JSON-able facts for run.json: the configuration in force."""


@runtime_checkable
class Tolerant(Protocol):
    """A system that promises something even if nodes lose what they hold."""

    def tolerates(self, nodes: int) -> int:
        """How many of so many nodes may lose all they hold, and what was acknowledged is still there."""


@runtime_checkable
class Partitioned(Protocol):
    """A system that knows which nodes hold a key."""

    def owners(self, nodes: tuple[str, ...]) -> Collection[Collection[str]]:
        """Sets of nodes, each of which holds some of the keys, when all of these are members."""


@runtime_checkable
class Configurable(Protocol):
    """A system that says with which settings its promises hold."""

    @property
    def space(self) -> Sequence[Sequence[Mapping[str, str]]]:
        """Dimensions. Each is a choice of settings, and what is chosen in one leaves the others free.

        The first is what matters most: the default plan of a campaign deals its choices in turn, and draws the others.
        """


@runtime_checkable
class Elastic(Protocol):
    """A system whose nodes join and leave while it serves."""

    async def join(self, environment: Environment, machine: Machine, members: tuple[str, ...]) -> None:
        """Start a node on a machine that holds nothing, and have it join these. Returns once it is one of them."""

    async def leave(self, environment: Environment, node: str, members: tuple[str, ...], *, gone: bool) -> None:
        """Have a node leave the others, which are `members`. Returns once it has handed over what it held.

        gone: its machine is dead, and it hands nothing over.
        """

    async def members(self, environment: Environment, node: str) -> frozenset[str]:
        """Who is in the cluster, as this node sees it. Empty if it does not answer."""


@runtime_checkable
class Preparable(Protocol):
    """A system that needs something done once, for all of its nodes: a schema, a cluster formed."""

    async def prepare(self, environment: Environment) -> None:
        """Called once, when all nodes were started for the first time, before the first client."""


@runtime_checkable
class Dismantled(Protocol):
    """A system that leaves something behind which its nodes' environment does not remove."""

    async def tear_down(self, environment: Environment) -> None:
        """Called once, when all is read and judged, while the nodes still run; not if they are kept."""


@runtime_checkable
class Led(Protocol):
    """A system in which one node leads."""

    async def leader(self, environment: Environment) -> str | None:
        """The node that leads at present, or None while none does."""


@runtime_checkable
class Resident(Protocol):
    """A system that runs in one environment only. environment: its name, as in `--env`."""

    @property
    def environment(self) -> str: ...


@runtime_checkable
class Prescribing(Protocol):
    """A system that leaves workloads less choice than they have: it has one set, say, and no second."""

    def prescribe(self, interface: str) -> Mapping[str, str]:
        """Keys of workloads on that interface, with the values that they have on this system unless the user gives
        others.
        """


@runtime_checkable
class Marking(Protocol):
    """A system whose nodes let on what they do, so that a fault can strike at that very moment."""

    @property
    def marks(self) -> Sequence[Sequence[str]]:
        """Groups of marks, each of which a strike waits for together.

        A mark is what a simulated process names when it does something (`SimulatedMachine.mark`), or a text in a line
        of its log.
        """


def defects_of(system: System) -> Mapping[str, Mutant]:
    """The mistakes that a system publishes, by name; none where it has no attribute `defects`."""
    found: Mapping[str, Mutant] = getattr(system, "defects", {})
    return found
