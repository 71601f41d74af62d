"""The replica service: what a node answers when a coordinator, perhaps another node's, reads or writes a replica.

1. A node that holds a token of the key, or is a primary replica of it, answers for itself. Any other answers only as
   the fallback for a named primary; asked for itself, it says that the ring has moved.
2. A write is acknowledged once it is durable, unless the coordinator said that the write buffer will do. One for which
   the disk has no room is refused, so that the coordinator turns to a fallback at once.
3. A node that was removed from the cluster may hold what was deleted since: nothing is taken from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from splitbrain.store.gossip.load import Load
from splitbrain.store.parts import Core
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.storage.replica import DATA
from splitbrain.store.wire.client_messages import Failed, Held, Local
from splitbrain.store.wire.limits import KEY_RULE, is_key
from splitbrain.store.wire.peer_messages import Moved, Read, State, Write, Written
from splitbrain.store.wire.taken import Incoming


class ReplicaService:
    """Answers reads and writes of this node's replica of a key."""

    def __init__(self, core: Core, handoff: Handoff, load: Load) -> None:
        self._core = core
        self._handoff = handoff
        self._load = load

    def take(self, incoming: Incoming, request: Read | Write | Local) -> None:
        """Another node's request, or an operator's look at one replica."""
        answer = self._core.rpc.answer
        if not is_key(request.key):
            answer(incoming, Failed("bad_key", KEY_RULE))
            return
        if not isinstance(request, Local):
            self._load.served(self._core.now)
        match request:
            case Read():
                answer(incoming, self._read(request))
            case Write():
                self._write(incoming, request)
            case Local():
                answer(incoming, self._local(request.key))

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
        if core.membership.removed(incoming.name):
            text = f"{incoming.name} was removed from the cluster; what it holds may have been deleted since"
            core.rpc.answer(incoming, Failed("bad_request", text))
        elif core.ownership.writable(key) or core.name in core.ring.primaries(key):
            if not request.durable and core.buffer.merge(key, request.state):
                core.rpc.answer(incoming, Written(core.ownership.slot(key), durable=False))
            else:
                answers = _Once(core, incoming, lambda: Written(core.ownership.slot(key)))
                core.replica.merge(DATA, key, request.state, answers.written, refused=answers.refused)
        elif request.owner is None:
            core.rpc.answer(incoming, Moved())
        elif core.membership.address(request.owner) is not None:
            answers = _Once(core, incoming, Written)
            self._handoff.keep(request.owner, key, request.state, answers.written, refused=answers.refused)
        else:
            text = f"{core.name} knows no node {request.owner!r} to keep a hint for"
            core.rpc.answer(incoming, Failed("bad_request", text))

    def _local(self, key: bytes) -> Held:
        core = self._core
        primary = core.name in core.ring.primaries(key)
        return Held(primary, core.replica.read(DATA, key).state, self._handoff.owners(key))


@dataclass(slots=True)
class _Once:
    """The answer to one write: what it is durable as, or that there is no room, whichever comes first."""

    core: Core
    incoming: Incoming
    reply: Callable[[], Written]
    given: bool = False

    def written(self) -> None:
        if not self.given:
            self.core.rpc.answer(self.incoming, self.reply())

    def refused(self) -> None:
        self.given = True
        self.core.rpc.answer(self.incoming, Failed("disk_full", f"the disk of {self.core.name} is full"))
