"""Routing: any node takes any request, and hands it once to a primary replica of its key.

1. A primary coordinates what it is sent, with one exception: a put whose context names another primary that it does
   not suspect. That one answered first in the get before, so it has what was read then, and likely answers the next
   get first. So a client is more likely to read its own write.
2. Other nodes forward, to that primary or the first that they do not suspect, and pass the answer on. What was
   forwarded is never forwarded again, so there are no loops.
3. Where no primary answers, a sloppy cluster's node coordinates by itself, as a fallback.
4. A primary that was silent for `HEDGE_AFTER_S`, or says that it did nothing, is left behind, and the next is asked
   as well. The first result counts. The put keeps its identity, so it stays one write if several do it (`identities`).
   While a primary takes in a large value it is not silent, and it is given longer to hand it on (`limits.silent_at`).
5. `busy` goes back to whoever asked, who asks elsewhere or later: this node would ask those who have as much to do.

Dynamo (SOSP 2007), sections 4.5, 5 and 6.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from msgspec.structs import replace as changed

from splitbrain.store.coordination.get import GetCoordinator
from splitbrain.store.coordination.put import PutCoordinator
from splitbrain.store.coordination.request import Admitted, Request
from splitbrain.store.defects import RETRY_WITHOUT_DEDUPLICATION
from splitbrain.store.parts import Core
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.wire.client_messages import Failed, Put
from splitbrain.store.wire.limits import silent_at, transfer_s
from splitbrain.store.wire.messages import Reply, after_others, did_nothing
from splitbrain.store.wire.peer_messages import Forward

HEDGE_AFTER_S = 0.1
"""Well over a round trip and a sync to disk; well under what a client expects of a put in which a replica is dead."""
GRACE_S = 0.5
"""A coordinator may take `request_timeout_s`; its answer needs a little longer to come back."""


class Routing:
    """Finds a coordinator for one request. finish: gives the reply to whoever asked."""

    def __init__(self, core: Core, handoff: Handoff, admitted: Admitted, finish: Callable[[Reply], None]) -> None:
        self._core = core
        self._handoff = handoff
        self._admitted = admitted
        self._finish = finish
        self._primaries: list[str] = []
        self._untried: list[str] = []
        self._value = admitted.message.value if isinstance(admitted.message, Put) else None
        # To the coordinator, and on from there.
        self._deadline = core.now + core.config.request_timeout_s + GRACE_S + 2 * transfer_s(self._value)
        self._perhaps = 0
        """Tries, but for those that did nothing."""
        self._out = 0
        """Tries that have not ended."""
        self._failure: Failed | None = None
        self._over = self._last = False
        """Whether it is answered; whether this node coordinates by itself, so that nobody is tried after it."""

    def route(self) -> None:
        """Coordinate here, or forward."""
        core, message = self._core, self._admitted.message
        self._primaries = list(core.ring.primaries(message.key))
        self._untried = list(self._primaries)
        preferred = self._admitted.context.fastest
        if preferred not in self._primaries or core.suspects(preferred):
            preferred = ""
        if core.name in self._primaries and preferred in ("", core.name):
            self.coordinate()
            return
        self._untried.sort(key=lambda primary: (primary != preferred, primary != core.name))
        self._next()

    def coordinate(self) -> None:
        """Coordinate here."""
        core, admitted = self._core, self._admitted
        self._untried, self._last = [], True
        self._perhaps += 1
        self._out += 1
        request = Request(core, self._handoff, admitted, self._answered)
        if isinstance(admitted.message, Put):
            if core.config.defect == RETRY_WITHOUT_DEDUPLICATION:
                message = changed(admitted.message, identity=None)
                admitted = replace(admitted, message=message, request_id=core.rpc.new_id())
            put = PutCoordinator(request, admitted)
            put.start()
        else:
            get = GetCoordinator(request)
            get.start()

    def _next(self) -> None:
        """Try the next coordinator, if there is one."""
        core, sloppy = self._core, self._admitted.quorum.sloppy
        trusted = [primary for primary in self._untried if not core.suspects(primary)]
        if trusted and trusted[0] != core.name:
            self._forward(trusted[0])
        elif trusted or (sloppy and not self._last):
            self.coordinate()
        elif self._untried and not sloppy:
            self._forward(self._untried[0])

    def _forward(self, primary: str) -> None:
        core, admitted = self._core, self._admitted
        self._untried.remove(primary)
        core.counters["forwarded"] += 1
        self._perhaps += 1
        self._out += 1
        forward = Forward(admitted.request_id, admitted.message)
        heard_at = core.hand(primary, forward, self._deadline, self._answered)
        core.after(HEDGE_AFTER_S, partial(self._hedge, core.now, heard_at))

    def _hedge(self, asked_at: float, heard_at: Callable[[], float]) -> None:
        if self._over:
            return
        core = self._core
        due = silent_at(asked_at, heard_at(), HEDGE_AFTER_S, self._value)
        if due > core.now:
            core.timers.at(due, partial(self._hedge, asked_at, heard_at))
        else:
            self._next()

    def _answered(self, reply: Reply | None) -> None:
        """A try has ended; None: by its deadline."""
        self._out -= 1
        if self._over:
            return
        if isinstance(reply, Failed):
            self._failure = reply
            self._perhaps -= did_nothing(reply)
            if did_nothing(reply) and reply.code != "busy":
                self._next()
            if self._over:
                return
        if self._out and (reply is None or isinstance(reply, Failed)):
            return  # Another may still do it.
        self._over = True
        primaries = ", ".join(self._primaries)
        text = f"no home of the key ({primaries}) answered in time; retry through another node"
        reply = reply or self._failure or Failed("timeout", text)
        self._finish(after_others(reply, self._perhaps))
