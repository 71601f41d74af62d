"""Taken: which requests have come, and how they were answered, for as long as their senders may send them again."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from splitbrain.store.actions import Address
from splitbrain.store.scheduling.timers import Present
from splitbrain.store.wire.messages import Request

ANSWER_KEPT_S = 10.0
"""Longer than any client retries (`client_core.TIMEOUT_S`)."""
TAKEN_MAX = 50_000
"""Puts a node can coordinate in `ANSWER_KEPT_S`, several times over."""

Key = tuple[int, int]
"""The sender's incarnation, and the request id."""


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A request to be answered with `Rpc.answer`.

    name: the sender's own. retried: it was sent to an earlier incarnation before, which may have done it. long: it took
    more than one datagram.
    """

    incarnation: int
    name: str
    source: Address
    request_id: int
    request: Request
    retried: bool
    long: bool = False


class Taken:
    """Requests by key, oldest first, bounded in number and age. Amortised O(1)."""

    def __init__(self, present: Present) -> None:
        self._present = present
        self._kept: OrderedDict[Key, tuple[float, bytes | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def answer(self, key: Key) -> bytes | None:
        """How it was answered; None: not yet, or it is not known."""
        kept = self._kept.get(key)
        return None if kept is None else kept[1]

    def begin(self, key: Key) -> None:
        """The request has come; what is too old is forgotten."""
        now = self._present.now.monotonic
        while self._kept:
            taken_at, _ = next(iter(self._kept.values()))
            if taken_at >= now - ANSWER_KEPT_S and len(self._kept) < TAKEN_MAX:
                break
            self._kept.popitem(last=False)
        self._kept[key] = (now, None)

    def keep(self, key: Key, payload: bytes) -> None:
        """It was answered with that, and is whenever it comes again."""
        self._kept[key] = (self._present.now.monotonic, payload)

    def forget(self, key: Key) -> None:
        """If it comes again it is taken again."""
        self._kept.pop(key, None)
