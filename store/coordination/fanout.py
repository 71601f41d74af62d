"""The fan-out: whom to ask for one request, and who stands in for replicas that do not answer.

1. It asks nobody itself. Every method returns events, one at a time, and whoever coordinates the request carries each
   one out before it takes the next: what an answer completes decides what follows it.
2. A primary replica that the detector trusts is asked itself. One that is suspected, has not answered within
   `FALLBACK_AFTER_S`, or refuses, gets a fallback if the quorum is sloppy. That is the next healthy node of the
   preference list.
3. No physical node is asked twice for one request, so that no machine counts twice toward a quorum.
4. Where no fallback is left, a suspected primary is asked all the same: the detector may be wrong.
5. A primary that holds no token of the key (`tokens`) has not received it yet. Whoever may still hold it, such as the
   primaries of earlier rings, is asked as well. While a token is between two nodes, all are asked again soon.
6. A node that answers that it is no primary knows another ring. Membership histories are exchanged, and the primaries
   of the new ring are asked.

Dynamo (SOSP 2007), sections 4.5, 4.6 and 4.9.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NamedTuple

from splitbrain.store.parts import Core
from splitbrain.store.scheduling.timers import Timer
from splitbrain.store.wire.client_messages import Failed
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Moved, State, Written

FALLBACK_AFTER_S = 0.25
"""Well over a round trip and a sync to disk, well under a client's patience."""

AGAIN_AFTER_S = 0.01
"""A token is between two nodes for as long as a commit and a round trip take; the wait doubles each time."""
SPARE_ASKED = 8
"""Nodes asked whether they hold a token when the rings before this one are not known: after a restart."""


class Ask(NamedTuple):
    """Send the node the request, and report its reply to `answered`. owner: for whom it stands in; None: for itself."""

    node: str
    owner: str | None


class Expect(NamedTuple):
    """Report to `overdue`, in `FALLBACK_AFTER_S`, that this primary replica should have answered."""

    primary: str


class AskAgain(NamedTuple):
    """Call `again` after so many seconds."""

    after_s: float


class RingDiffers(NamedTuple):
    """Exchange membership histories with the node."""

    node: str


class Answered(NamedTuple):
    """The node has answered. owner: for whom it stood in; None: for itself."""

    node: str
    owner: str | None
    reply: Reply


class PendingChanged(NamedTuple):
    """Fewer nodes are pending than before, or the fan-out is degraded: see whether that decides the request."""


Event = Ask | Expect | AskAgain | RingDiffers | Answered | PendingChanged


class Fanout:
    """Names whom to ask, until its deadline or until `enough`.

    deadline: monotonic seconds. primaries: the key's primary replicas, in the ring as it is now. unanswered: primaries
    for which nobody has answered yet, neither they nor a fallback. pending: nodes asked directly whose reply is still
    expected. expecting: a timer for each `Expect` that was carried out.
    """

    def __init__(self, core: Core, key: bytes, deadline: float, sloppy: bool) -> None:
        preference = core.ring.preference(key)
        self._core = core
        self._key = key
        self.deadline = deadline
        self.primaries = preference[: core.ring.n]
        spare = preference[core.ring.n :] if sloppy else ()
        self._spare = [name for name in spare if name != core.name]
        self.unanswered = set(self.primaries)
        self.pending: set[str] = set()
        self.expecting: list[Timer] = []
        self._asked_directly: dict[str, None] = {}
        self._overdue: set[str] = set()
        self._without_token: dict[str, None] = {}
        self._again_after_s = AGAIN_AFTER_S
        self._seeking = False
        self._over = False

    @property
    def degraded(self) -> bool:
        """Whether a node that was asked directly did not reply within `FALLBACK_AFTER_S`, or is suspected."""
        return bool(self._overdue) or any(self._core.suspects(node) for node in self._asked_directly)

    def replaced(self) -> str:
        """The primary replica whose place this node takes, where it is none itself."""
        return next((primary for primary in self.primaries if self._core.suspects(primary)), self.primaries[0])

    def enough(self) -> None:
        """The quorum is met: what is under way goes on, and nobody is asked again."""
        self._over = True
        self._rest()

    def start(self, besides: str | None) -> Iterator[Event]:
        """Ask for every primary replica but one (which the caller answers for)."""
        if besides is not None:
            self.unanswered.discard(besides)
            self._asked_directly[besides] = None
        for primary in self.primaries:
            if primary != besides:
                yield from self._ask_primary(primary)

    def seek(self) -> Iterator[Event]:
        """A node that answered holds no token: find who does."""
        if self._seeking or self._over:
            return
        self._seeking = True
        membership = self._core.membership
        former = [primary for ring in reversed(membership.past) for primary in ring.primaries(self._key)]
        preference = self._core.ring.preference(self._key)
        others = [*former, *membership.leaving(), *preference[self._core.ring.n :][:SPARE_ASKED]]
        for node in dict.fromkeys(others):
            if node not in self._asked_directly and node != self._core.name:
                yield from self._ask_directly(node)
        yield AskAgain(self._again_after_s)
        self._again_after_s *= 2

    def again(self) -> Iterator[Event]:
        """The time of an `AskAgain` has come."""
        self._seeking = False
        if self._over or self._core.now >= self.deadline:
            return
        yield from self._follow_ring()
        again, self._without_token = list(self._without_token), {}
        for node in again:
            yield Ask(node, None)
        if not again:
            yield from self.seek()

    def answered(self, node: str, owner: str | None, reply: Reply | None) -> Iterator[Event]:
        """The reply to an `Ask`; None: none came by the deadline."""
        if isinstance(reply, Failed):
            yield from self.overdue(owner or node)
        elif reply is not None:
            self.pending.discard(node)
            self._overdue.discard(node)
            moved = isinstance(reply, Moved)
            if moved:
                yield RingDiffers(node)
            else:
                self.unanswered.discard(owner or node)
                yield Answered(node, owner, reply)
                self._rest()
            if owner is None and (moved or (isinstance(reply, State | Written) and reply.slot is None)):
                self._without_token[node] = None
                yield from self.seek()
                yield PendingChanged()

    def overdue(self, node: str) -> Iterator[Event]:
        """The time of an `Expect` has come; or the node refused."""
        if node in self.pending:
            self.pending.discard(node)
            self._overdue.add(node)
        if self._core.now >= self.deadline:
            return
        if node in self.unanswered:
            fell_back = yield from self._fall_back(node)
            if not fell_back and node not in self._asked_directly:
                yield from self._ask_directly(node)
        yield PendingChanged()

    def _follow_ring(self) -> Iterator[Event]:
        primaries = self._core.ring.primaries(self._key)
        if primaries != self.primaries:
            new = set(primaries) - set(self.primaries) - set(self._asked_directly)
            self.unanswered = (self.unanswered & set(primaries)) | new
            self.primaries = primaries
            for primary in primaries:
                if primary not in self._asked_directly and primary != self._core.name:
                    yield from self._ask_primary(primary)

    def _ask_primary(self, primary: str) -> Iterator[Event]:
        fell_back = False
        if self._core.suspects(primary):
            fell_back = yield from self._fall_back(primary)
        if not fell_back:
            yield from self._ask_directly(primary)

    def _ask_directly(self, node: str) -> Iterator[Event]:
        self._asked_directly[node] = None
        self.pending.add(node)
        yield Ask(node, None)
        yield Expect(node)

    def _fall_back(self, primary: str) -> Generator[Event, None, bool]:
        """Ask the next healthy node in the primary's place. Returns whether there is one."""
        while self._spare:
            node = self._spare.pop(0)
            if not self._core.suspects(node):
                yield Ask(node, primary)
                # The fallback may be gone as well, and the detector not know it yet.
                yield Expect(primary)
                return True
        return False

    def _rest(self) -> None:
        """Once it is enough, and somebody has answered for every primary, nobody is overdue any more."""
        if self._over and not self.unanswered:
            for timer in self.expecting:
                timer.cancel()
