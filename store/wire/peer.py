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

from splitbrain.store.actions import Address
from splitbrain.store.scheduling.timers import Timer
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.outgoing import Outgoing

FIRST_TIMEOUT_S, TIMEOUT_MIN_S, TIMEOUT_MAX_S = 0.15, 0.03, 0.6

OnReply = Callable[[Reply | None], None]


@dataclass(slots=True)
class Asked:
    """A request under way. named: the checksum of the name of who may take it; None: whoever is there.

    defers: whether `busy` will do for an answer before the request is there. sent_to: the incarnation it was last sent
    to. outgoing: the request on its way, if it takes more than one datagram and has not arrived.
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
    sent_to: int = 0
    sent_at: float = 0.0
    heard_at: float = -math.inf
    timer: Timer | None = None
    outgoing: Outgoing | None = None


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
