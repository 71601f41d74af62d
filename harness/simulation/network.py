"""A simulated network of datagrams.

1. Each directed link loses, delays and duplicates independently, as its conditions say. Unequal delays reorder. A
   host's link to itself is as fast as the loop and never fails.
2. A cut drops what is sent over its link. What is in transit when the cut is made is lost with it or still arrives: a
   drawn choice for each cut, as a real link may break at either end.
3. A degraded link does more, as its holder's `Conditions` say, and counts what it does. Of a limited rate, what would
   wait for longer than `LONGEST_QUEUE_S` is lost, as in a router whose buffer is full.
4. All hosts that are neither nodes nor `apart` are clients, and share links: `(CLIENTS, "n1")` is what any of them
   sends to n1. Hosts that are apart have links of their own, which no fault touches and no observation shows.
5. A datagram to an address that is not bound when it arrives is dropped.
6. Every link draws from streams of its own: one for what it does anyway, one for what it does while it is degraded. The
   harness's own probes draw from another. So what is taken out of a run leaves the rest as it was. No cut counts probes
   among what it dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from splitbrain.harness.environment import CLIENTS, Address, Conditions, Interference, Link, LinkObservation, OnDatagram
from splitbrain.harness.seeds import draw, fraction, shuffled, split
from splitbrain.harness.simulation.loop import Deliveries

LARGEST_DATAGRAM = 65_507
"""Bytes: what UDP over IPv4 can carry."""
LONGEST_QUEUE_S = 1.0
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


LOOPBACK = LinkConditions(delay_s=(0.000_01, 0.000_01))


class _Wire:
    """A directed link's state.

    conditions: what it does anyway. cutters: the holders that cut it. degraders: what holders make it do besides, the
    one that counts last. swallowed: datagrams that its cut has dropped since it was made. lost, duplicated, corrupted,
    delayed, held: since it was degraded. queue: what it holds back. busy_until: when its limited rate has let
    everything pass. epoch: how often a cut has swallowed what was in transit.
    """

    __slots__ = (
        "busy_until",
        "conditions",
        "corrupted",
        "cutters",
        "degraders",
        "delayed",
        "duplicated",
        "epoch",
        "held",
        "link",
        "lost",
        "queue",
        "random",
        "random_degraded",
        "shuffling",
        "swallowed",
    )

    def __init__(self, link: Link, conditions: LinkConditions, seed: int) -> None:
        own = split(seed, f"{link[0]}>{link[1]}")
        self.link = link
        self.conditions = conditions
        self.random = draw(own).random
        self.random_degraded = draw(split(own, "degraded")).random
        self.shuffling = draw(split(own, "released"))
        self.cutters: set[str] = set()
        self.degraders: dict[str, Conditions] = {}
        self.swallowed = 0
        self.queue: list[tuple[bytes, Address, Address]] = []
        self.busy_until = 0.0
        self.epoch = 0
        self.forget()

    def forget(self) -> None:
        """Count interference from here on."""
        self.lost = self.duplicated = self.corrupted = self.delayed = self.held = 0

    @property
    def degraded(self) -> Conditions | None:
        """What it does besides what it does anyway."""
        return next(reversed(self.degraders.values()), None)

    @property
    def interference(self) -> Interference | None:
        if not self.degraders:
            return None
        return Interference(self.lost, self.duplicated, self.corrupted, self.delayed, self.held)


class SimulatedNetwork:
    """The network. Implements `environment.Network`; a host's name is its node's.

    apart: see rule 4. largest: the bytes of a datagram at most. datagrams: how many were handed over to a receiver so
    far.
    """

    def __init__(
        self,
        loop: Deliveries,
        nodes: Sequence[str],
        *,
        seed: int,
        conditions: LinkConditions | None = None,
        apart: Collection[str] = (),
        largest: int = LARGEST_DATAGRAM,
    ) -> None:
        self._loop = loop
        self._turn = asyncio.Lock()
        self._nodes = tuple(sorted(nodes))
        self._named = frozenset((*nodes, *apart))
        self._largest = largest
        self._seed = seed
        self._probes = draw(split(seed, "probes")).random
        self._conditions = conditions or LinkConditions()
        self._wires: dict[Link, _Wire] = {}
        self._between: dict[Link, _Wire] = {}
        """The wires by hosts; those of all clients are one."""
        self._cuts: dict[str, int] = {}
        """How many cuts each holder has made."""
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
        """From now on these directed links are so anyway."""
        for link in links:
            self._wire(link).conditions = conditions

    def send(self, source: Address, datagram: bytes, to: Address) -> None:
        """Put a datagram on the wire. Raises OSError if it is too long."""
        if len(datagram) > self._largest:
            raise OSError(f"a datagram of {len(datagram)} bytes is longer than {self._largest}")
        hosts = (source[0], to[0])
        wire = self._between.get(hosts) or self._connect(hosts)
        probe = to[1] == PROBE_PORT
        if wire.cutters:
            wire.swallowed += not probe
            return
        conditions = wire.conditions
        shortest_s, longest_s = conditions.delay_s
        random = self._probes if probe else wire.random
        carry = self._interfere if wire.degraders else self._carry
        if not (conditions.loss and random() < conditions.loss):
            carry(wire, shortest_s + (longest_s - shortest_s) * random(), datagram, source, to)
        if conditions.duplication and random() < conditions.duplication:
            carry(wire, shortest_s + (longest_s - shortest_s) * random(), datagram, source, to)

    def cuts(self, hosts: Link) -> bool:
        """Whether what one of these two hosts sends to the other is dropped now."""
        return bool((self._between.get(hosts) or self._connect(hosts)).cutters)

    def _carry(self, wire: _Wire, delay_s: float, datagram: bytes, source: Address, to: Address) -> None:
        self._loop.deliver(delay_s, self._arrive, wire, wire.epoch, datagram, source, to)

    def _interfere(self, wire: _Wire, delay_s: float, datagram: bytes, source: Address, to: Address) -> None:
        """Treat a datagram on a degraded link."""
        degraded = wire.degraded
        assert degraded is not None
        random = self._probes if to[1] == PROBE_PORT else wire.random_degraded
        if degraded.loss and random() < degraded.loss:
            wire.lost += 1
            return
        if degraded.corruption and random() < degraded.corruption:
            wire.corrupted += 1
            datagram = _flipped(datagram, random)
        copies = 1
        if degraded.duplication and random() < degraded.duplication:
            wire.duplicated += 1
            copies = 2
        for _ in range(copies):
            if degraded.hold:
                wire.held += 1
                wire.queue.append((datagram, source, to))
                continue
            later_s = self._late(wire, degraded, len(datagram), random)
            if later_s is None:
                wire.lost += 1
            else:
                wire.delayed += later_s > 0
                self._carry(wire, delay_s + later_s, datagram, source, to)

    def _late(self, wire: _Wire, degraded: Conditions, size: int, random: Callable[[], float]) -> float | None:
        """How much later a datagram arrives; None: the queue is too long."""
        shortest_s, longest_s = degraded.delay_s
        later_s = shortest_s + (longest_s - shortest_s) * random() if longest_s else 0.0
        if degraded.rate_bytes_s is None:
            return later_s
        now = self._loop.time()
        waits_s = max(0.0, wire.busy_until - now)
        if waits_s > LONGEST_QUEUE_S:
            return None
        # The first of an idle link passes at once: only those behind it are late.
        wire.busy_until = now + waits_s + size / degraded.rate_bytes_s
        return later_s + waits_s

    def _arrive(self, wire: _Wire, epoch: int, datagram: bytes, source: Address, to: Address) -> None:
        if epoch != wire.epoch:
            wire.swallowed += to[1] != PROBE_PORT
            return
        receive = self._receivers.get(to)
        if receive is not None:
            self.datagrams += 1
            receive(datagram, source)

    def _connect(self, hosts: Link) -> _Wire:
        source, target = (host if host in self._named else CLIENTS for host in hosts)
        looped = hosts[0] == hosts[1]
        wire = self._between[hosts] = _Wire(hosts, LOOPBACK, self._seed) if looped else self._wire((source, target))
        return wire

    def _wire(self, link: Link) -> _Wire:
        if link not in self._wires:
            self._wires[link] = _Wire(link, self._conditions, self._seed)
        return self._wires[link]

    async def cut(self, links: Collection[Link], holder: str = "") -> None:
        """Drop everything on these directed links. Raises ValueError naming a link that can't be cut."""
        self._check(links)
        number = self._cuts[holder] = self._cuts.get(holder, 0) + 1
        swallows = fraction(split(split(self._seed, f"cut by {holder}"), number)) < 0.5
        for link in links:
            wire = self._wire(link)
            if not wire.cutters:
                wire.swallowed = 0
                wire.epoch += swallows
            wire.cutters.add(holder)

    async def degrade(self, links: Collection[Link], conditions: Conditions, holder: str = "") -> None:
        """Give these directed links these conditions. Raises ValueError naming a link that can't be degraded."""
        self._check(links)
        for link in links:
            wire = self._wire(link)
            if not wire.degraders:
                wire.forget()
            wire.degraders.pop(holder, None)
            wire.degraders[holder] = conditions
            self._release(wire)

    async def heal(self, holder: str | None = None) -> None:
        """Remove what this holder did, or all that was done. What was swallowed stays swallowed."""
        for wire in self._wires.values():
            if holder is None:
                wire.cutters.clear()
                wire.degraders.clear()
            else:
                wire.cutters.discard(holder)
                wire.degraders.pop(holder, None)
            self._release(wire)

    def _release(self, wire: _Wire) -> None:
        """Let go what was held back, in random order, unless the link still holds."""
        degraded = wire.degraded
        if degraded is None:
            wire.busy_until = 0.0
        if not wire.queue or (degraded is not None and degraded.hold):
            return
        released, wire.queue = shuffled(wire.shuffling, wire.queue), []
        for datagram, source, to in released:
            if wire.cutters:
                wire.swallowed += 1
            else:
                # All at the same time: datagrams that are due together arrive in this order.
                self._carry(wire, wire.conditions.delay_s[0], datagram, source, to)

    def _check(self, links: Collection[Link]) -> None:
        ends = {*self._nodes, CLIENTS}
        for source, target in links:
            if source == target or not {source, target} <= ends:
                raise ValueError(f"{source} -> {target} is no link between two of {', '.join((*self._nodes, CLIENTS))}")

    async def observe(self) -> list[LinkObservation]:
        """Send probes over every directed link, and wait as long as the slowest may take. Counts are of before.

        One at a time. A link that was disturbed at its beginning or at its end counts as disturbed.
        """
        async with self._turn:
            return await self._observe()

    async def _observe(self) -> list[LinkObservation]:
        links = [(source, target) for source in self._nodes for target in self._nodes if source != target]
        links += [
            link
            for link in sorted(self._wires)
            if CLIENTS in link and (self._wires[link].cutters or self._wires[link].degraders)
        ]
        wires = [self._wire(link) for link in links]
        before = [(bool(wire.cutters), wire.swallowed, wire.interference) for wire in wires]
        heard: set[Link] = set()
        probes = {}
        for end in sorted({end for link in links for end in link}):
            probes[end] = self.bind((end, PROBE_PORT), _note(heard, end))
        try:
            for source, target in links:
                for _ in range(PROBES):
                    probes[source].send(b"probe", (target, PROBE_PORT))
            await asyncio.sleep(max(map(_slowest_s, wires), default=0.0) * 1.01)
        finally:
            for probe in probes.values():
                probe.close()
        return [
            LinkObservation(
                *link,
                cut=cut or bool(wire.cutters),
                heard=link in heard,
                dropped=dropped if cut else None,
                interference=interference or wire.interference,
            )
            for link, wire, (cut, dropped, interference) in zip(links, wires, before, strict=True)
        ]


def _slowest_s(wire: _Wire) -> float:
    """How long a datagram on it may take, unless it is lost."""
    degraded = wire.degraded
    if wire.cutters:
        return 0.0
    if degraded is None or degraded.hold:
        return wire.conditions.delay_s[1]
    queued_s = 0.0 if degraded.rate_bytes_s is None else LONGEST_QUEUE_S
    return wire.conditions.delay_s[1] + degraded.delay_s[1] + queued_s


def _flipped(datagram: bytes, random: Callable[[], float]) -> bytes:
    """The datagram with one bit flipped."""
    if not datagram:
        return datagram
    bit = int(random() * 8 * len(datagram))
    flipped = bytearray(datagram)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


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
