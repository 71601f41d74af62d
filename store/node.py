"""The node: the whole store as a state machine.

1. Datagrams, moments and "it is durable" go in; actions come out (`actions`). No socket, no clock, no disk but for
   reads of what is durable.
2. Same inputs, same actions: randomness comes from the `bits` it is given.
3. It notices when it was stalled (paused, or its machine), since a timer is always due: what its parts then take for
   true may be old.
4. No node is special (Dynamo, SOSP 2007, section 2.3: symmetry).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import assert_never

import msgspec

from splitbrain.store.actions import Action, Address, Bits, Instant, Note, Reader, Send
from splitbrain.store.config import Config, ConfigError, Member
from splitbrain.store.coordination.reception import Reception
from splitbrain.store.defects import DEFECTS, DETECTOR_EDITS_RING
from splitbrain.store.errors import StoreError
from splitbrain.store.gossip.admission import Admission
from splitbrain.store.gossip.gossip import Gossip
from splitbrain.store.gossip.load import Load, balance
from splitbrain.store.membership.failure_detector import PING_EVERY_S, Detector
from splitbrain.store.membership.history import Standing
from splitbrain.store.membership.membership import Membership
from splitbrain.store.ownership.cleanup import Cleanup
from splitbrain.store.ownership.receiver import Receiver
from splitbrain.store.ownership.reclaim import Reclaim
from splitbrain.store.ownership.sender import Sender
from splitbrain.store.parts import Core
from splitbrain.store.repair.anti_entropy import AntiEntropy
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.repair.tombstone_gc import TombstoneGc
from splitbrain.store.scheduling.background import Background
from splitbrain.store.scheduling.timers import Present, Timers
from splitbrain.store.status import status
from splitbrain.store.storage.replica import DATA, Replica
from splitbrain.store.storage.tokens import TokenOwnership
from splitbrain.store.storage.write_buffer import WriteBuffer
from splitbrain.store.wire.client_messages import (
    Failed,
    Get,
    Held,
    Join,
    Leave,
    Local,
    Members,
    Put,
    Report,
    Status,
    View,
)
from splitbrain.store.wire.datagrams import Wire
from splitbrain.store.wire.limits import KEY_RULE, is_key
from splitbrain.store.wire.peer_messages import (
    AskQuiet,
    CompareLeaves,
    CompareNodes,
    CompareRoots,
    Fetch,
    Forward,
    Moved,
    Offer,
    Page,
    Ping,
    Pong,
    Read,
    Reap,
    Reconcile,
    Serve,
    State,
    Swap,
    Tell,
    Tokens,
    Write,
    Written,
)
from splitbrain.store.wire.rejections import Rejections
from splitbrain.store.wire.rpc import Incoming, Rpc

STALL_S = 0.25
"""A timer this late means that the node did not run."""
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
        rpc = Rpc(self._wire, self._timers, self._present, bits, self._out)
        replica = Replica(reader, name, config, bits, self._out, fresh=fresh or config.write_buffer > 0)
        membership = Membership(name, beginning, config, reader, replica, self._note)
        detector = Detector(membership.others(), self._returned, config.gossip_s)
        background = Background(self._timers, self._present, config.background_p99_ms / 1000)
        self._core = Core(
            name,
            secret,
            config,
            membership,
            TokenOwnership(reader, replica),
            replica,
            WriteBuffer(config, replica, self._timers, self._present),
            rpc,
            detector,
            self._timers,
            self._present,
            Counter(),
            background,
            self._note,
            lambda node: self._gossip.sync(node),
        )
        membership.on_change.append(lambda before: detector.watch(membership.others()))
        self._gossip = Gossip(self._core, seeds, bits)
        self._admission = Admission(self._core, self._gossip)
        self._handoff = Handoff(self._core)
        self._cleanup = Cleanup(self._core, self._handoff, reader)
        self._sender = Sender(self._core, self._cleanup, reader, drained=lambda: self._handoff.drained)
        self._receiver = Receiver(self._core, self._cleanup, reader)
        self._reclaim = Reclaim(self._core, self._sender, self._receiver)
        self._antientropy = AntiEntropy(self._core, bits)
        self._reaping = Reaping(self._core, self._handoff)
        self._reception = Reception(self._core, self._handoff, bits)
        self._load = Load(replica, background)
        self._gossip.load = lambda: self._load.report(self._core.now)
        self.environment: Callable[[], dict[str, object]] = dict
        """What the shell adds to `status`."""
        rpc.on_request = self._request
        rpc.on_answer = detector.heard
        rejections = Rejections(lambda to, datagram: self._out.append(Send(to, datagram)), self._core.note)
        rpc.on_refused = lambda reason, datagram, source: rejections.refused(reason, datagram, source, self._core.now)
        rpc.on_rejection = lambda source, text: rejections.heard(source, text, self._core.now)

    def start(self, now: Instant) -> list[Action]:
        """Begin. Called once, before anything else."""
        self._present.now = now
        self._reception.start()
        self._load.start()
        defect = self._core.config.defect
        if defect:
            self._core.note(f"WARNING: defect={defect} is on. {DEFECTS[defect].wrong} Keep nothing here.")
        self._core.membership.start()
        self._core.buffer.start()
        if not self._core.ownership.known and self._core.ring.members:
            self._core.ownership.begin(self._core.ring, self._core.name)
        self._tick()
        self._gossip.start()
        self._ping()
        self._handoff.start()
        self._cleanup.start()
        self._sender.start()
        self._reclaim.start()
        self._antientropy.start()
        self._tombstone_gc.start()
        return self._actions()

    def receive(self, datagram: bytes, source: Address, now: Instant) -> list[Action]:
        """A datagram has come, from whomever."""
        self._enter(now)
        self._core.rpc.receive(datagram, source)
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

    @property
    def standing(self) -> Standing | None:
        """What this node is in the cluster, as far as it knows; None: it is outside."""
        return self._core.membership.standing

    def _enter(self, now: Instant) -> None:
        if now.monotonic - self._present.now.monotonic > STALL_S:
            self._after_silence(now.monotonic)
        self._present.now = now

    def _after_silence(self, now: float) -> None:
        due = self._timers.next
        if due is not None and now - due > STALL_S:
            self._core.counters["stalls"] += 1
            self._core.detector.stalled(now - due)
            self._reaping.stalled()
            self._reception.stalled(now)

    def _tick(self) -> None:
        # Keeps a timer due at all times, so that a stall shows at once and not at the next ping.
        self._core.after(TICK_S, self._tick)

    def _note(self, text: str) -> None:
        self._out.append(Note(text))

    def _actions(self) -> list[Action]:
        actions = self._out[:]
        self._out.clear()
        return actions

    def _request(self, incoming: Incoming) -> None:
        request = incoming.request
        rpc = self._core.rpc
        if isinstance(request, (Read, Write, Local)) and not is_key(request.key):
            rpc.answer(incoming, Failed("bad_key", KEY_RULE))
            return
        match request:
            case Get() | Put() | Forward():
                self._load.served(self._core.now)
                self._reception.take(incoming)
            case Read():
                self._load.served(self._core.now)
                rpc.answer(incoming, self._read(request))
            case Write():
                self._load.served(self._core.now)
                self._write(incoming, request)
            case Offer() | Page() | Serve():
                self._receiver.take(incoming, request)
            case Tokens() | Fetch():
                self._reclaim.answer(incoming, request)
            case CompareRoots() | CompareNodes() | CompareLeaves() | Swap():
                self._antientropy.take(incoming, request)
            case AskQuiet() | Reap():
                self._tombstone_gc.take(incoming, request)
            case Ping():
                rpc.answer(incoming, Pong())
            case Local():
                rpc.answer(incoming, self._local(request.key))
            case Status():
                rpc.answer(incoming, Report(msgspec.json.encode(self.status())))
            case Tell() | Reconcile():
                self._gossip.take(incoming, request)
            case Join() | Leave():
                self._admission.take(incoming, request)
            case Members():
                membership = self._core.membership
                changes = [] if request.view == membership.view else membership.changes
                rpc.answer(incoming, View(changes, self._core.config.settings()))
            case _:
                assert_never(request)

    def _read(self, request: Read) -> State | Moved:
        core, key = self._core, request.key
        state, slot = core.replica.visible(key), core.ownership.slot(key)
        if slot is not None or core.name in core.ring.primaries(key):
            return State(state, slot)
        if request.owner is None:
            return Moved()
        hinted = self._handoff.held(key)
        return State(None if hinted is None else core.replica.combine([state, hinted]))

    def _write(self, incoming: Incoming, request: Write) -> None:
        core, key = self._core, request.key

        def done() -> None:
            core.rpc.answer(incoming, Written(core.ownership.slot(key)))

        if core.membership.removed(incoming.name):
            text = f"{incoming.name} was removed from the cluster; what it holds may have been deleted since"
            core.rpc.answer(incoming, Failed("bad_request", text))
        elif core.ownership.writable(key) or core.name in core.ring.primaries(key):
            if not request.durable and core.buffer.merge(key, request.state):
                core.rpc.answer(incoming, Written(core.ownership.slot(key), durable=False))
            else:
                core.replica.merge(DATA, key, request.state, done)
        elif request.owner is None:
            core.rpc.answer(incoming, Moved())
        elif core.membership.address(request.owner) is not None:
            self._handoff.keep(request.owner, key, request.state, lambda: core.rpc.answer(incoming, Written()))
        else:
            text = f"{core.name} knows no node {request.owner!r} to keep a hint for"
            core.rpc.answer(incoming, Failed("bad_request", text))

    def _local(self, key: bytes) -> Held:
        home = self._core.name in self._core.ring.primaries(key)
        state = self._core.replica.read(DATA, key).state
        return Held(home, state, self._handoff.owners(key))

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

    def _returned(self, peer: str) -> None:
        self._handoff.push(peer)

    def status(self) -> dict[str, object]:
        """JSON-able: see `status`, and what the shell adds."""
        return {
            "name": self._core.name,
            "boot": f"{self._wire.boot:016x}",
            **status(self._core, self._handoff, self._reception.latencies, self._reception.ongoing),
            "balance": balance(self._core.ring, self._gossip.loads),
            "merkle": self._antientropy.status(),
            **self.environment(),
        }
