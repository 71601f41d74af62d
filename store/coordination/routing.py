"""Routing: any node takes any request, and hands it once to a home of its key.

1. A home coordinates what it is sent, but for a put whose context names another home that it does not suspect: the one
   that answered first in the get before, which has what was read then, and likely answers the next get first. So a
   client is more likely to read its own write. Nodes that are no homes forward, to that home or the first that they
   do not suspect, and pass the answer on. What was forwarded is never forwarded again, so there are no loops.
2. Where no home answers, a sloppy cluster's node coordinates by itself, as a stand-in.
3. A home that is suspected while it has the request is given up on, and the next is asked, with the same request id
   and, of a put, the same dot (`dots`; not in every mode: `clocks`): the first may do it as well, later.

Dynamo (SOSP 2007), sections 4.5, 5 and 6.4.
"""

from __future__ import annotations

from collections.abc import Callable

from splitbrain.store.parts import Core
from splitbrain.store.versions.clocks import gives_dots
from splitbrain.store.versions.dots import Dots
from splitbrain.store.versions.dotted import Dot
from splitbrain.store.wire.client_messages import Failed, Get, Put, Stored
from splitbrain.store.wire.messages import Reply, after_others
from splitbrain.store.wire.peer_messages import Forward

LOOK_EVERY_S = 0.1
GRACE_S = 0.5
"""A coordinator may take `request_timeout_s`; its answer needs a little longer to come back."""


class Routing:
    """Finds a coordinator for one request.

    sloppy: any node may, where no home answers. preferred: the home that the context names; "" for none.
    coordinate: do it here, under that dot if a put was given one, and give the answer to that function.
    """

    def __init__(
        self,
        core: Core,
        request: Get | Put,
        request_id: int,
        sloppy: bool,
        preferred: str,
        dots: Dots,
        coordinate: Callable[[Dot | None, Callable[[Reply], None]], None],
        finish: Callable[[Reply], None],
    ) -> None:
        self._core = core
        self._request = request
        self._request_id = request_id
        self._sloppy = sloppy
        self._preferred = preferred
        self._dots = dots
        self._dot: Dot | None = None
        self._coordinate = coordinate
        self._finish = finish
        self._homes = list(core.ring.primaries(request.key))
        self._untried = list(self._homes)
        self._asked: str | None = None
        self._deadline = core.now + core.config.request_timeout_s + GRACE_S
        self._tries = 0
        self._over = False

    def start(self) -> None:
        """Coordinate or forward."""
        core = self._core
        preferred = self._preferred if self._preferred in self._homes and not core.suspects(self._preferred) else ""
        if core.name in self._homes and preferred in ("", core.name):
            self._coordinate(None, self._finish)
            return
        self._untried.sort(key=lambda home: (home != preferred, home != core.name))
        if isinstance(self._request, Put) and gives_dots(self._core.config):
            self._dot = self._dots.give(self._request.key)
        self._next()

    def _next(self) -> None:
        trusted = [home for home in self._untried if not self._core.suspects(home)]
        if trusted and trusted[0] == self._core.name:
            self._coordinate_here()
        elif trusted or (self._untried and not self._sloppy):
            self._asked = (trusted or self._untried)[0]
            self._untried.remove(self._asked)
            self._core.counters["forwarded"] += 1
            self._tries += 1
            message = Forward(self._request_id, self._request, self._dot)
            self._core.hand(self._asked, message, self._deadline, self._answered)
            self._core.after(LOOK_EVERY_S, self._look)
        elif self._sloppy:
            self._coordinate_here()

    def _coordinate_here(self) -> None:
        self._over = True
        self._tries += 1
        self._coordinate(self._dot, self._end)

    def _look(self) -> None:
        if self._over or self._asked is None:
            return
        if self._core.suspects(self._asked) and (self._untried or self._sloppy):
            self._next()
        else:
            self._core.after(LOOK_EVERY_S, self._look)

    def _answered(self, reply: Reply | None) -> None:
        if self._over:
            return
        self._over = True
        homes = ", ".join(self._homes)
        text = f"no home of the key ({homes}) answered in time; retry through another node"
        self._end(reply or Failed("timeout", text))

    def _end(self, reply: Reply) -> None:
        if self._dot is not None and not isinstance(reply, Stored):
            self._dots.failed(self._request.key, self._dot)
        self._finish(after_others(reply) if self._tries > 1 else reply)
