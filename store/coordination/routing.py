"""Routing: any node takes any request, and hands it once to a primary replica of its key.

1. A primary coordinates what it is sent, with one exception: a put whose context names another primary that it does
   not suspect. That one answered first in the get before, so it has what was read then, and likely answers the next
   get first. So a client is more likely to read its own write.
2. Other nodes forward, to that primary or the first that they do not suspect, and pass the answer on. What was
   forwarded is never forwarded again, so there are no loops.
3. Where no primary answers, a sloppy cluster's node coordinates by itself, as a fallback.
4. A primary that is suspected while it has the request is given up on, and the next is asked. The request id stays the
   same, and so does a put's dot (`dots`; not in every mode: `clocks`): the first may do it as well, later.

5. A primary that says that its disk is full has done nothing, and the next is asked, as if it were suspected.

Dynamo (SOSP 2007), sections 4.5, 5 and 6.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from splitbrain.store.coordination.get import GetCoordinator
from splitbrain.store.coordination.put import PutCoordinator
from splitbrain.store.coordination.request import Admitted, Request
from splitbrain.store.defects import RETRY_WITHOUT_DEDUPLICATION
from splitbrain.store.parts import Core
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.versions.clocks import gives_dots
from splitbrain.store.versions.dots import Dots
from splitbrain.store.versions.dotted import Dot
from splitbrain.store.wire.client_messages import Failed, Put, Stored
from splitbrain.store.wire.limits import transfer_s
from splitbrain.store.wire.messages import Reply, after_others
from splitbrain.store.wire.peer_messages import Forward

LOOK_EVERY_S = 0.1
GRACE_S = 0.5
"""A coordinator may take `request_timeout_s`; its answer needs a little longer to come back."""


class Routing:
    """Finds a coordinator for one request. finish: gives the reply to whoever asked."""

    def __init__(
        self, core: Core, handoff: Handoff, dots: Dots, admitted: Admitted, finish: Callable[[Reply], None]
    ) -> None:
        self._core = core
        self._handoff = handoff
        self._dots = dots
        self._admitted = admitted
        self._finish = finish
        self._dot: Dot | None = None
        self._primaries: list[str] = []
        self._untried: list[str] = []
        self._asked: str | None = None
        self._deadline = core.now + core.config.request_timeout_s + GRACE_S
        if isinstance(admitted.message, Put):
            self._deadline += 2 * transfer_s(admitted.message.value)  # To the coordinator, and on from there.
        self._tries = 0
        self._over = False

    def route(self) -> None:
        """Coordinate here, or forward."""
        core, message = self._core, self._admitted.message
        self._primaries = list(core.ring.primaries(message.key))
        self._untried = list(self._primaries)
        preferred = self._admitted.context.fastest
        if preferred not in self._primaries or core.suspects(preferred):
            preferred = ""
        if core.name in self._primaries and preferred in ("", core.name):
            self.coordinate(None)
            return
        self._untried.sort(key=lambda primary: (primary != preferred, primary != core.name))
        if isinstance(message, Put) and gives_dots(core.config):
            self._dot = self._dots.give(message.key)
        self._next()

    def coordinate(self, dot: Dot | None) -> None:
        """Coordinate here. dot: from the node that forwarded the put, if one did."""
        core, admitted = self._core, self._admitted
        request = Request(core, self._handoff, admitted, self._end)
        if isinstance(admitted.message, Put):
            if core.config.defect == RETRY_WITHOUT_DEDUPLICATION:
                admitted, dot = replace(admitted, request_id=core.rpc.new_id()), None
            put = PutCoordinator(request, admitted, dot)
            put.start()
        else:
            get = GetCoordinator(request)
            get.start()

    def _next(self) -> None:
        sloppy = self._admitted.quorum.sloppy
        trusted = [primary for primary in self._untried if not self._core.suspects(primary)]
        if trusted and trusted[0] == self._core.name:
            self._coordinate_here()
        elif trusted or (self._untried and not sloppy):
            self._asked = (trusted or self._untried)[0]
            self._untried.remove(self._asked)
            self._core.counters["forwarded"] += 1
            self._tries += 1
            message = Forward(self._admitted.request_id, self._admitted.message, self._dot)
            self._core.hand(self._asked, message, self._deadline, self._answered)
            self._core.after(LOOK_EVERY_S, self._look)
        elif sloppy:
            self._coordinate_here()

    def _coordinate_here(self) -> None:
        self._over = True
        self._tries += 1
        self.coordinate(self._dot)

    def _look(self) -> None:
        if self._over or self._asked is None:
            return
        if self._core.suspects(self._asked) and (self._untried or self._admitted.quorum.sloppy):
            self._next()
        else:
            self._core.after(LOOK_EVERY_S, self._look)

    def _answered(self, reply: Reply | None) -> None:
        if self._over:
            return
        full = isinstance(reply, Failed) and reply.code == "disk_full"
        if full and (self._untried or self._admitted.quorum.sloppy):
            self._next()
            return
        self._over = True
        primaries = ", ".join(self._primaries)
        text = f"no home of the key ({primaries}) answered in time; retry through another node"
        self._end(reply or Failed("timeout", text))

    def _end(self, reply: Reply) -> None:
        if self._dot is not None and not isinstance(reply, Stored):
            self._dots.failed(self._admitted.message.key, self._dot)
        self._finish(after_others(reply) if self._tries > 1 else reply)
