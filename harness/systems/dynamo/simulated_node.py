"""The simulator's shells around the store's core: what `store.server` is on a real machine.

1. `SimulatedNode` runs a node on a `SimulatedMachine`, as the program of a run.
2. `KIND` lets a `SimulatedCluster` run nodes and clients, for tests and benchmarks that steer them by hand.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from typing import assert_never

from splitbrain.harness.environment import Address, Endpoint
from splitbrain.harness.seeds import draw, split
from splitbrain.harness.simulation.cluster import Kind, Shell
from splitbrain.harness.simulation.simulated_machine import SimulatedMachine, Timer
from splitbrain.harness.systems.dynamo.checked_disk import CheckedDisk
from splitbrain.store import Config, Member, Node
from splitbrain.store.actions import Action, Bits, Halt, Instant, Note, Persist, Send
from splitbrain.store.storage.engine import DamagedRecord


def perform(action: Action, shell: Shell) -> None:
    """Do what a node or a client asks for."""
    match action:
        case Send():
            shell.send(action.to, action.datagram)
        case Persist():
            shell.persist(action)
        case Note():
            shell.note(action.text)
        case Halt():
            shell.halt(action.text)
        case _:
            assert_never(action)


KIND = Kind(Instant, perform)


def by_width(rng: random.Random) -> Bits:
    """Randomness with a stream of its own for each number of bits.

    Every request draws (an id of 64 bits, jitter of 10). Gossip draws 16 and 32 bits, anti-entropy 11. So with one
    request less, a node still gossips with the same peers at the same times.
    """
    seed = rng.getrandbits(64)
    streams: dict[int, Bits] = {}

    def bits(width: int) -> int:
        if width not in streams:
            streams[width] = draw(split(seed, width)).getrandbits
        return streams[width](width)

    return bits


class SimulatedNode:
    """A node on a simulated machine. port: where it listens."""

    def __init__(
        self,
        machine: SimulatedMachine,
        members: list[Member],
        config: Config,
        secret: bytes,
        cluster: str,
        port: int,
        seeds: Sequence[Address] = (),
    ) -> None:
        self._machine = machine
        self._port = port
        self._endpoint: Endpoint | None = None
        self._timer: Timer | None = None
        self._due: float | None = None
        self._disk = CheckedDisk(machine.disk, self._damaged)
        self._met: set[tuple[str, bytes]] = set()
        self._node = Node(
            machine.name,
            members,
            config,
            secret=secret,
            cluster=cluster,
            reader=self._disk,
            bits=by_width(machine.rng),
            seeds=seeds,
        )
        self._counters = self._node.inspect().core.counters
        self._counted: dict[str, int] = {}

    def start(self) -> None:
        """Begin to serve."""
        self._endpoint = self._machine.endpoint(self._port, self._received)
        self._machine.log("serving")
        self._do(self._node.start(self._now()))

    def stop(self) -> None:
        """The process has ended."""
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None
        if self._timer is not None:
            self._timer.cancel()

    def send(self, to: Address, datagram: bytes) -> None:
        """The node sends a datagram."""
        if self._endpoint is not None:
            self._endpoint.send(datagram, to)

    def persist(self, persist: Persist) -> None:
        """The node wants records to be durable."""

        def done() -> None:
            if self._endpoint is not None:
                self._do(self._node.persisted(persist.ticket, self._now()))

        def failed(error: OSError) -> None:
            if self._endpoint is None:
                return
            if error.errno == errno.ENOSPC:
                self._do(self._node.persist_refused(persist.ticket, self._now()))
            else:
                self._machine.exit(f"{self._machine.name} stops: can't write ({error}); check the disk for failures")

        self._disk.commit(persist.records, done, failed)

    def note(self, text: str) -> None:
        """The node writes to its log."""
        self._machine.log(text)

    def halt(self, text: str) -> None:
        """The node ends its process."""
        self._machine.exit(f"{self._machine.name} stops: {text}")

    def _damaged(self, damage: DamagedRecord) -> None:
        if (damage.space, damage.key) not in self._met:
            self._met.add((damage.space, damage.key))
            self._machine.log(f"the record of {damage.key!r} in {damage.space!r} is damaged")

    def _now(self) -> Instant:
        return Instant(self._machine.now(), self._machine.wall_ns())

    def _received(self, datagram: bytes, source: Address) -> None:
        self._do(self._node.receive(datagram, source, self._now()))

    def _wake(self) -> None:
        self._due = self._timer = None
        self._do(self._node.wake(self._now()))

    def _do(self, actions: list[Action]) -> None:
        if self._endpoint is None:
            return
        for action in actions:
            perform(action, self)
        if self._machine.awaited:
            self._mark()
        else:
            self._counted.clear()
        due = self._node.next_wake
        if due is not None and (self._due is None or due < self._due):
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = self._machine.call_at(due, self._wake)

    def _mark(self) -> None:
        """Make the marks that are counters, and have grown since the first event after somebody began to wait."""
        for mark in list(self._machine.awaited):
            count = self._counters[mark]
            if count > self._counted.get(mark, count):
                self._machine.mark(mark)
            self._counted[mark] = count
