"""Progress: what the receiver of a long message says while it arrives.

    message's kind 1 | room 2 | base 2 | which have come beyond the base: a bit a fragment, the first in the lowest

1. `base` fragments from the first on have come; of those behind it, the bits say which. So only what is missing is
   sent again.
2. `room` is how many datagrams the receiver can take in from this sender, unread, at a time.
3. A progress is sealed and numbered like every datagram, and names the message by request id and checksum. Its sender
   may still be mistaken, or lie: `flow` bounds what that costs.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

SPAN = 2048
"""How many fragments behind the base a progress tells of: a sender sends none further ahead."""

_FIXED = struct.Struct("!BHH")
_SPAN_MASK = (1 << SPAN) - 1


class Progress(NamedTuple):
    """kind: the message's (`datagrams.REQUEST` or `REPLY`). seen: a bit for each fragment from `base` on."""

    kind: int
    room: int
    base: int
    seen: int

    def encode(self) -> bytes:
        """At most 261 bytes."""
        seen = self.seen & _SPAN_MASK
        return _FIXED.pack(*self[:3]) + seen.to_bytes((seen.bit_length() + 7) // 8, "little")

    @staticmethod
    def decode(chunk: bytes) -> Progress | None:
        """None if it is none."""
        if not _FIXED.size <= len(chunk) <= _FIXED.size + SPAN // 8:
            return None
        kind, room, base = _FIXED.unpack_from(chunk)
        return Progress(kind, room, base, int.from_bytes(chunk[_FIXED.size :], "little"))
