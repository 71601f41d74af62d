"""Workloads: what clients do, and what must then hold.

1. A workload is a value. Its file has operation schemas, client, generator, checkers, in that order, and ends in a
   `Workload` registered through the entry-point group `splitbrain.workloads`.
2. A client turns one operation into requests on a connection, and their answers into a completion.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from splitbrain.harness.generators import Generator
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.system import ReplicaState


@dataclass(frozen=True, slots=True)
class Schema:
    """The shape of one kind of operation: `invoked` and `ok` are types msgspec can check a value against."""

    f: str
    invoked: Any
    ok: Any


class ReplicaAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The answer to a `replica` operation: what one node itself holds of the key.

    home: it is one of the key's primaries. versions: identifiers, sorted. values: the value of each, decoded. hinted:
    for how many other nodes it keeps the key.
    """

    home: bool
    versions: list[str]
    values: list[Any]
    hinted: int

    @classmethod
    def of(cls, held: ReplicaState, decode: Callable[[bytes], Any]) -> ReplicaAnswer:
        """From a connection's answer. decode: turns a stored value into the history's."""
        held_versions = sorted(zip(held.versions, held.values, strict=True), key=lambda pair: pair[0])
        return cls(
            held.home,
            [version for version, _ in held_versions],
            [None if value is None else decode(value) for _, value in held_versions],
            held.hinted,
        )

    def as_value(self) -> dict[str, Any]:
        """As a history has it."""
        return msgspec.structs.asdict(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a generator may know of the test.

    nodes: their names. seed: for this workload alone. config: the workload's keys, defaults filled in.
    """

    nodes: tuple[str, ...]
    seed: int
    config: Mapping[str, str]

    def whole(self, key: str) -> int:
        """A configuration value that must be a whole number from 1 to 10,000. Raises ValueError naming the key."""
        text = self.config[key]
        if not text.isascii() or not text.isdigit() or len(text) > 5 or not 1 <= int(text) <= 10_000:
            raise ValueError(f"{key}={text}: give a whole number from 1 to 10000")
        return int(text)

    def keys(self, prefix: str) -> list[str]:
        """As many keys as the configuration's `keys` says: the prefix, and a number from 0."""
        return [f"{prefix}{number}" for number in range(self.whole("keys"))]

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """A configuration value that must be one of these. Raises ValueError naming the key."""
        if self.config[key] not in choices:
            raise ValueError(f"{key}={self.config[key]}: give {' or '.join(choices)}")
        return self.config[key]


class Client(Protocol):
    """One process's client. A new one is made whenever a process is retired."""

    async def invoke(self, invocation: Invocation) -> Completion:
        """Do it. May raise `system.OperationFailed`, whose `definite` decides between fail and info."""

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Workload:
    """What clients do, and what must then hold.

    interface: the connection interface it needs, e.g. "VersionedStore". config: its keys with their defaults. shared:
    makes what all clients of one run share (a lock, say), once a run. client: (connection, shared, config) -> Client.
    generator: what clients do until the time limit; without a rate. healed: (plan, how many faults ended before) ->
    what they do besides, at once, when a fault has ended; None for nothing. final: (plan) -> what is asked once all
    faults are healed and the system serves again (convergence, final reads). probe: (connection) -> writes and reads a
    key that no operation uses, and raises OperationFailed if it is not answered; the system has recovered once it
    passes on every node. None: the interface's own, where the harness has one (`recovery.PROBES`). checkers: name ->
    options, as `check_all` takes them. settings: of the system, where the user gives no others: the values under which
    it promises what is judged. A key that the system does not have is left out. judged_by: config keys that are an
    option of a checker: key -> (checker, option).
    """

    name: str
    summary: str
    interface: str
    schemas: tuple[Schema, ...]
    client: Callable[[Any, Any, Mapping[str, str]], Client]
    generator: Callable[[Plan], Generator]
    final: Callable[[Plan], Generator]
    checkers: Mapping[str, Mapping[str, Any]]
    healed: Callable[[Plan, int], Sequence[Invocation]] | None = None
    probe: Callable[[Any], Awaitable[None]] | None = None
    shared: Callable[[], Any] = lambda: None
    config: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    judged_by: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def checkers_under(self, config: Mapping[str, str]) -> Mapping[str, Mapping[str, Any]]:
        """The checkers with their options, under these config keys; defaults are filled in."""
        found = {name: dict(options) for name, options in self.checkers.items()}
        for key, (checker, option) in self.judged_by.items():
            found[checker][option] = config.get(key, self.config[key])
        return found
