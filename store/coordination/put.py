"""The put's coordinator: a state machine that makes one version and brings it to a quorum.

1. The version is made here, and is durable here before any other node hears of it.
2. The put is done once W of its N replicas hold the version durably, each itself or through its fallback
   (`quorum_count`). It goes on until every primary replica holds it or somebody keeps a hint for it.
3. A put that misses its quorum fails as `quorum_failed`. What was stored stays stored and will spread.
4. A put for which the coordinator's disk has no room fails at once, in the same way. If there is room again before the
   coordinator is restarted, the put is stored after all, and spreads.

Dynamo (SOSP 2007), sections 4.5 and 4.6.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import assert_never

from splitbrain.store.coordination.fanout import Answered
from splitbrain.store.coordination.new_version import new_version
from splitbrain.store.coordination.request import Admitted, Progress, QuorumMet, Request, TokenArrived
from splitbrain.store.storage.replica import DATA, Entry
from splitbrain.store.versions.context import Context, issue
from splitbrain.store.versions.dotted import EMPTY, newest_stamp
from splitbrain.store.wire.client_messages import Failed, Put, Stored
from splitbrain.store.wire.peer_messages import Write, Written


class PutCoordinator:
    """Coordinates one put, or delete."""

    def __init__(self, request: Request, admitted: Admitted) -> None:
        assert isinstance(admitted.message, Put)
        self._request = request
        self._core = request.core
        self._handoff = request.handoff
        self._key = request.key
        self._admitted = admitted
        self._provided: set[str] = set()
        """Primaries that have the write, or for which somebody keeps a hint."""
        self._spread = False
        self._state = EMPTY
        self._covered, self._writes = admitted.context.seen, admitted.context.writes

    def start(self) -> None:
        """Make the version and store it here."""
        core, key, request = self._core, self._key, self._request
        core.counters["puts_begun"] += 1
        if core.name in request.fanout.primaries or core.ownership.writable(key):
            replaced, before = None, core.replica.newest(DATA, key)
        else:
            replaced = request.fanout.replaced()
            before = Entry(0, self._handoff.newest(replaced, key))
        made = new_version(core, before, self._admitted, stands_in=replaced is not None)
        self._state, self._covered, self._writes = made.entry.state, made.covered, made.writes
        if made.refusal is not None:
            request.reply(Failed("too_large", made.refusal))
            return
        self._timer = core.timers.at(request.deadline, self._time_up)
        if replaced is None and not request.quorum.durable and core.buffer.put(key, made.entry):
            self._spread = True  # A crash forgets the write: then there is nothing left to spread.
            self._stored(None, durable=False)
            return
        note = self._handoff.spreading(key)
        if replaced is None:
            stored = partial(self._stored, None)
            core.replica.put(DATA, key, made.entry, stored, refused=self._no_room, beside=note)
        else:
            stored = partial(self._stored, replaced)
            self._handoff.keep(replaced, key, self._state, stored, refused=self._no_room, beside=note)

    def _no_room(self) -> None:
        text = f"the disk of {self._core.name} is full; free space on it, and get the key before you retry"
        self._request.reply(Failed("quorum_failed", text))

    def _stored(self, replaced: str | None, durable: bool = True) -> None:
        """This node has the write; replaced: as a hint for that primary."""
        core, request = self._core, self._request
        slot = core.ownership.slot(self._key) if replaced is None else None
        own = Answered(core.name, replaced, Written(slot, durable))
        if replaced is None:
            besides = core.name if core.name in request.fanout.primaries else None
        else:
            besides = replaced if core.suspects(replaced) else None
        seek = replaced is None and slot is None
        self.take(chain(request.begin(self, own, besides), request.check(), request.seek() if seek else ()))

    def message(self, owner: str | None) -> Write:
        """What the other replicas are to store."""
        return Write(self._key, self._state, owner, self._request.quorum.durable > 1)

    def take(self, events: Iterable[Progress]) -> None:
        """Note who has the write, and answer the client once enough do."""
        for event in events:
            match event:
                case Answered(node, owner, reply):
                    if isinstance(reply, Written):
                        self._provide(owner or node)
                case QuorumMet(replicas, durable):
                    self._acknowledge(replicas, durable)
                case TokenArrived():
                    pass
                case _:
                    assert_never(event)

    def _provide(self, primary: str) -> None:
        """The primary replica has the write, or somebody keeps a hint for it."""
        self._provided.add(primary)
        if not self._spread and self._provided.issuperset(self._request.fanout.primaries):
            self._spread = True
            self._handoff.spread(self._key)
            self._rest()

    def _acknowledge(self, replicas: int, durable: int) -> None:
        core = self._core
        coordinator = core.name if core.name in self._request.fanout.primaries else ""
        context = Context(self._covered, newest_stamp(self._state), coordinator, self._writes)
        self._request.reply(Stored(issue(core.secret, self._key, context), core.membership.view, replicas, durable))
        self._rest()

    def _rest(self) -> None:
        if self._request.replied and self._spread:
            self._timer.cancel()

    def _time_up(self) -> None:
        core, primaries = self._core, self._request.fanout.primaries
        missing = ", ".join(primary for primary in primaries if primary not in self._provided)
        missed = self._request.quorum.missed(*self._request.counts())
        text = f"{missed} hold it after {core.config.request_timeout_s:g} s"
        if missing:
            text += f" ({missing} did not answer)"
        self._request.reply(Failed("quorum_failed", f"{text}; get the key before you retry"))
        for primary in primaries:
            if primary in self._provided:
                continue
            if primary == core.name:
                # It was none when it took the put.
                core.replica.merge(DATA, self._key, self._state, partial(self._provide, primary))
            else:
                # Nobody was left to fall back on: the coordinator itself keeps the hint. It counts for nothing.
                self._handoff.keep(primary, self._key, self._state, partial(self._provide, primary))
