"""An attacker without the key that sees everything: it replays, reorders, redirects, races, relays and damages datagrams.

1. The cluster under attack has clients, nodes that are dead, and nodes that were started again; a tenth of its datagrams
   get lost, and some come twice.
2. The attacker strikes in bursts, between which time passes. A burst takes no time: so whatever differs between the
   `portrait` of a node or a client before it and after it, the attacker has changed.
3. Every datagram of the attacker is counted as refused, once, under a reason of its own.
4. A cluster of the same seed that is left in peace sends the same datagrams at the same times, and ends with the same
   records.

Left out is what no receiver can tell from a slow network: a request that its receiver has never got, and a hello to a
client from another node than it asks, as a client asks whoever is at an address.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from splitbrain.store.actions import Address, Note, Send
from splitbrain.store.client_core import ClientCore
from splitbrain.store.config import Config
from splitbrain.store.node import Node
from splitbrain.store.wire.client_messages import Get, Put
from splitbrain.store.wire.datagrams import HELLO, REQUEST, Wire
from splitbrain.store.wire.rpc import Rpc
from tests.store.box import CLUSTER, SECRET, Box, Call
from tests.store.wire.hostile import OUTSIDERS, contents
from tests.store.wire.portrait import difference, portrait

NODES, DEAD, KEYS = 5, 2, 12
RECORDED_MAX = 20_000
RESTARTS_EVERY = 8
"""Bursts between two changes of who is dead."""
REASONS = (
    "malformed",
    "other_protocol",
    "other_cluster",
    "forged",
    "replayed",
    "reflected",
    "hellos",
    "unasked_answers",
    "notices",
)
"""What a datagram may be counted under; `hellos`: it was told the incarnation that it should have been meant for."""


class Seen(NamedTuple):
    """A datagram on its way."""

    datagram: bytes
    source: Address
    to: Address
    kind: int
    request_id: int


class Shot(NamedTuple):
    """A datagram of the attacker's, and where it seems to come from."""

    datagram: bytes
    source: Address
    to: Address


class Overheard(Box):
    """A box all of whose datagrams are recorded.

    arrived: those whose receiver has got them, or was dead. flying: not yet there. lost: never to arrive.
    trace: of all that was sent: when, whence, where to and how long.
    """

    def __init__(self, seed: int) -> None:
        self._spy = Wire(SECRET, CLUSTER, "spy", random.Random(0).getrandbits)
        self._shuffle = random.Random(f"recorded {seed}")
        self.arrived: list[Seen] = []
        self.flying: dict[int, Seen] = {}
        self.lost: list[Seen] = []
        self.trace: list[tuple[float, Address, Address, int]] = []
        self._carried = 0
        config = Config(partitions=8, anti_entropy_s=3.0, gossip_s=0.5)
        super().__init__(NODES, seed=seed, config=config, loss=0.1, duplicate=0.05)

    def transmit(self, source: str, source_address: Address, to: Address, datagram: bytes) -> None:
        self.trace.append((self.now, source_address, to, len(datagram)))
        carried = self._carried
        super().transmit(source, source_address, to, datagram)
        if self._carried == carried:
            self._record(self.lost, self._seen(to, datagram, source_address))

    def inject(self, to: Address, datagram: bytes, source: Address, delay_s: float = 0.0) -> None:
        """As of a box; once it has arrived, it may be replayed."""
        super().inject(to, datagram, source, delay_s)
        self._carried += 1
        number, seen = self._carried, self._seen(to, datagram, source)
        self.flying[number] = seen
        self.at(self.now + delay_s, lambda: self._record(self.arrived, self.flying.pop(number)))

    def _seen(self, to: Address, datagram: bytes, source: Address) -> Seen:
        fragment = self._spy.open(datagram)
        return Seen(datagram, source, to, fragment.kind, fragment.request_id)

    def _record(self, where: list[Seen], seen: Seen) -> None:
        if len(where) < RECORDED_MAX:
            where.append(seen)
        else:
            where[self._shuffle.randrange(RECORDED_MAX)] = seen


class Life:
    """What goes on in the cluster between two bursts, as its seed has it. outcomes: of the clients' requests."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(f"life {seed}")
        self.box = Overheard(seed)
        self.callers = [self.box.client(), self.box.client()]
        self.dead = self.rng.sample(self.box.names, DEAD)
        self.calls: list[Call] = []
        self.turns = 0
        for name in self.dead:
            self.box.crash(name)

    def go_on(self) -> None:
        """Until the next burst. Then requests are under way, some of them to the dead."""
        rng, box = self.rng, self.box
        self.turns += 1
        if self.turns % RESTARTS_EVERY == 0:
            self._others_die()
        for caller in self.callers:
            key = b"key%d" % rng.randrange(KEYS)
            got = caller.get(key)
            context = got.context if got.ok else None
            self.calls += [got, caller.put(key, rng.randbytes(rng.choice((10, 100, 4000))), context)]
        box.run_for(rng.uniform(0.0, 0.3))
        for caller in self.callers:
            key = b"key%d" % rng.randrange(KEYS)
            self.calls.append(caller.begin(Get(key) if rng.random() < 0.5 else Put(key, b"blind", None)))
        box.run_for(rng.choice((0.0, 0.001, 0.002, 0.004)))

    def parties(self) -> dict[Address, Node | ClientCore]:
        """All who can be sent something."""
        nodes = {host.address: host.node for host in self.box.hosts.values() if host.node is not None}
        return {**nodes, **self.box.clients}

    def observed(self) -> list[object]:
        """What was sent, what clients were answered, what the disks hold, and what nodes know and think."""
        box = self.box
        return [
            box.trace,
            [(call.done, call.reply) for call in self.calls],
            [contents(host.engine) for host in box.hosts.values()],
            [box.views(name) for name in box.running],
            [
                node.inspect().core.detector.opinions(box.now)
                for host in box.hosts.values()
                if (node := host.node) is not None
            ],
        ]

    def _others_die(self) -> None:
        back = self.dead.pop(0)
        self.box.start(back)
        self.box.run_for(self.rng.uniform(0.0, 3.0))
        victim = self.rng.choice([name for name in self.box.running if name != back])
        self.box.crash(victim)
        self.dead.append(victim)
        self.callers[self.rng.randrange(len(self.callers))] = self.box.client()


class Attack:
    """Strikes at a cluster. Raises AssertionError, naming the attack, if it changes anything.

    attacks: how many of each kind. received_bytes, answered_bytes: sent to the cluster, and its answers to that.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(f"attack {seed}")
        self.life = Life(seed)
        self.attacks: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.received_bytes = self.answered_bytes = self.steps = self.notes = 0
        self._here: dict[Address, Node | ClientCore] = {}
        self._answer = b""
        self._kinds: dict[str, Callable[[], Iterator[Shot]]] = {
            "replayed": self._replayed,
            "redirected": self._redirected,
            "raced": self._raced,
            "from elsewhere": self._from_elsewhere,
            "too late": self._too_late,
            "relayed": self._relayed,
            "reflected": self._reflected,
            "truncated": lambda: self._damaged(lambda seen: seen[: self.rng.randrange(len(seen))]),
            "flipped": lambda: self._damaged(self._flipped),
            "concatenated": lambda: self._damaged(lambda seen: seen + self._any().datagram),
            "spliced": lambda: self._damaged(self._spliced),
            "renumbered": lambda: self._damaged(lambda seen: seen[:19] + self.rng.randbytes(4) + seen[23:]),
            "notice": self._notice,
        }

    def run(self, steps: int, a_burst: int) -> None:
        """At least that many datagrams, that many in a burst."""
        target = self.steps + steps
        while self.steps < target:
            self.life.go_on()
            self._burst(min(a_burst, target - self.steps))

    def check(self) -> None:
        """Compare with a cluster that was left in peace. Raises AssertionError."""
        peaceful = Life(self.seed)
        for _ in range(self.life.turns):
            peaceful.go_on()
        for one, other in zip(self.life.observed(), peaceful.observed(), strict=True):
            assert one == other, f"seed {self.seed}"

    def _burst(self, number: int) -> None:
        parties = self._here = self.life.parties()
        before = {address: portrait(party) for address, party in parties.items()}
        counted = {address: Counter(_rpc(party).counters) for address, party in parties.items()}
        sent, last = self.steps, self.steps + number
        struck: Counter[Address] = Counter()
        while self.steps < last:
            kind = self.rng.choice(list(self._kinds))
            for shot in self._kinds[kind]():
                self.attacks[kind] += 1
                self.steps += 1
                struck[shot.to] += 1
                self._answer = self._hit(kind, shot, parties[shot.to])
        for address, party in parties.items():
            changed = difference(before[address], portrait(party))
            assert not changed, f"seed {self.seed}, datagrams {sent} to {self.steps}, {address}: {changed}"
            more = Counter(_rpc(party).counters) - counted[address]
            refused = {reason: more.pop(reason, 0) for reason in REASONS}
            self.refused.update(refused)
            assert sum(refused.values()) == more.pop("datagrams_in", 0) == struck[address]
            assert more.pop("datagrams_out", 0) <= refused["hellos"]
            assert not more, more

    def _hit(self, kind: str, shot: Shot, party: Node | ClientCore) -> bytes:
        """What the party answers; b"": nothing."""
        name = self.life.box.owner.get(shot.to, "")
        now = self.life.box.instant(self.life.box.hosts.get(name))
        answers = []
        for action in party.receive(shot.datagram, shot.source, now):
            match action:
                case Send(to, datagram):
                    assert to == shot.source, kind
                    answers.append(datagram)
                case Note():
                    self.notes += 1
                case _:
                    raise AssertionError(f"{kind}: {action}")
        answer = b"".join(answers)
        assert len(answer) <= len(shot.datagram), kind
        self.received_bytes += len(shot.datagram)
        self.answered_bytes += len(answer)
        return answer

    # What the attacker does

    def _replayed(self) -> Iterator[Shot]:
        """To whom it was sent, from where it came or from anywhere."""
        seen = self._whole(lambda seen: seen.to in self._here)
        yield (
            self._from_anywhere(seen, seen.to) if self.rng.random() < 0.5 else Shot(seen.datagram, seen.source, seen.to)
        )

    def _redirected(self) -> Iterator[Shot]:
        seen = self._any()
        yield self._from_anywhere(seen, self.rng.choice([to for to in self._here if to != seen.to]))

    def _raced(self) -> Iterator[Shot]:
        """An answer comes from elsewhere before it comes from where it should: that one must still be taken."""
        flying = [seen for seen in self.life.box.flying.values() if seen.kind != REQUEST and seen.to in self._here]
        if flying:
            seen = self.rng.choice(flying)
            yield Shot(seen.datagram, self.rng.choice(OUTSIDERS), seen.to)

    def _from_elsewhere(self) -> Iterator[Shot]:
        """An answer that its receiver has never got."""
        lost = [seen for seen in self.life.box.lost[-50:] if seen.kind != REQUEST and seen.to in self._here]
        if lost:
            seen = self.rng.choice(lost)
            yield Shot(seen.datagram, self.rng.choice(OUTSIDERS), seen.to)

    def _too_late(self) -> Iterator[Shot]:
        """An answer that its receiver has never got, once nobody waits for it any more."""
        lost = [seen for seen in self.life.box.lost if seen.kind != REQUEST and seen.to in self._here]
        lost = [seen for seen in lost if seen.request_id not in _open(_rpc(self._here[seen.to]))]
        if lost:
            seen = self.rng.choice(lost)
            yield Shot(seen.datagram, seen.source, seen.to)

    def _notice(self) -> Iterator[Shot]:
        """Forged, about a datagram that its receiver has sent, and mostly as if from where it went."""
        seen = self._whole(lambda seen: seen.source in self._here)
        notice = b"sN" + bytes([self.rng.randrange(5), self.rng.randrange(5)]) + seen.datagram[11:23]
        yield Shot(notice, self.rng.choice((seen.to, seen.to, self.rng.choice(OUTSIDERS))), seen.source)

    def _relayed(self) -> Iterator[Shot]:
        """A node's request is given to another node, and what that one answers to the first, as if from the right one."""
        nodes = [host.address for host in self.life.box.hosts.values() if host.node is not None]
        pool = [*self.life.box.arrived[-200:], *self.life.box.flying.values(), *self.life.box.lost[-50:]]
        pool = [seen for seen in pool if seen.kind == REQUEST and seen.source in nodes]
        if pool:
            seen = self.rng.choice(pool)
            yield Shot(
                seen.datagram, self.rng.choice(OUTSIDERS), self.rng.choice([to for to in nodes if to not in seen])
            )
            if self._answer:
                yield Shot(self._answer, seen.to, seen.source)

    def _reflected(self) -> Iterator[Shot]:
        seen = self._whole(lambda seen: seen.source in self._here)
        yield Shot(seen.datagram, self.rng.choice((seen.to, seen.source, *OUTSIDERS[:2])), seen.source)

    def _damaged(self, damage: Callable[[bytes], bytes]) -> Iterator[Shot]:
        seen = self._any()
        damaged = damage(seen.datagram)
        yield self._from_anywhere(Seen(damaged, *seen[1:]), self.rng.choice(list(self._here)))

    def _flipped(self, seen: bytes) -> bytes:
        damaged = bytearray(seen)
        for bit in self.rng.sample(range(8 * len(seen)), self.rng.choice((1, 1, 2, 8, 100))):
            damaged[bit // 8] ^= 1 << bit % 8
        return bytes(damaged)

    def _spliced(self, seen: bytes) -> bytes:
        """Two fragments' halves."""
        other = self._any().datagram
        at = self.rng.choice((23, 49, self.rng.randrange(24, len(seen))))
        return seen[:at] + other[at:] if other != seen else seen[:at]

    def _any(self) -> Seen:
        return self.rng.choice(self.life.box.arrived)

    def _whole(self, wanted: Callable[[Seen], bool]) -> Seen:
        while True:
            seen = self._any()
            if wanted(seen):
                return seen

    def _from_anywhere(self, seen: Seen, to: Address) -> Shot:
        sources = [seen.source, self.rng.choice(list(self._here)), self.rng.choice(OUTSIDERS)]
        if seen.kind == HELLO and to in self.life.box.clients:
            sources = [sources[-1]]
        return Shot(seen.datagram, self.rng.choice(sources), to)


def _open(rpc: Rpc) -> set[int]:
    """The ids of requests under way from there, and of those to which the reply is under way."""
    return {*(request_id for _, request_id in rpc._asked), *(request_id for _, request_id in rpc.long._replies)}


def _rpc(party: Node | ClientCore) -> Rpc:
    return party.inspect().core.rpc if isinstance(party, Node) else party._rpc
