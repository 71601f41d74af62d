"""Gossip: how nodes learn of changes of the membership, and of each other's heartbeats.

1. Once every `gossip_s`, at moments of its own, a node picks one peer at random. Each tells the other the digest of its
   history, the few changes it learnt last, and the freshest heartbeats. If both know the same, that is all.
2. If the digests still differ, one side lists the changes that it knows, and each gets what it lacks: six messages at
   most, for a history of any length.
3. A change is told only once it is durable here (`membership`). Histories merge by union, and the later of two
   heartbeats counts. So messages that are lost, late or repeated do no harm.
4. Seeds are addresses that all nodes are given. A member asks one now and then, so clusters that never heard of each
   other meet there. A node outside the ring finds it through them.
5. Nodes whose configurations differ in `config.COMMON` reject each other's gossip: keys lie on other nodes there, and
   versions mean something else.
6. Two nodes under one name hear each other's heartbeats. The one that is not at the ring's address for that name stops:
   whatever it sends there is answered by another process of its name. A node's own datagrams are never answered.
7. Heartbeats are for the failure detector. They never change the membership.

Dynamo (SOSP 2007), sections 4.8.1 to 4.8.3. Demers et al.: Epidemic Algorithms for Replicated Database Maintenance
(1987), for rule 1: push and pull, which reach all of n nodes in about log2(n) rounds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial

from splitbrain.store.actions import Address, Bits, host_port
from splitbrain.store.config import COMMON
from splitbrain.store.parts import Core
from splitbrain.store.ring.ring import Ring
from splitbrain.store.wire.changes import IDENTITY_BYTES, Change
from splitbrain.store.wire.client_messages import Failed
from splitbrain.store.wire.messages import Reply, Request
from splitbrain.store.wire.peer import OnReply
from splitbrain.store.wire.peer_messages import BEAT_MAX, Heartbeat, History, Ping, Pong, Reconcile, Tell, Told
from splitbrain.store.wire.taken import Incoming

HEARTBEATS_MAX = 32
"""How many heartbeats a message has: what fits into one datagram, with names of ordinary length."""
HOT_ROUNDS, HOT_MAX = 10, 8
"""For how many rounds a change is told after it was learnt. If more than `HOT_MAX` are new, rule 2 spreads them."""
SEED_BITS = 3
"""A member asks a seed in one round of 2**3."""
PATIENCE_S = 0.5
"""How long to wait for an answer, at least: a peer makes a change durable before it answers."""
NOTE_EVERY_S = 60.0
OUTLIVED_MAX = 3
"""How many corrections of its own heartbeat mean a second node of the name; one may be a clock that was set back."""

Peer = str | Address
"""A node that the history names, or a seed."""


class Gossip:
    """One node's gossip. seeds: addresses at which the cluster may be found. bits: randomness.

    load: what this node reports of its own load, by the names in `loads`.
    """

    def __init__(self, core: Core, seeds: Iterable[Address], bits: Bits) -> None:
        self._core = core
        self._bits = bits
        self._seeds = sorted(set(seeds))
        self._settings = core.config.common
        self._known = len(core.membership.identities)
        self._learnt: list[tuple[float, Change]] = []
        self._own = Heartbeat(core.name, 0, 0)
        self._beats: dict[str, Heartbeat] = {}
        """The other nodes' heartbeats, the freshest last."""
        self._outlived = 0
        self._synced: dict[Peer, float] = {}
        self._noted: dict[str, float] = {}
        self.load: Callable[[], dict[str, int]] = dict
        core.membership.on_change.append(self._changed)

    def start(self) -> None:
        """Begin the rounds."""
        core = self._core
        self._own = Heartbeat(core.name, core.present.now.wall_ns // 10**9, 0)
        if core.membership.refusal is not None:
            core.note(core.membership.refusal)
        core.after(core.config.gossip_s * self._share(), self._round)

    def take(self, incoming: Incoming, request: Tell | Reconcile) -> None:
        """Answer another node's gossip."""
        core, membership = self._core, self._core.membership
        difference = _difference(request.settings, self._settings)
        if difference:
            core.counters["gossip_of_other_config"] += 1
            self._note_now_and_then(
                incoming.name, f"{incoming.name} is not heard out, it is configured otherwise: {difference}"
            )
            text = f"{core.name} is configured otherwise: {_difference(self._settings, request.settings)}"
            core.rpc.answer(incoming, Failed("bad_request", text))
            return
        match request:
            case Tell():
                self._hear(request.heartbeats, incoming.name)

                def durable() -> None:
                    changes = [] if request.view == membership.view else self._hot()
                    told_back = Told(core.name, membership.view, changes, self._heartbeats())
                    core.rpc.answer(incoming, told_back)

                membership.merge(request.changes, durable)
            case Reconcile():
                theirs = _unpack(request.identities)
                history = History(membership.missing(theirs), _pack(membership.unknown(theirs)))
                core.rpc.answer(incoming, history)

    def tell(self, peer: Peer, changes: list[Change] | None = None) -> None:
        """Gossip with that peer now. changes: what to tell it; None: the changes learnt last."""
        self._ask(peer, self._message(changes), partial(self._told, peer))

    def greet(self, address: Address, deadline: float, on_reply: OnReply) -> None:
        """Gossip with the node at that address, and pass its answer on; None if none came by the deadline."""

        def answered(reply: Reply | None) -> None:
            self._told(address, reply)
            on_reply(reply)

        self._core.rpc.ask(address, self._message(None), deadline, answered)

    def sync(self, peer: Peer) -> None:
        """Make the peer's history and this node's equal, now; not more than once a round."""
        core = self._core
        last = self._synced.get(peer)
        if last is not None and core.now - last < core.config.gossip_s:
            return
        self._synced[peer] = core.now
        core.counters["gossip_reconciled"] += 1
        request = Reconcile(self._settings, _pack(core.membership.identities))
        self._ask(peer, request, partial(self._reconciled, peer))

    @property
    def loads(self) -> dict[str, dict[str, int]]:
        """The load that each node reported last, this one included: `keys` and `requests_per_s`, by name."""
        beats = sorted([*self._beats.values(), self._own], key=lambda beat: beat.node)
        return {beat.node: {"keys": beat.keys, "requests_per_s": beat.requests_per_s} for beat in beats}

    # Rounds

    def _round(self) -> None:
        core = self._core
        core.after(core.config.gossip_s * (0.9 + 0.2 * self._share()), self._round)
        load = self.load()
        own = self._own
        self._own = Heartbeat(
            own.node, own.incarnation, own.counter + 1, load.get("keys", 0), load.get("requests_per_s", 0)
        )
        peer = self._pick()
        if peer is not None:
            core.counters["gossip_rounds"] += 1
            self.tell(peer)

    def _share(self) -> float:
        """A random share of an interval, in [0, 1)."""
        return self._bits(16) / 65536

    def _pick(self) -> Peer | None:
        membership = self._core.membership
        own = membership.address(self._core.name)
        seeds: list[Peer] = [seed for seed in self._seeds if seed != own]
        others: list[Peer] = list(membership.others())
        ask_seed = membership.refusal is not None or not others or self._bits(SEED_BITS) == 0
        pool = (seeds if ask_seed else []) or others
        return pool[self._bits(32) % len(pool)] if pool else None

    def _ask(self, peer: Peer, request: Request, on_reply: OnReply) -> None:
        core = self._core
        deadline = core.now + max(PATIENCE_S, core.config.gossip_s)
        if isinstance(peer, str):
            core.ask(peer, request, deadline, on_reply)
        else:
            core.rpc.ask(peer, request, deadline, on_reply)

    def _told(self, peer: Peer, reply: Reply | None) -> None:
        match reply:
            case Told():
                self._hear(reply.heartbeats, reply.name)

                def durable() -> None:
                    if self._core.membership.view != reply.view:
                        self.sync(peer)

                self._core.membership.merge(reply.changes, durable)
            case Failed():
                self._refused(peer, reply)
            case _:
                pass

    def _reconciled(self, peer: Peer, reply: Reply | None) -> None:
        match reply:
            case History():
                lacking = self._core.membership.known(_unpack(reply.lacks))
                if lacking:
                    self.tell(peer, changes=lacking)
                self._core.membership.merge(reply.changes)
            case Failed():
                self._refused(peer, reply)
            case _:
                pass

    def _refused(self, peer: Peer, reply: Failed) -> None:
        self._core.counters["gossip_refused"] += 1
        name = peer if isinstance(peer, str) else host_port(peer)
        self._note_now_and_then(name, f"{name} does not hear this node out: {reply.message}")

    def _note_now_and_then(self, about: str, text: str) -> None:
        """Log at most a line a minute about each peer."""
        now = self._core.now
        self._noted = {name: at for name, at in self._noted.items() if now - at < NOTE_EVERY_S}
        if about not in self._noted:
            self._noted[about] = now
            self._core.note(text)

    # What is told

    def _message(self, changes: list[Change] | None) -> Tell:
        told = self._hot() if changes is None else changes
        return Tell(self._core.membership.view, self._settings, told, self._heartbeats())

    def _changed(self, before: Ring) -> None:
        membership = self._core.membership
        now = self._core.now
        new = membership.changes[self._known :]
        self._known += len(new)
        self._learnt += [(now, change) for change in new]
        self._beats = {name: beat for name, beat in self._beats.items() if membership.address(name) is not None}
        peer = self._pick()
        if peer is not None and any(change.issuer == self._core.name for change in new):
            # Now, not in the next round: an operator who was told "done" may switch this node off.
            self.tell(peer)

    def _hot(self) -> list[Change]:
        since = self._core.now - HOT_ROUNDS * self._core.config.gossip_s
        self._learnt = [(at, change) for at, change in self._learnt if at >= since]
        return [] if len(self._learnt) > HOT_MAX else [change for _, change in self._learnt]

    def _heartbeats(self) -> list[Heartbeat]:
        freshest = itertools.islice(reversed(self._beats.values()), HEARTBEATS_MAX - 1)
        return [self._own, *freshest]

    def _hear(self, heartbeats: Iterable[Heartbeat], sender: str) -> None:
        core = self._core
        for beat in heartbeats:
            if beat.node == core.name:
                self._outlive(beat)
                continue
            known = self._beats.get(beat.node)
            if core.membership.address(beat.node) is None or (known is not None and _age(beat) <= _age(known)):
                continue
            self._beats.pop(beat.node, None)
            self._beats[beat.node] = beat
            if known is not None or beat.node == sender:  # Otherwise it may be an old heartbeat of a dead node.
                core.detector.heartbeat(beat.node, core.now)

    def _outlive(self, beat: Heartbeat) -> None:
        """Outbid a heartbeat under this name that this node did not send: its clock was set back, or another node has
        its name.
        """
        if _age(beat) <= _age(self._own):
            return
        # A number past the last could not be decoded.
        incarnation = min(beat.incarnation + 1, BEAT_MAX)
        self._own = Heartbeat(self._core.name, incarnation, 0, self._own.keys, self._own.requests_per_s)
        self._outlived += 1
        if self._outlived >= OUTLIVED_MAX:
            name = self._core.name
            self._note_now_and_then(name, f"another node seems to run under the name {name!r}, too; stop one of them")
        self._look_for_namesake()

    def _look_for_namesake(self) -> None:
        """Stop if another process answers under this node's name at the address that the ring has for it."""
        core = self._core
        address = core.membership.address(core.name)

        def answered(reply: Reply | None) -> None:
            if isinstance(reply, Pong) and address is not None:
                where = (
                    f"another process answers as {core.name!r} at {host_port(address)}, where the ring has that node"
                )
                core.halt(f"{where}; start this one as a new node, of a name of its own")

        if address is not None:
            core.rpc.ask(address, Ping(), core.now + PATIENCE_S, answered, name=core.name)


def _age(beat: Heartbeat) -> tuple[int, int]:
    return (beat.incarnation, beat.counter)


def _difference(theirs: list[str], ours: list[str]) -> str:
    """The settings that differ, as a sentence; "" if none do."""
    if len(theirs) != len(ours):
        return "it is of another version of the store; use the same everywhere"
    compared = zip(COMMON, theirs, ours, strict=True)
    differing = [f"{key}={there} there, {key}={here} here" for key, there, here in compared if there != here]
    return f"{'; '.join(differing)}; start all nodes with the same" if differing else ""


def _pack(identities: Iterable[int]) -> bytes:
    return b"".join(name.to_bytes(IDENTITY_BYTES) for name in identities)


def _unpack(packed: bytes) -> list[int]:
    whole = range(0, len(packed) - IDENTITY_BYTES + 1, IDENTITY_BYTES)
    return [int.from_bytes(packed[at : at + IDENTITY_BYTES]) for at in whole]
