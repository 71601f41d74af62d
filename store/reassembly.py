"""Reassembly: fragments back into messages, within bounds.

1. Partial messages are bounded in number, bytes and age, per sender boot and in all; over a bound the oldest go.
2. A message is handed out once all parts are there and its checksum agrees.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict

from store.wire import Fragment

MESSAGE_BYTES_MAX = 32 << 20
PARTIALS_PER_SENDER = 64
BYTES_PER_SENDER = 32 << 20
BYTES_IN_ALL = 128 << 20
AGE_MAX_S = 5.0

_Key = tuple[int, int, int, int]


class _Partial:
    __slots__ = ("bytes", "chunks", "count", "since")

    def __init__(self, count: int, since: float) -> None:
        self.count = count
        self.since = since
        self.chunks: dict[int, bytes] = {}
        self.bytes = 0


class Reassembly:
    """Messages in the making, oldest first. `dropped` counts those given up."""

    def __init__(self) -> None:
        self._partials: OrderedDict[_Key, _Partial] = OrderedDict()
        self._by_sender: dict[int, list[_Key]] = {}
        self._bytes = 0
        self.dropped = 0

    def add(self, fragment: Fragment, now: float) -> bytes | None:
        """The whole message, if this was its last missing part. Amortised O(1) a fragment."""
        if fragment.count == 1:
            return fragment.chunk if zlib.crc32(fragment.chunk) == fragment.checksum else None
        self._expire(now)
        key = (fragment.boot, fragment.kind, fragment.request_id, fragment.checksum)
        partial = self._partials.get(key)
        if partial is None:
            if fragment.count * len(fragment.chunk) > MESSAGE_BYTES_MAX:
                self.dropped += 1
                return None
            partial = self._partials[key] = _Partial(fragment.count, now)
            self._by_sender.setdefault(fragment.boot, []).append(key)
        if fragment.count != partial.count or fragment.index in partial.chunks:
            return None
        partial.chunks[fragment.index] = fragment.chunk
        partial.bytes += len(fragment.chunk)
        self._bytes += len(fragment.chunk)
        if len(partial.chunks) == partial.count:
            self._forget(key)
            message = b"".join(partial.chunks[index] for index in range(partial.count))
            return message if zlib.crc32(message) == fragment.checksum else None
        self._bound(fragment.boot)
        return None

    @property
    def held(self) -> tuple[int, int]:
        """How many partial messages, and their bytes."""
        return len(self._partials), self._bytes

    def _expire(self, now: float) -> None:
        while self._partials:
            key, partial = next(iter(self._partials.items()))
            if now - partial.since <= AGE_MAX_S:
                return
            self._drop(key)

    def _bound(self, boot: int) -> None:
        keys = self._by_sender.get(boot, [])
        while len(keys) > PARTIALS_PER_SENDER or sum(self._partials[k].bytes for k in keys) > BYTES_PER_SENDER:
            self._drop(keys[0])
        while self._bytes > BYTES_IN_ALL:
            self._drop(next(iter(self._partials)))

    def _drop(self, key: _Key) -> None:
        self.dropped += 1
        self._forget(key)

    def _forget(self, key: _Key) -> None:
        self._bytes -= self._partials.pop(key).bytes
        keys = self._by_sender[key[0]]
        keys.remove(key)
        if not keys:
            del self._by_sender[key[0]]
