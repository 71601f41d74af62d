"""The node: the whole store as a state machine.

1. Datagrams, moments and "it is durable" go in; actions come out (`actions`). No socket, no clock, no disk but for
   reads of what is durable.
2. Same inputs, same actions: randomness comes from the `bits` it is given.
3. A node that notices that it was stalled (paused, or its machine) drops the puts that waited for it meanwhile: who
   sent them has gone to another coordinator by now, and a second version made from an old state would come back as a
   sibling of its own successors. Whoever still wants one sends it again.
4. A retried put that comes soon after the start, and is not known, may have been done by the node's former self and
   been replaced since: it is not done again, and nobody knows. A forwarded one may be done again: its dot tells.
5. No node is special (Dynamo, SOSP 2007, section 2.3: symmetry).
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import assert_never

import msgspec

from store.actions import Action, Address, Bits, Instant, Note, Reader
from store.background import Background
from store.config import KEY_BYTES_MAX, VALUE_BYTES_MAX, Config, ConfigError, Member
from store.context import Context, accept
from store.core import Core
from store.detector import PING_EVERY_S, Detector
from store.dots import Dots
from store.errors import StoreError
from store.exchange import ANSWER_KEPT_S, Exchange, Incoming, Present
from store.handoff import Handoff
from store.membership import Membership
from store.messages import (
    Failed,
    Forward,
    Get,
    Held,
    Local,
    Members,
    Ping,
    Pong,
    Put,
    Read,
    Reply,
    Report,
    State,
    Status,
    View,
    Write,
    Written,
)
from store.replica import DATA, Replica
from store.requests import GetRequest, PutRequest
from store.routing import Routing
from store.timers import Timers
from store.versions import Dot
from store.wire import Wire

REQUESTS_MAX = 1000
"""Client requests under way on one node; more are refused as `busy`, before they time out in a queue."""


KEY_RULE = f"give a key of 1 to {KEY_BYTES_MAX} bytes"

STALL_S = 0.25
"""A timer this late means that the node did not run."""
CATCH_UP_S = 0.2
"""For how long, after a stall, puts may still be from before: a full receive buffer takes this long to read."""
TICK_S = 0.1


class Node:
    """One node of a cluster.

    name: its own. members: of the cluster's beginning, this node among them; none: the node waits outside until an
    operator has it join, and hears of that from a seed. seeds: where to find the cluster, known to all (section 4.8.2).
    secret: the cluster's key, 32 bytes. cluster: its name. reader: the durable records of this node. bits: randomness.
    fresh: see `replica.Replica`.
    Raises ConfigError, or `replica.IdentityError` if the records are another node's.
    """

    def __init__(
        self,
        name: str,
        members: Iterable[Member],
        config: Config,
        *,
        secret: bytes,
        cluster: str,
        reader: Reader,
        bits: Bits,
        seeds: Iterable[Address] = (),
        fresh: bool = False,
    ) -> None:
        beginning = sorted(members)
        if beginning and name not in {member.name for member in beginning}:
            names = ", ".join(member.name for member in beginning)
            raise ConfigError(f"{name!r} is not among the members {names}; add it, or correct it")
        self._out: list[Action] = []
        self._present = Present(Instant(0.0, 0))
        self._timers = Timers()
        self._wire = Wire(secret, cluster, name, bits)
        exchange = Exchange(self._wire, self._timers, self._present, bits, self._out)
        replica = Replica(reader, name, config.conflicts, bits, self._out, fresh=fresh)
        membership = Membership(name, beginning, config, reader, replica)
        detector = Detector(membership.others(), self._returned)
        background = Background(self._timers, self._present)
        self._core = Core(
            name,
            secret,
            config,
            membership,
            replica,
            exchange,
            detector,
            self._timers,
            self._present,
            Counter(),
            background,
            lambda text: self._out.append(Note(text)),
        )
        membership.on_change.append(lambda before: detector.watch(membership.others()))
        self._handoff = Handoff(self._core)
        self._dots = Dots(bits)
        self._ongoing = 0
        self._catching_up_until = 0.0
        self._started = 0.0
        self._putting: dict[tuple[bytes, int], list[Incoming]] = {}
        self._latencies: dict[str, deque[float]] = {"get": deque(maxlen=1024), "put": deque(maxlen=1024)}
        self.environment: Callable[[], dict[str, object]] = dict
        """What the shell adds to `status`."""
        exchange.on_request = self._request
        exchange.on_answer = lambda peer: detector.heard(peer, self._core.now)

    def start(self, now: Instant) -> list[Action]:
        """Begin. Called once, before anything else."""
        self._present.now = now
        self._started = now.monotonic
        self._core.membership.start()
        self._tick()
        self._ping()
        self._handoff.start()
        return self._actions()

    def receive(self, datagram: bytes, source: Address, now: Instant) -> list[Action]:
        """A datagram has come, from whomever."""
        self._enter(now)
        self._core.exchange.receive(datagram, source)
        return self._actions()

    def wake(self, now: Instant) -> list[Action]:
        """The moment that `next_wake` named has come."""
        self._enter(now)
        self._timers.run(now.monotonic)
        return self._actions()

    def persisted(self, ticket: int, now: Instant) -> list[Action]:
        """The records of that `Persist` are durable."""
        self._enter(now)
        self._core.replica.persisted(ticket)
        return self._actions()

    @property
    def next_wake(self) -> float | None:
        """When to call `wake` next (monotonic seconds)."""
        return self._timers.next

    def _enter(self, now: Instant) -> None:
        due = self._timers.next
        if due is not None and now.monotonic - due > STALL_S:
            self._core.counters["stalls"] += 1
            self._catching_up_until = now.monotonic + CATCH_UP_S
        self._present.now = now

    def _tick(self) -> None:
        # Keeps a timer due at all times, so that a stall shows at once and not at the next ping.
        self._core.after(TICK_S, self._tick)

    def _actions(self) -> list[Action]:
        actions = self._out[:]
        self._out.clear()
        return actions

    def _request(self, incoming: Incoming) -> None:
        request = incoming.request
        exchange = self._core.exchange
        if isinstance(request, Read | Write | Local) and not _is_key(request.key):
            exchange.answer(incoming, Failed("bad_key", KEY_RULE))
            return
        match request:
            case Get() | Put():
                self._client_request(incoming, request, incoming.request_id)
            case Forward():
                self._client_request(incoming, request.request, request.request_id, forward=request)
            case Read():
                exchange.answer(incoming, self._read(request.key))
            case Write():
                self._write(incoming, request)
            case Ping():
                exchange.answer(incoming, Pong())
            case Local():
                exchange.answer(incoming, self._local(request.key))
            case Status():
                exchange.answer(incoming, Report(msgspec.json.encode(self.status())))
            case Members():
                addresses = {member.name: member.address for member in self._core.ring.members.values()}
                exchange.answer(incoming, View(addresses, self._core.config.settings()))
            case _:
                assert_never(request)

    def _client_request(
        self, incoming: Incoming, request: Get | Put, request_id: int, forward: Forward | None = None
    ) -> None:
        began = self._core.now
        place = (request.key, request_id)
        if isinstance(request, Put) and place in self._putting:
            # The client went to another node with it, which handed it to us as well: one put, two answers.
            self._putting[place].append(incoming)
            return
        try:
            context = self._admit(request)
        except StoreError as refusal:
            self._core.exchange.answer(incoming, Failed(refusal.code, refusal.message))
            return
        if isinstance(request, Put):
            if incoming.retried and forward is None and began - self._started < ANSWER_KEPT_S:
                text = f"{self._core.name} started while this put was under way; get the key before you retry"
                self._core.exchange.answer(incoming, Failed("timeout", text))
                return
            if began < self._catching_up_until:
                self._core.counters["stale_puts"] += 1
                self._core.exchange.forget(incoming)
                return
        if self._ongoing >= REQUESTS_MAX:
            text = f"{self._core.name} has {REQUESTS_MAX} requests under way; wait and retry"
            self._core.exchange.answer(incoming, Failed("busy", text))
            return
        if isinstance(request, Put):
            self._putting[place] = []
        self._ongoing += 1

        def finish(reply: Reply) -> None:
            self._ongoing -= 1
            self._latencies["put" if isinstance(request, Put) else "get"].append(self._core.now - began)
            self._core.exchange.answer(incoming, reply)
            for other in self._putting.pop(place, ()) if isinstance(request, Put) else ():
                self._core.exchange.answer(other, reply)

        def coordinate(dot: Dot | None, finish: Callable[[Reply], None]) -> None:
            if isinstance(request, Put):
                w = request.w or self._core.config.w
                value = request.value
                put = PutRequest(self._core, self._handoff, request.key, value, context, w, request_id, dot, finish)
                put.start()
            else:
                GetRequest(self._core, self._handoff, request.key, request.r or self._core.config.r, finish).start()

        if forward is not None:
            coordinate(forward.dot, finish)
        else:
            Routing(self._core, request, request_id, self._dots, coordinate, finish).start()

    def _admit(self, request: Get | Put) -> Context:
        """The context of a request that may be served. Raises StoreError for one that may not."""
        check_key(request.key)
        quorum = request.w if isinstance(request, Put) else request.r
        if quorum is not None and not 1 <= quorum <= self._core.config.n:
            raise StoreError("bad_request", f"a quorum of {quorum} with n={self._core.config.n}: give 1 to n")
        if isinstance(request, Get):
            return accept(self._core.secret, request.key, None)
        if request.value is not None:
            check_value(request.value)
        elif request.context is None:
            raise StoreError("bad_request", "a delete needs the context of a get: without one it would delete nothing")
        return accept(self._core.secret, request.key, request.context)

    def _read(self, key: bytes) -> State:
        entry = self._core.replica.read(DATA, key)
        if self._core.name in self._core.ring.homes(key):
            return State(entry.state)
        hinted = self._handoff.held(key)
        return State(None if hinted is None else self._core.replica.combine([entry.state, hinted]))

    def _write(self, incoming: Incoming, request: Write) -> None:
        def done() -> None:
            self._core.exchange.answer(incoming, Written())

        if request.owner is None or request.owner == self._core.name:
            self._core.replica.merge(DATA, request.key, request.state, done)
        elif request.owner in self._core.ring.members:
            self._handoff.keep(request.owner, request.key, request.state, done)
        else:
            text = f"{self._core.name} knows no member {request.owner!r} to keep a hint for"
            self._core.exchange.answer(incoming, Failed("bad_request", text))

    def _local(self, key: bytes) -> Held:
        home = self._core.name in self._core.ring.homes(key)
        state = self._core.replica.read(DATA, key).state
        return Held(home, state, self._handoff.owners(key))

    def _ping(self) -> None:
        core = self._core
        for peer in core.detector.silent(core.now):
            core.ask(peer, Ping(), core.now + PING_EVERY_S, lambda reply: None)
        core.after(PING_EVERY_S, self._ping)

    def _returned(self, peer: str) -> None:
        self._handoff.push(peer)

    def _round_trip_ms(self, peer: str) -> float | None:
        address = self._core.membership.address(peer)
        return None if address is None else _ms(self._core.exchange.round_trip_s(address))

    def status(self) -> dict[str, object]:
        """JSON-able: ring, peers, hints, queues, counters, latencies (milliseconds)."""
        core = self._core
        ring = core.ring
        return {
            "name": core.name,
            "boot": f"{self._wire.boot:016x}",
            "config": core.config.settings(),
            "ring": {
                "members": {m.name: f"{m.address[0]}:{m.address[1]}" for m in ring.members.values()},
                "partitions": {name: ring.owners.count(name) for name in ring.members},
            },
            "peers": {
                peer: {**opinion, "round_trip_ms": self._round_trip_ms(peer)}
                for peer, opinion in core.detector.opinions(core.now).items()
            },
            "hints": self._handoff.count(),
            "queues": {
                "requests": self._ongoing,
                "unsynced": core.replica.unsynced,
                **core.exchange.queues,
            },
            "counters": dict(sorted((core.exchange.counters + core.counters + core.replica.counters).items())),
            "latency_ms": {kind: _quantiles(taken) for kind, taken in self._latencies.items() if taken},
            **self.environment(),
        }


def check_key(key: bytes) -> None:
    """Raises StoreError `bad_key` for an empty or oversized key."""
    if not _is_key(key):
        raise StoreError("bad_key", f"the key has {len(key)} bytes; {KEY_RULE}")


def _is_key(key: bytes) -> bool:
    return 1 <= len(key) <= KEY_BYTES_MAX


def check_value(value: bytes) -> None:
    """Raises StoreError `too_large` for a value over the limit."""
    if len(value) > VALUE_BYTES_MAX:
        text = f"the value has {len(value)} bytes, the limit is {VALUE_BYTES_MAX}; split it over several keys"
        raise StoreError("too_large", text)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _quantiles(taken: Iterable[float]) -> dict[str, float | None]:
    ordered = sorted(taken)
    return {
        name: _ms(ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))])
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }
