"""Reassembly: fragments back into messages, within bounds.

1. Partial messages are bounded in number for each sender incarnation, in bytes for each and in all, and in the time
   since the last fragment came. Every fragment also counts with its overhead. Over a bound those that have waited
   longest for a fragment are dropped.
2. A message is complete once all its parts are there and its checksum agrees.
3. It can say of a partial message which fragments it has (`progress`).
"""

from __future__ import annotations

import zlib
from collections import OrderedDict

from splitbrain.store.wire.datagrams import DATAGRAM_BYTES_MAX, Fragment

MESSAGE_BYTES_MAX = 32 << 20
PARTIALS_PER_SENDER = 64
BYTES_PER_SENDER = 40 << 20
BYTES_IN_ALL = 128 << 20
IDLE_MAX_S = 2.0
"""Several times the longest wait of a sender that hears nothing (`flow.PROBE_MAX_S`)."""
FRAGMENT_OVERHEAD_BYTES = 128
"""The memory that a fragment takes beside its bytes: 65,535 empty ones would take megabytes."""

_Key = tuple[int, int, int, int]


class Partial:
    """A message of which fragments are missing. base: how many have come from the first on. seen: a bit for each from
    there on that has come. unsaid: how many have come since its sender was told."""

    __slots__ = ("base", "bytes", "chunks", "count", "defers_bytes", "heard_at", "seen", "unsaid")

    def __init__(self, count: int, defers_bytes: int) -> None:
        self.count = count
        self.defers_bytes = defers_bytes
        self.heard_at = 0.0
        self.chunks: dict[int, bytes] = {}
        self.bytes = 0
        self.base = self.seen = self.unsaid = 0

    def take(self, part: int, chunk: bytes) -> None:
        """A fragment that has not come before."""
        self.chunks[part] = chunk
        self.unsaid += 1
        if part != self.base:
            self.seen |= 1 << (part - self.base)
            return
        self.seen |= 1
        run = (~self.seen & (self.seen + 1)).bit_length() - 1
        self.base += run
        self.seen >>= run


class _Sender:
    __slots__ = ("bytes", "keys")

    def __init__(self) -> None:
        self.bytes = 0
        self.keys: OrderedDict[_Key, None] = OrderedDict()


class Reassembly:
    """Partial messages, those first that have waited longest for a fragment. dropped: how many were given up.

    expected_bytes: the length of those, in all, whose senders would have taken `busy` for an answer.
    """

    def __init__(self) -> None:
        self._partials: OrderedDict[_Key, Partial] = OrderedDict()
        self._by_sender: dict[int, _Sender] = {}
        self._bytes = 0
        self.dropped = 0
        self.expected_bytes = 0

    def partial(self, fragment: Fragment) -> Partial | None:
        """The partial message that the fragment belongs to, if others of it have come. O(1)."""
        return self._partials.get(_key(fragment))

    @property
    def senders(self) -> int:
        """How many senders' messages are incomplete."""
        return len(self._by_sender)

    def add(self, fragment: Fragment, now: float) -> bytes | None:
        """Add a fragment. Returns the message if this was its last missing part. Amortised O(1) a fragment."""
        if fragment.parts == 1:
            return fragment.chunk if zlib.crc32(fragment.chunk) == fragment.checksum else None
        self.expire(now)
        key = _key(fragment)
        partial = self._partials.get(key)
        if partial is None:
            if fragment.parts * len(fragment.chunk) > MESSAGE_BYTES_MAX + DATAGRAM_BYTES_MAX:
                self.dropped += 1
                return None
            defers_bytes = fragment.parts * len(fragment.chunk) if fragment.defers else 0
            partial = self._partials[key] = Partial(fragment.parts, defers_bytes)
            self.expected_bytes += defers_bytes
            self._by_sender.setdefault(fragment.incarnation, _Sender()).keys[key] = None
        if fragment.parts != partial.count or fragment.part in partial.chunks:
            return None
        partial.take(fragment.part, fragment.chunk)
        partial.heard_at = now
        self._partials.move_to_end(key)
        self._by_sender[fragment.incarnation].keys.move_to_end(key)
        size = len(fragment.chunk) + FRAGMENT_OVERHEAD_BYTES
        partial.bytes += size
        self._by_sender[fragment.incarnation].bytes += size
        self._bytes += size
        if len(partial.chunks) == partial.count:
            self._forget(key)
            message = b"".join(partial.chunks[index] for index in range(partial.count))
            return message if zlib.crc32(message) == fragment.checksum else None
        self._bound(fragment.incarnation)
        return None

    @property
    def held(self) -> tuple[int, int]:
        """The number of partial messages, and their bytes."""
        return len(self._partials), self._bytes

    def expire(self, now: float) -> None:
        """Drop what no fragment has come of for long."""
        while self._partials:
            key, partial = next(iter(self._partials.items()))
            if now - partial.heard_at <= IDLE_MAX_S:
                return
            self._drop(key)

    def _bound(self, incarnation: int) -> None:
        sender = self._by_sender[incarnation]
        while len(sender.keys) > PARTIALS_PER_SENDER or sender.bytes > BYTES_PER_SENDER:
            self._drop(next(iter(sender.keys)))
        while self._bytes > BYTES_IN_ALL:
            self._drop(next(iter(self._partials)))

    def _drop(self, key: _Key) -> None:
        self.dropped += 1
        self._forget(key)

    def _forget(self, key: _Key) -> None:
        partial = self._partials.pop(key)
        self._bytes -= partial.bytes
        self.expected_bytes -= partial.defers_bytes
        sender = self._by_sender[key[0]]
        sender.bytes -= partial.bytes
        del sender.keys[key]
        if not sender.keys:
            del self._by_sender[key[0]]


def _key(fragment: Fragment) -> _Key:
    return fragment.incarnation, fragment.kind, fragment.request_id, fragment.checksum
