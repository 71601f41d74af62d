"""Outgoing: a long message on its way: which fragments have been sent, have arrived, or are to be sent again.

1. A fragment is flying, or with the peer, or to be sent again, or was not sent yet: never two of these.
2. What the peer has is what it said last (`progress`), whatever it said before.
"""

from __future__ import annotations

from collections.abc import Callable

from splitbrain.store.actions import Address
from splitbrain.store.wire.progress import SPAN

FIRST = 16
SENT_MAX, SENT_EXTRA = 4, 64


class Outgoing:
    """A long message on its way.

    to, kind, request_id, meant_for, payload: what is sent, as in `Wire.fragment`. step: bytes of a fragment. defers:
    whether the sender takes `busy` for an answer. first: how many fragments may go before the peer has said anything.
    probes: fragments sent again since it last said something. sent: fragments sent, repetitions included.
    """

    __slots__ = (
        "_again",
        "checksum",
        "count",
        "defers",
        "first",
        "flying",
        "heard",
        "held",
        "kind",
        "meant_for",
        "newest",
        "next",
        "on_delivered",
        "on_given_up",
        "payload",
        "probes",
        "request_id",
        "sent",
        "step",
        "to",
    )

    def __init__(
        self,
        to: Address,
        kind: int,
        request_id: int,
        meant_for: int,
        payload: bytes,
        checksum: int,
        step: int,
        *,
        first: int = FIRST,
        defers: bool = False,
    ) -> None:
        self.to = to
        self.kind = kind
        self.request_id = request_id
        self.meant_for = meant_for
        self.payload = payload
        self.checksum = checksum
        self.step = step
        self.count = max(1, -(-len(payload) // step))
        self.first = first
        self.defers = defers
        self.on_delivered: Callable[[], None] = lambda: None
        self.on_given_up: Callable[[], None] | None = None
        """Called after `PROBES_MAX` probes in vain; None: it is tried until it is stopped."""
        self.heard = -1
        """The sequence number of the last progress: an older one that comes late is no news."""
        self.held = 0
        """The fragments that the peer has, one bit each."""
        self.flying: dict[int, tuple[int, float]] = {}
        """Fragments on their way, in the order in which they were last sent: each one's place in it, and the time."""
        self.newest = -1
        """The latest place of those that have arrived."""
        self.next = 0
        self.probes = 0
        self.sent = 0
        self._again: dict[int, None] = {}
        """Fragments to be sent again: none that is flying, and none that the peer has."""

    @property
    def left(self) -> int:
        """How many fragments are to be sent still, as far as is known."""
        return self.count - self.next + len(self._again)

    @property
    def ready(self) -> int:
        """How many of them may be sent now, by what the peer has said."""
        if self.heard < 0:
            return max(0, min(self.first, self.count) - self.next)
        base = (~self.held & (self.held + 1)).bit_length() - 1
        fresh = min(self.count, base + SPAN) - self.next
        return min(len(self._again) + max(0, fresh), self.allowance)

    @property
    def may_have_arrived(self) -> bool:
        """Whether the peer may have had all of it, at a time when this side did not know the peer's end yet."""
        # If each was sent once, and one reached another incarnation, then the one it was meant for lacks that.
        return self.meant_for != 0 and self.next == self.count and self.sent > self.count

    @property
    def allowance(self) -> int:
        """How many fragments may be sent still, whatever the peer says."""
        return SENT_MAX * self.count + SENT_EXTRA - self.sent

    def take(self) -> int:
        """The next fragment to send. There is one if `ready` is not 0."""
        for part in self._again:
            del self._again[part]
            return part
        part = self.next
        self._skip(part + 1)
        return part

    def tell(self, held: int) -> None:
        """The peer has these fragments, and no others."""
        dropped = self.held & ~held
        self.held = held
        while dropped:
            part = (dropped & -dropped).bit_length() - 1
            dropped &= dropped - 1
            if part < self.next and part not in self.flying:
                self._again[part] = None
        for part in [part for part in self._again if held >> part & 1]:
            del self._again[part]
        self._skip(self.next)

    def size(self, part: int) -> int:
        """Bytes of that fragment."""
        return min(self.step, len(self.payload) - part * self.step)

    def chunk(self, part: int) -> bytes:
        """That fragment."""
        return self.payload[part * self.step : (part + 1) * self.step]

    def lost(self, part: int) -> None:
        """That fragment was lost, or the peer has dropped it: it is to be sent again."""
        self._again[part] = None

    def _skip(self, part: int) -> None:
        """Go on with that fragment, or the first behind it that the peer has not."""
        while part < self.count and self.held >> part & 1:
            part += 1
        self.next = part
