"""The node: the whole store as a state machine.

1. Datagrams, moments and "it is durable" go in; actions come out (`actions`). It touches no socket and no clock, and
   reads of the disk only what is durable.
2. Same inputs, same actions: randomness comes from the `bits` it is given.
3. It notices when it was stalled (paused, or its machine), since a timer is always due. Its parts are told, because
   what they last knew may be out of date.
4. While its disk is full a node refuses, before it begins, what it would have to store. It answers all else.
5. No node is special (Dynamo, SOSP 2007, section 2.3: symmetry).

What its parts are, and which holds which, is in `assembly`. Here each request goes to the part that answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import assert_never

import msgspec

from splitbrain.store.actions import Action, Address, Bits, Instant, Reader
from splitbrain.store.assembly import Parts, assemble
from splitbrain.store.config import Config, ConfigError, Member
from splitbrain.store.defects import DEFECTS, DETECTOR_EDITS_RING
from splitbrain.store.errors import StoreError
from splitbrain.store.gossip.load import balance
from splitbrain.store.membership.failure_detector import PING_EVERY_S
from splitbrain.store.membership.history import Standing
from splitbrain.store.status import status
from splitbrain.store.wire.client_messages import Failed, Get, Join, Leave, Local, Members, Put, Report, Status, View
from splitbrain.store.wire.messages import Request
from splitbrain.store.wire.peer_messages import (
    AskQuiet,
    CompareLeaves,
    CompareNodes,
    CompareRoots,
    Fetch,
    Forward,
    Offer,
    Page,
    Ping,
    Pong,
    Read,
    Reap,
    Reconcile,
    Serve,
    Swap,
    Tell,
    Tokens,
    Write,
)
from splitbrain.store.wire.taken import Incoming

STALL_S = 0.25
"""A timer this late means that the node did not run."""
TICK_S = 0.1
RETRY_S = 0.5
"""How often a full disk is tried again."""


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
        self._parts = assemble(
            name,
            beginning,
            config,
            secret=secret,
            cluster=cluster,
            reader=reader,
            bits=bits,
            seeds=seeds,
            fresh=fresh,
        )
        self._core = self._parts.core
        self._core.rpc.on_request = self._request
        self.environment: Callable[[], dict[str, object]] = dict
        """What the shell adds to `status`."""

    def buffer(self, datagrams: int) -> None:
        """How many datagrams the socket's receive buffer holds: what senders are granted depends on it."""
        self._core.rpc.long.buffer_datagrams = datagrams

    def start(self, now: Instant) -> list[Action]:
        """Begin. Called once, before anything else."""
        core, parts = self._core, self._parts
        core.present.now = now
        parts.load.start()
        defect = core.config.defect
        if defect:
            core.note(f"WARNING: defect={defect} is on. {DEFECTS[defect].wrong} Keep nothing here.")
        core.membership.start()
        core.buffer.start()
        if not core.ownership.known and core.ring.members:
            core.ownership.begin(core.ring, core.name)
        self._tick()
        parts.gossip.start()
        self._ping()
        parts.handoff.start()
        parts.cleanup.start()
        parts.sender.start()
        parts.reclaim.start()
        parts.anti_entropy.start()
        parts.tombstone_gc.start()
        return self._actions()

    def receive(self, datagram: bytes, source: Address, now: Instant) -> list[Action]:
        """A datagram has come, from whomever."""
        self._enter(now)
        self._core.rpc.receive(datagram, source)
        return self._actions()

    def wake(self, now: Instant) -> list[Action]:
        """The moment that `next_wake` named has come."""
        self._enter(now)
        self._core.timers.run(now.monotonic)
        return self._actions()

    def persisted(self, ticket: int, now: Instant) -> list[Action]:
        """The records of that `Persist` are durable."""
        self._enter(now)
        core = self._core
        was_full = core.replica.full
        core.replica.persisted(ticket)
        if was_full:
            core.note(f"the disk has room again: {core.name} takes writes")
        return self._actions()

    def persist_refused(self, ticket: int, now: Instant) -> list[Action]:
        """The disk has no room for the records of that `Persist` (`actions`, rule 2)."""
        self._enter(now)
        core = self._core
        if not core.replica.full:
            core.note(f"the disk is full: {core.name} refuses writes until there is room; free space on it")
            core.after(RETRY_S, self._retry)
        core.replica.refused(ticket)
        return self._actions()

    @property
    def next_wake(self) -> float | None:
        """When to call `wake` next (monotonic seconds)."""
        return self._core.timers.next

    @property
    def standing(self) -> Standing | None:
        """What this node is in the cluster, as far as it knows; None: it is outside."""
        return self._core.membership.standing

    def status(self) -> dict[str, object]:
        """JSON-able: see `status`, and what the shell adds."""
        core, parts, reception = self._core, self._parts, self._parts.reception
        return {
            "name": core.name,
            "boot": f"{parts.wire.incarnation:016x}",
            **status(core, parts.handoff, reception.latencies, reception.ongoing, reception.budget.under_way),
            "balance": balance(core.ring, parts.gossip.loads),
            "merkle": parts.anti_entropy.status(),
            **self.environment(),
        }

    def inspect(self) -> Parts:
        """The parts themselves, for tests and debuggers: to be looked at, not to be driven."""
        return self._parts

    def _enter(self, now: Instant) -> None:
        if now.monotonic - self._core.now > STALL_S:
            self._after_silence(now.monotonic)
        self._core.present.now = now

    def _after_silence(self, now: float) -> None:
        due = self._core.timers.next
        if due is not None and now - due > STALL_S:
            self._core.counters["stalls"] += 1
            self._core.detector.stalled(now - due)
            self._parts.tombstone_gc.stalled()
            self._parts.reception.stalled(now)

    def _tick(self) -> None:
        # Keeps a timer due at all times, so that a stall shows at once and not at the next ping.
        self._core.after(TICK_S, self._tick)

    def _actions(self) -> list[Action]:
        actions = self._parts.out[:]
        self._parts.out.clear()
        return actions

    def _retry(self) -> None:
        if self._core.replica.full:
            self._core.replica.retry()
            self._core.after(RETRY_S, self._retry)

    def _request(self, incoming: Incoming) -> None:
        request, core, parts = incoming.request, self._core, self._parts
        if core.replica.full and _stores(request):
            core.rpc.answer(incoming, Failed("disk_full", f"the disk of {core.name} is full"))
            return
        match request:
            case Get() | Put() | Forward():
                parts.load.served(core.now)
                parts.reception.take(incoming)
            case Read() | Write() | Local():
                parts.replica_service.take(incoming, request)
            case Offer() | Page() | Serve():
                parts.receiver.take(incoming, request)
            case Tokens() | Fetch():
                parts.reclaim.answer(incoming, request)
            case CompareRoots() | CompareNodes() | CompareLeaves() | Swap():
                parts.anti_entropy.take(incoming, request)
            case AskQuiet() | Reap():
                parts.tombstone_gc.take(incoming, request)
            case Ping():
                core.rpc.answer(incoming, Pong())
            case Status():
                core.rpc.answer(incoming, Report(msgspec.json.encode(self.status())))
            case Tell() | Reconcile():
                parts.gossip.take(incoming, request)
            case Join() | Leave():
                parts.admission.take(incoming, request)
            case Members():
                changes = [] if request.view == core.membership.view else core.membership.changes
                core.rpc.answer(incoming, View(changes, core.config.settings()))
            case _:
                assert_never(request)

    def _ping(self) -> None:
        core = self._core
        for peer in core.detector.to_ping(core.now):
            core.ask(peer, Ping(), core.now + PING_EVERY_S, lambda reply: None)
        if core.config.defect == DETECTOR_EDITS_RING:
            self._remove_suspects()
        core.after(PING_EVERY_S, self._ping)

    def _remove_suspects(self) -> None:
        membership = self._core.membership
        for peer in filter(self._core.suspects, membership.others()):
            with suppress(StoreError):  # Fewer than N would be left.
                membership.leave(peer, self._core.present.now.wall_ns, lambda: None, gone=True)


def _stores(request: Request) -> bool:
    """Whether a request asks for a copy, a token, or a change of the membership to be stored; puts: see `reception`."""
    return isinstance(request, Write | Offer | Page | Swap | Join | Leave)
