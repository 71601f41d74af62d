"""Reception: clients' requests as they come to a node, from a client or from the node that a client went to.

1. What can't be served is refused before anything is done for it. At most `REQUESTS_MAX` are under way, and so many
   bytes of puts as the `budget` says; more are refused as `busy`, before they time out in a queue.
2. A put that comes twice, through two nodes, is done once and answered twice.
3. After a stall (it was paused, or its machine) a node drops the puts that waited for it meanwhile. Their senders have
   gone to another coordinator by now. Whoever still wants such a put sends it again.
4. A put that was first sent to an earlier incarnation of this node may have been done by that one, and been replaced
   since. It is done again only if it has an identity, which shows whether it was (`identities`). Otherwise, or if it
   can't be served, its outcome is indeterminate.
5. A put for which the disk has no room is refused. One that is under way here, or was done, is not.

Dynamo (SOSP 2007), sections 4.5 and 6.4.
"""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from splitbrain.store.coordination.budget import TAKES_IN_S, Budget
from splitbrain.store.coordination.quorum import quorum
from splitbrain.store.coordination.request import Admitted
from splitbrain.store.coordination.routing import Routing
from splitbrain.store.defects import RESTART_REDOES_RETRIES, STALLED_PUTS_DONE
from splitbrain.store.errors import StoreError
from splitbrain.store.parts import Core
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.scheduling.latencies import Latencies
from splitbrain.store.versions.context import accept
from splitbrain.store.wire.client_messages import Failed, Get, Put
from splitbrain.store.wire.limits import check_key, check_value
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Forward
from splitbrain.store.wire.taken import Incoming

REQUESTS_MAX = 1000
BUSY_MS = 100
"""When to come back with a request beyond `REQUESTS_MAX`."""
CATCH_UP_S = 0.2
"""For how long, after a stall, puts may still be from before: a full receive buffer takes this long to read."""


class Reception:
    """A node's reception. ongoing: requests under way. latencies: what they took, by kind: "get", "put"."""

    def __init__(self, core: Core, handoff: Handoff) -> None:
        self._core = core
        self._handoff = handoff
        self._catching_up_until = 0.0
        self._putting: dict[tuple[bytes, int], list[Incoming]] = {}
        self.ongoing = 0
        self.budget = Budget(core.name, core.present, core.config.request_timeout_s)
        core.rpc.admit = self._admit_bytes
        self.latencies = {"get": Latencies(), "put": Latencies()}

    def stalled(self, now: float) -> None:
        """The node did not run for a while, until now."""
        self._catching_up_until = now + CATCH_UP_S

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self.ongoing and not self._putting

    def take(self, incoming: Incoming) -> None:
        """A Get, a Put, or either in a Forward."""
        forwarded = incoming.request if isinstance(incoming.request, Forward) else None
        request = incoming.request if forwarded is None else forwarded.request
        request_id = incoming.request_id if forwarded is None else forwarded.request_id
        assert isinstance(request, Get | Put)
        if isinstance(request, Put) and (request.key, request_id) in self._putting:
            # The client went to another node with it, which handed it to us as well: one put, two answers.
            self._putting[request.key, request_id].append(incoming)
            return
        core = self._core
        stale = isinstance(request, Put) and core.now < self._catching_up_until
        doubtful = isinstance(request, Put) and incoming.retried
        if stale and core.config.defect == STALLED_PUTS_DONE:
            request, stale = _nameless(request), False
        if doubtful and core.config.defect == RESTART_REDOES_RETRIES:
            request, doubtful = _nameless(request), False
        unknown = f"{core.name} started while this put was under way; get the key before you retry"
        try:
            admitted = _admit(core, request, request_id)
        except StoreError as refusal:
            reply = Failed("timeout", unknown) if doubtful else Failed(refusal.code, refusal.message)
            core.rpc.answer(incoming, reply)
            return
        if doubtful and isinstance(request, Put) and request.identity is None:
            core.rpc.answer(incoming, Failed("timeout", unknown))
        elif stale:
            core.counters["stale_puts"] += 1
            core.rpc.forget(incoming)
        elif self.ongoing >= REQUESTS_MAX:
            text = f"{core.name} has {REQUESTS_MAX} requests under way; wait and retry"
            busy = Failed("busy", text, BUSY_MS)
            core.rpc.answer(incoming, Failed("timeout", unknown) if doubtful else busy)
        else:
            if isinstance(request, Put):
                self._putting[request.key, request_id] = []
            self.ongoing += 1
            if _bytes(request):
                self.budget.began(_bytes(request))
            finish = partial(self._finish, incoming, admitted, core.now)
            routing = Routing(core, self._handoff, admitted, finish)
            if forwarded is None:
                routing.route()
            else:
                routing.coordinate()

    def _admit_bytes(self, size: int) -> Failed | None:
        long = self._core.rpc.long
        return self.budget.admit(size, long.expected_bytes + long.backlog_bytes(self._core.now - TAKES_IN_S))

    def _finish(self, incoming: Incoming, admitted: Admitted, began: float, reply: Reply) -> None:
        core, request = self._core, admitted.message
        self.ongoing -= 1
        took_s = core.now - began
        if _bytes(request):
            self.budget.ended(_bytes(request), took_s)
        self.latencies["put" if isinstance(request, Put) else "get"].observe(took_s, core.now)
        core.background.observe(took_s, core.now)
        core.rpc.answer(incoming, reply)
        for other in self._putting.pop((request.key, admitted.request_id), ()) if isinstance(request, Put) else ():
            core.rpc.answer(other, reply)


def _bytes(request: Get | Put) -> int:
    """What counts of it in the budget: the value of a put."""
    return len(request.value or b"") if isinstance(request, Put) else 0


def _nameless(request: Get | Put) -> Get | Put:
    return replace(request, identity=None) if isinstance(request, Put) else request


def _admit(core: Core, request: Get | Put, request_id: int) -> Admitted:
    """Raises StoreError for a request that may not be served."""
    if core.membership.refusal is not None:
        raise StoreError("not_member", core.membership.refusal)
    check_key(request.key)
    asked = quorum(request, core.config)
    given = None
    if isinstance(request, Put):
        given = request.context
        if core.replica.full:
            raise StoreError("disk_full", f"the disk of {core.name} is full; free space on it, or ask another node")
        if request.value is not None:
            check_value(request.value)
        elif given is None:
            raise StoreError("bad_request", "a delete needs the context of a get: without one it would delete nothing")
    return Admitted(request, request_id, accept(core.secret, request.key, given), asked)
