"""What a node or client knows of one peer: its round trips, and the requests to it.

The timeout of a request is adaptive (Jacobson and Karels, Congestion Avoidance and Control, SIGCOMM 1988), doubled at
each attempt, and capped. The answer to a repeated request is no measurement, and what a timeout was doubled to holds
for other requests as well until the peer answers (Karn and Partridge, Improving Round-Trip Time Estimates, 1987).
Else every request to a dead peer would be sent five times within a second.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from splitbrain.store.actions import Address
from splitbrain.store.scheduling.timers import Timer
from splitbrain.store.wire.datagrams import REPLY, REQUEST, RETRY, Fragment
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.outgoing import Outgoing

FIRST_TIMEOUT_S, TIMEOUT_MIN_S, TIMEOUT_MAX_S = 0.15, 0.03, 0.6

OnReply = Callable[[Reply | None], None]


@dataclass(slots=True)
class Asked:
    """A request under way. named: the checksum of the name of who may take it; None: whoever is there.

    defers: whether `busy` will do for an answer before the request is there. sent_from, sent_to: the incarnations of
    both sides when it was last sent. elsewhere: whether it may have been taken before one of them was replaced: this
    peer would not know it again. heard_at: when a part of its answer last came. outgoing: the request on its way, if it
    takes more than one datagram and has not arrived.
    """

    to: Address
    request_id: int
    payload: bytes
    deadline: float
    on_reply: OnReply
    named: int | None
    defers: bool = False
    long: bool = False
    attempts: int = 0
    hellos: int = 0
    sent_from: int = 0
    sent_to: int = 0
    elsewhere: bool = False
    sent_at: float = 0.0
    heard_at: float = -math.inf
    timer: Timer | None = None
    outgoing: Outgoing | None = None

    def attempt(self, now: float, sent_from: int, sent_to: int) -> int:
        """It is sent once more, from this incarnation to that; 0: one that is not known. Returns its kind."""
        before = (self.sent_from, self.sent_to)
        if self.attempts and self.sent_to and before != (sent_from, sent_to):
            self.elsewhere = True
        self.sent_at, self.sent_from, self.sent_to = now, sent_from, sent_to
        self.attempts += 1
        return RETRY if self.elsewhere else REQUEST

    def is_answered_by(self, fragment: Fragment, incarnation: int) -> bool:
        """Whether a REPLY or HELLO from the right address is an answer to this. incarnation: that of this side."""
        if fragment.meant_for != incarnation:
            return False
        if fragment.kind == REPLY:
            return fragment.incarnation == self.sent_to
        return self.named is None or self.named == fragment.checksum

    @property
    def may_have_arrived(self) -> bool:
        """Whether the attempt under way may have arrived, though another incarnation has now got a part of it."""
        if not self.long:
            return False  # It is one datagram, which that one got.
        return self.outgoing is None or self.outgoing.may_have_arrived


@dataclass(slots=True)
class Peer:
    """A peer's round trips, and the short requests to it. incarnation, named: from its last HELLO.

    silent_attempts: the most attempts that any request has made since the peer's last answer.
    """

    smoothed_s: float | None = None
    variation_s: float = 0.0
    in_flight: int = 0
    silent_attempts: int = 0
    incarnation: int = 0
    named: int | None = None
    says: str = ""
    waiting: OrderedDict[int, Asked] = field(default_factory=OrderedDict)

    def timeout_s(self, attempt: int) -> float:
        """How long to wait for the answer to that attempt; 0 is the first."""
        if self.smoothed_s is None:
            base = FIRST_TIMEOUT_S
        else:
            base = max(TIMEOUT_MIN_S, self.smoothed_s + 4 * self.variation_s)
        return min(TIMEOUT_MAX_S, base * (1 << min(max(attempt, self.silent_attempts), 8)))

    def measured(self, took_s: float) -> None:
        """A round trip took that long."""
        if self.smoothed_s is None:
            self.smoothed_s, self.variation_s = took_s, took_s / 2
            return
        self.variation_s += (abs(took_s - self.smoothed_s) - self.variation_s) / 4
        self.smoothed_s += (took_s - self.smoothed_s) / 8

    def next(self, in_flight_max: int, now: float) -> list[Asked]:
        """Take out those waiting for which there is room; those past their deadline expire by their own timers."""
        due = [each for each in islice(self.waiting.values(), in_flight_max - self.in_flight) if now < each.deadline]
        for asked in due:
            del self.waiting[asked.request_id]
            if asked.timer is not None:
                asked.timer.cancel()
        return due
