"""Reassembly: fragments back into messages, within bounds.

1. Partial messages are bounded in number and age for each sender incarnation, and in bytes for each sender incarnation
   and in all. Every fragment also counts with its overhead. Over a bound the oldest partial messages are dropped.
2. A message is complete once all its parts are there and its checksum agrees.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict

from splitbrain.store.wire.datagrams import DATAGRAM_BYTES_MAX, Fragment

MESSAGE_BYTES_MAX = 32 << 20
PARTIALS_PER_SENDER = 64
BYTES_PER_SENDER = 40 << 20
BYTES_IN_ALL = 128 << 20
AGE_MAX_S = 5.0
FRAGMENT_OVERHEAD_BYTES = 128
"""The memory that a fragment takes beside its bytes: 65,535 empty ones would take megabytes."""

_Key = tuple[int, int, int, int]


class _Partial:
    __slots__ = ("bytes", "chunks", "count", "since")

    def __init__(self, count: int, since: float) -> None:
        self.count = count
        self.since = since
        self.chunks: dict[int, bytes] = {}
        self.bytes = 0


class _Sender:
    __slots__ = ("bytes", "keys")

    def __init__(self) -> None:
        self.bytes = 0
        self.keys: dict[_Key, None] = {}


class Reassembly:
    """Partial messages, oldest first. dropped: how many were given up."""

    def __init__(self) -> None:
        self._partials: OrderedDict[_Key, _Partial] = OrderedDict()
        self._by_sender: dict[int, _Sender] = {}
        self._bytes = 0
        self.dropped = 0

    def add(self, fragment: Fragment, now: float) -> bytes | None:
        """Add a fragment. Returns the message if this was its last missing part. Amortised O(1) a fragment."""
        if fragment.parts == 1:
            return fragment.chunk if zlib.crc32(fragment.chunk) == fragment.checksum else None
        self._expire(now)
        key = (fragment.incarnation, fragment.kind, fragment.request_id, fragment.checksum)
        partial = self._partials.get(key)
        if partial is None:
            if fragment.parts * len(fragment.chunk) > MESSAGE_BYTES_MAX + DATAGRAM_BYTES_MAX:
                self.dropped += 1
                return None
            partial = self._partials[key] = _Partial(fragment.parts, now)
            self._by_sender.setdefault(fragment.incarnation, _Sender()).keys[key] = None
        if fragment.parts != partial.count or fragment.part in partial.chunks:
            return None
        partial.chunks[fragment.part] = fragment.chunk
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

    def _expire(self, now: float) -> None:
        while self._partials:
            key, partial = next(iter(self._partials.items()))
            if now - partial.since <= AGE_MAX_S:
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
        sender = self._by_sender[key[0]]
        sender.bytes -= partial.bytes
        del sender.keys[key]
        if not sender.keys:
            del self._by_sender[key[0]]
