"""What coordinating a get and coordinating a put have in common: they ask, count, and are decided once.

1. The fan-out says whom to ask (`fanout`). This file asks, counts who answers, and yields what came of it, one event
   at a time. The coordinator handles each event before the next is made.
2. `QuorumMet` comes at most once, and never after the client has its reply. There is one reply, by the deadline.
3. A token of the key may come to this node while the request is under way. This node counts for it from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol, assert_never

from splitbrain.store.coordination.fanout import (
    FALLBACK_AFTER_S,
    Answered,
    Ask,
    AskAgain,
    Event,
    Expect,
    Fanout,
    PendingChanged,
    RingDiffers,
)
from splitbrain.store.coordination.quorum import Quorum
from splitbrain.store.coordination.quorum_count import Counts, QuorumCounter
from splitbrain.store.defects import FALLBACK_NOT_FOUND
from splitbrain.store.parts import Core
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.versions.context import Context
from splitbrain.store.wire.client_messages import Get, Put
from splitbrain.store.wire.limits import transfer_s
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Read, State, Write, Written


class TokenArrived(NamedTuple):
    """This node holds a token of the key now, and what others had acknowledged under it."""


class QuorumMet(NamedTuple):
    """Enough have answered. durable: how many of the replicas hold a write durably."""

    replicas: int
    durable: int


Progress = Answered | TokenArrived | QuorumMet


@dataclass(frozen=True, slots=True)
class Admitted:
    """A client's request that may be served. context: what the client has seen. quorum: what it asks for."""

    message: Get | Put
    request_id: int
    context: Context
    quorum: Quorum


class Coordinator(Protocol):
    """A get's or a put's own part."""

    def message(self, owner: str | None) -> Read | Write:
        """What to send a node. owner: for whom it stands in; None: for itself."""

    def take(self, events: Iterator[Progress]) -> None:
        """Handle the events, one at a time."""


class Request:
    """A get or a put on the node that coordinates it.

    core: the node's parts. handoff: its hints. finish: gives the reply to whoever asked. deadline: monotonic seconds.
    """

    def __init__(self, core: Core, handoff: Handoff, admitted: Admitted, finish: Callable[[Reply], None]) -> None:
        self.core = core
        self.handoff = handoff
        self.key = admitted.message.key
        self.quorum = admitted.quorum
        self.deadline = core.now + core.config.request_timeout_s
        if isinstance(admitted.message, Put):
            self.deadline += transfer_s(admitted.message.value)
        self.fanout = Fanout(core, self.key, self.deadline, admitted.quorum.sloppy)
        self._finish = finish
        self._counter = QuorumCounter(admitted.quorum)
        self._reads = isinstance(admitted.message, Get)
        self._ownership: int | None = None
        """The version of this node's token ownership when it was last counted; None: it does not count itself."""
        self._decided = False
        self.replied = False

    def begin(self, coordinator: Coordinator, own: Answered, besides: str | None) -> Iterator[Progress]:
        """Count this node's own answer, and ask for every primary replica but one."""
        self._coordinator = coordinator
        if own.owner is None or self._reads:
            self._ownership = self.core.ownership.version
        if own.owner is not None:
            # This node stands in for it: a fallback that did so too would count for nothing.
            self.fanout.unanswered.discard(own.owner)
        self._count(own)
        yield own
        # After a stall of the disk past the deadline nobody is asked: a put's coordinator has kept hints for all.
        if self.core.now < self.deadline:
            yield from self._ask(self.fanout.start(besides))

    def seek(self) -> Iterator[Progress]:
        """This node holds no token of the key: find who does."""
        return self._ask(self.fanout.seek())

    def check(self) -> Iterator[Progress]:
        """Whether the quorum is met."""
        if self._decided:
            return
        ownership = self.core.ownership
        if self._ownership not in (None, ownership.version):
            self._ownership, slot = ownership.version, ownership.slot(self.key)
            if slot is not None:
                self._counter.count(self.core.name, None, slot)
                yield TokenArrived()
        replicas, primaries, durable = self.counts()
        if self.quorum.met(replicas, primaries, durable):
            self._decided = True
            self.fanout.enough()
            yield QuorumMet(replicas, durable)

    def counts(self) -> Counts:
        """How many have answered."""
        patient = self._reads and bool(self.fanout.pending) and self.core.config.defect != FALLBACK_NOT_FOUND
        if not patient:
            self._counter.none_pending()
        return self._counter.counts(degraded=not patient and self.fanout.degraded)

    def reply(self, reply: Reply) -> None:
        """Answer whoever asked, unless that is done."""
        if not self.replied:
            self.replied = self._decided = True
            self._finish(reply)

    def _count(self, answer: Answered) -> None:
        node, owner, reply = answer
        match reply:
            case Written() if not self._reads:
                self._counter.count(node, owner, reply.slot, durable=reply.durable)
            case State() if self._reads and owner is not None and reply.slot is None and reply.state is None:
                self._counter.count_empty(owner)
            case State() if self._reads:
                self._counter.count(node, owner, reply.slot)
            case _:
                pass

    def _ask(self, events: Iterator[Event]) -> Iterator[Progress]:
        """Do what the fan-out says."""
        core = self.core
        for event in events:
            match event:
                case Answered():
                    self._count(event)
                    yield event
                    yield from self.check()
                case PendingChanged():
                    yield from self.check()
                case Ask(node, owner):
                    message = self._coordinator.message(owner)
                    core.ask(node, message, self.deadline, partial(self._replied, node, owner))
                case Expect(primary):
                    self.fanout.expecting.append(core.after(FALLBACK_AFTER_S, partial(self._overdue, primary)))
                case AskAgain(after_s):
                    core.after(after_s, self._again)
                case RingDiffers(node):
                    core.sync(node)
                case _:
                    assert_never(event)

    def _replied(self, node: str, owner: str | None, reply: Reply | None) -> None:
        self._coordinator.take(self._ask(self.fanout.answered(node, owner, reply)))

    def _overdue(self, primary: str) -> None:
        self._coordinator.take(self._ask(self.fanout.overdue(primary)))

    def _again(self) -> None:
        self._coordinator.take(self._ask(self.fanout.again()))
