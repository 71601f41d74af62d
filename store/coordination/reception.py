"""The intake: clients' requests as they come to a node, from a client or from the node that a client went to.

1. What can't be served is refused before anything is done for it. At most `REQUESTS_MAX` are under way; more are
   refused as `busy`, before they time out in a queue.
2. A put that comes twice, through two nodes, is done once and answered twice.
3. A node that notices that it was stalled (paused, or its machine) drops the puts that waited for it meanwhile: who
   sent them has gone to another coordinator by now, and a second version made from an old state would come back as a
   sibling of its own successors. Whoever still wants one sends it again.
4. A retried put that comes soon after the start, and is not known, may have been done by the node's former self and
   been replaced since: it is not done again, and nobody knows. One forwarded with a dot may be: the dot tells.

Dynamo (SOSP 2007), sections 4.5 and 6.4.
"""

from __future__ import annotations

from collections.abc import Callable

from splitbrain.store.actions import Bits
from splitbrain.store.coordination.coordinator import GetRequest, PutRequest
from splitbrain.store.coordination.quorum import Quorum, quorum
from splitbrain.store.coordination.routing import Routing
from splitbrain.store.defects import RETRY_WITHOUT_DEDUPLICATION
from splitbrain.store.errors import StoreError
from splitbrain.store.parts import Core
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.scheduling.latencies import Latencies
from splitbrain.store.versions.context import Context, accept
from splitbrain.store.versions.dots import Dots
from splitbrain.store.versions.dotted import Dot
from splitbrain.store.wire.client_messages import Failed, Get, Put
from splitbrain.store.wire.limits import check_key, check_value
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Forward
from splitbrain.store.wire.rpc import ANSWER_KEPT_S, Incoming

REQUESTS_MAX = 1000
CATCH_UP_S = 0.2
"""For how long, after a stall, puts may still be from before: a full receive buffer takes this long to read."""


class Intake:
    """Of one node. ongoing: requests under way. latencies: what they took, by kind: "get", "put"."""

    def __init__(self, core: Core, handoff: Handoff, bits: Bits) -> None:
        self._core = core
        self._handoff = handoff
        self._dots = Dots(bits)
        self._started = 0.0
        self._catching_up_until = 0.0
        self._putting: dict[tuple[bytes, int], list[Incoming]] = {}
        self.ongoing = 0
        self.latencies = {"get": Latencies(), "put": Latencies()}

    def start(self) -> None:
        """The node begins."""
        self._started = self._core.now

    def stalled(self, now: float) -> None:
        """The node did not run for a while, until now."""
        self._catching_up_until = now + CATCH_UP_S

    def take(self, incoming: Incoming) -> None:
        """A Get, a Put, or either in a Forward."""
        forward = incoming.request if isinstance(incoming.request, Forward) else None
        request = incoming.request if forward is None else forward.request
        request_id = incoming.request_id if forward is None else forward.request_id
        assert isinstance(request, Get | Put)
        if isinstance(request, Put) and (request.key, request_id) in self._putting:
            # The client went to another node with it, which handed it to us as well: one put, two answers.
            self._putting[request.key, request_id].append(incoming)
            return
        try:
            context, asked = self._admit(request)
        except StoreError as refusal:
            self._core.rpc.answer(incoming, Failed(refusal.code, refusal.message))
            return
        if isinstance(request, Put) and not self._is_timely(incoming, forward):
            return
        if self.ongoing >= REQUESTS_MAX:
            text = f"{self._core.name} has {REQUESTS_MAX} requests under way; wait and retry"
            self._core.rpc.answer(incoming, Failed("busy", text))
            return
        self._do(incoming, forward, request, request_id, context, asked)

    def _admit(self, request: Get | Put) -> tuple[Context, Quorum]:
        """What a request that may be served asks for. Raises StoreError for one that may not."""
        if self._core.membership.refusal is not None:
            raise StoreError("not_member", self._core.membership.refusal)
        check_key(request.key)
        asked = quorum(request, self._core.config)
        if isinstance(request, Get):
            return accept(self._core.secret, request.key, None), asked
        if request.value is not None:
            check_value(request.value)
        elif request.context is None:
            raise StoreError("bad_request", "a delete needs the context of a get: without one it would delete nothing")
        return accept(self._core.secret, request.key, request.context), asked

    def _is_timely(self, incoming: Incoming, forward: Forward | None) -> bool:
        """Whether a put may still be done (rules 3 and 4); it is answered, or dropped, if not."""
        core = self._core
        if incoming.retried and (forward is None or forward.dot is None) and core.now - self._started < ANSWER_KEPT_S:
            text = f"{core.name} started while this put was under way; get the key before you retry"
            core.rpc.answer(incoming, Failed("timeout", text))
            return False
        if core.now < self._catching_up_until:
            core.counters["stale_puts"] += 1
            core.rpc.forget(incoming)
            return False
        return True

    def _do(
        self,
        incoming: Incoming,
        forward: Forward | None,
        request: Get | Put,
        request_id: int,
        context: Context,
        asked: Quorum,
    ) -> None:
        core, began = self._core, self._core.now
        kind = "put" if isinstance(request, Put) else "get"
        place = (request.key, request_id)
        if isinstance(request, Put):
            self._putting[place] = []
        self.ongoing += 1

        def finish(reply: Reply) -> None:
            self.ongoing -= 1
            now = core.now
            self.latencies[kind].observe(now - began, now)
            core.background.observe(now - began, now)
            core.rpc.answer(incoming, reply)
            for other in self._putting.pop(place, ()) if isinstance(request, Put) else ():
                core.rpc.answer(other, reply)

        def coordinate(dot: Dot | None, finish: Callable[[Reply], None]) -> None:
            if isinstance(request, Put):
                value = request.value
                id_, given = request_id, dot
                if core.config.defect == RETRY_WITHOUT_DEDUPLICATION:
                    id_, given = core.rpc.new_id(), None
                put = PutRequest(core, self._handoff, request.key, value, context, asked, id_, given, finish)
                put.start()
            else:
                GetRequest(core, self._handoff, request.key, asked, finish).start()

        if forward is not None:
            coordinate(forward.dot, finish)
        else:
            preferred = context.fastest
            Routing(core, request, request_id, asked.sloppy, preferred, self._dots, coordinate, finish).start()
