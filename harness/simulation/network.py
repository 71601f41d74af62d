"""A simulated network of datagrams.

1. Each directed link loses, delays and duplicates independently, as its conditions say. Unequal delays reorder. A
   host's link to itself is as fast as the loop and never fails.
2. A cut drops what is sent over its link, and what is in transit on it when the cut is made. Only links between two
   nodes can be cut: a client's links have no name.
3. A datagram to an address that is not bound when it arrives is dropped. Nothing is ever corrupted or throttled.
4. One seed gives one order of draws: the same sends give the same deliveries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from splitbrain.harness.environment import Address, Link, LinkObservation, OnDatagram
from splitbrain.harness.seeds import draw
from splitbrain.harness.simulation.loop import VirtualLoop

LARGEST_DATAGRAM = 65_507
"""Bytes: what UDP over IPv4 can carry."""
PROBE_PORT = 1
PROBES = 20
"""Probes to each link: one observation in a million finds a link silent that loses half of its datagrams."""


@dataclass(frozen=True, slots=True)
class LinkConditions:
    """What a directed link does to datagrams.

    loss, duplication: probabilities from 0 to 1. delay_s: the shortest and the longest, uniform between.
    """

    loss: float = 0.0
    duplication: float = 0.0
    delay_s: tuple[float, float] = (0.000_1, 0.001)

    def __post_init__(self) -> None:
        if not (0 <= self.loss <= 1 and 0 <= self.duplication <= 1):
            raise ValueError(f"loss {self.loss} and duplication {self.duplication} must lie between 0 and 1")
        if not 0 <= self.delay_s[0] <= self.delay_s[1]:
            raise ValueError(f"delays {self.delay_s} must be the shortest, then the longest, in seconds")


class _Wire:
    """A directed link's state. swallowed: datagrams its cut has dropped since it was made."""

    __slots__ = ("conditions", "cut", "swallowed")

    def __init__(self, conditions: LinkConditions) -> None:
        self.conditions = conditions
        self.cut = False
        self.swallowed = 0


LOOPBACK = LinkConditions(delay_s=(0.000_01, 0.000_01))


class SimulatedNetwork:
    """The network. Implements `environment.Network`; a host's name is its node's.

    datagrams: how many were handed over to a receiver so far.
    """

    def __init__(
        self, loop: VirtualLoop, nodes: Sequence[str], *, seed: int, conditions: LinkConditions | None = None
    ) -> None:
        self._loop = loop
        self._nodes = tuple(sorted(nodes))
        self._random = draw(seed).random
        self._conditions = conditions or LinkConditions()
        self._wires: dict[Link, _Wire] = {}
        self._receivers: dict[Address, OnDatagram] = {}
        self.datagrams = 0

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes' names, sorted."""
        return self._nodes

    def bind(self, address: Address, receive: OnDatagram) -> SimulatedEndpoint:
        """An endpoint at this address. Raises OSError if there is one already."""
        if address in self._receivers:
            raise OSError(f"address {address[0]}:{address[1]} is in use")
        self._receivers[address] = receive
        return SimulatedEndpoint(self, address)

    def unbind(self, address: Address) -> None:
        """Nothing more is received there."""
        self._receivers.pop(address, None)

    def set_conditions(self, links: Collection[Link], conditions: LinkConditions) -> None:
        """From now on these directed links are so."""
        for link in links:
            self._wire(*link).conditions = conditions

    def send(self, source: Address, datagram: bytes, to: Address) -> None:
        """Put a datagram on the wire. Raises OSError if it is longer than UDP can carry."""
        if len(datagram) > LARGEST_DATAGRAM:
            raise OSError(f"a datagram of {len(datagram)} bytes is longer than {LARGEST_DATAGRAM}")
        wire = self._wires.get((source[0], to[0])) or self._wire(source[0], to[0])
        if wire.cut:
            wire.swallowed += 1
            return
        conditions = wire.conditions
        shortest_s, longest_s = conditions.delay_s
        random = self._random
        if not (conditions.loss and random() < conditions.loss):
            delay_s = shortest_s + (longest_s - shortest_s) * random()
            self._loop.deliver(delay_s, self._arrive, wire, datagram, source, to)
        if conditions.duplication and random() < conditions.duplication:
            delay_s = shortest_s + (longest_s - shortest_s) * random()
            self._loop.deliver(delay_s, self._arrive, wire, datagram, source, to)

    def _arrive(self, wire: _Wire, datagram: bytes, source: Address, to: Address) -> None:
        if wire.cut:
            wire.swallowed += 1
            return
        receive = self._receivers.get(to)
        if receive is not None:
            self.datagrams += 1
            receive(datagram, source)

    def _wire(self, source: str, target: str) -> _Wire:
        link = (source, target)
        if link not in self._wires:
            self._wires[link] = _Wire(LOOPBACK if source == target else self._conditions)
        return self._wires[link]

    async def cut(self, links: Collection[Link]) -> None:
        """Drop everything on these directed links. Raises ValueError naming a link that isn't between two nodes."""
        for link in links:
            if link[0] == link[1] or not set(link) <= set(self._nodes):
                raise ValueError(f"{link[0]} -> {link[1]} is no link between two of {', '.join(self._nodes)}")
        for link in links:
            wire = self._wire(*link)
            if not wire.cut:
                wire.cut, wire.swallowed = True, 0

    async def heal(self) -> None:
        """Remove every cut. What was swallowed stays swallowed."""
        for wire in self._wires.values():
            wire.cut = False

    async def observe(self) -> list[LinkObservation]:
        """Send probes over every directed link and wait as long as the slowest may take.

        A cut's count is taken before the probes, which it swallows too.
        """
        links = [(source, target) for source in self._nodes for target in self._nodes if source != target]
        dropped = {link: self._wire(*link).swallowed if self._wire(*link).cut else None for link in links}
        heard: set[Link] = set()
        probes = {}
        for node in self._nodes:
            probes[node] = self.bind((node, PROBE_PORT), _note(heard, node))
        try:
            for source, target in links:
                for _ in range(PROBES):
                    probes[source].send(b"probe", (target, PROBE_PORT))
            slowest_s = max((self._wire(*link).conditions.delay_s[1] for link in links), default=0.0)
            await asyncio.sleep(slowest_s * 1.01)
        finally:
            for probe in probes.values():
                probe.close()
        for link, count in dropped.items():
            if count is not None:
                self._wire(*link).swallowed -= PROBES
        return [
            LinkObservation(*link, cut=self._wire(*link).cut, heard=link in heard, dropped=dropped[link])
            for link in links
        ]


def _note(heard: set[Link], target: str) -> OnDatagram:
    return lambda _, source: heard.add((source[0], target))


class SimulatedEndpoint:
    """A datagram socket on the network."""

    __slots__ = ("_network", "_open", "address")

    def __init__(self, network: SimulatedNetwork, address: Address) -> None:
        self._network = network
        self._open = True
        self.address = address

    def send(self, datagram: bytes, to: Address) -> None:
        if self._open:
            self._network.send(self.address, datagram, to)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._network.unbind(self.address)
