"""Receiver: takes tokens that other nodes hand on. The protocol is in `sender`.

1. What it takes is noted durably before the sender hears that it does, so a crash of this node undoes nothing.
2. Offers that are late, or came to nothing, may stay noted for a while. Each transfer has a number of its own, and the
   sender says which one is valid. All others of that range are dropped with it, or once the sender does not know them
   any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from splitbrain.store.actions import Reader, Record
from splitbrain.store.membership.history import Standing
from splitbrain.store.ownership.cleanup import Cleanup
from splitbrain.store.parts import Core
from splitbrain.store.repair.pages import keep
from splitbrain.store.ring.ring import RING_SIZE, Range
from splitbrain.store.storage.engine import DamagedRecord
from splitbrain.store.storage.tokens import Token, overlap, pack, unpack
from splitbrain.store.wire.peer_messages import Accepted, Declined, Kept, Offer, Page, Serve, Serving
from splitbrain.store.wire.taken import Incoming

RECEIVING = "taking"
"""The engine's space for transfers to this node. Disks in use have it under this name."""


class _Inbound(msgspec.Struct, frozen=True, array_like=True):
    """A transfer to this node, as it is on disk."""

    sender: str
    start: bytes
    end: bytes
    slot: int

    @property
    def token(self) -> Token:
        return Token(*unpack((self.start, self.end)), self.slot)


class Receiver:
    """The transfers to this node. claimed: whether a range is being reclaimed; set by `reclaim`."""

    def __init__(self, core: Core, cleanup: Cleanup, reader: Reader) -> None:
        self._core = core
        self._cleanup = cleanup
        self._inbound = _stored(reader)
        self._holding: set[int] = set()
        self.claimed: Callable[[Range], bool] = lambda token_range: False
        core.membership.on_change.append(lambda before: self._ring_changed())

    @property
    def numbers(self) -> list[int]:
        """The numbers of the transfers to this node."""
        return list(self._inbound)

    def takes(self, token_range: Range) -> bool:
        """Whether a token of any part of the range is on its way here."""
        return any(overlap(transfer.token, token_range) for transfer in self._inbound.values())

    def forget(self, sender: str, numbers: Iterable[int]) -> None:
        """Drop transfers that the sender does not know: they came to nothing."""
        for number in numbers:
            transfer = self._inbound.get(number)
            if transfer is not None and transfer.sender == sender and number not in self._holding:
                self._drop(number)

    def take(self, incoming: Incoming, request: Offer | Page | Serve) -> None:
        """Answer a sender's request."""
        match request:
            case Offer():
                self._offered(incoming, request)
            case Page():
                self._keep(incoming, request)
            case Serve():
                self._hold(incoming, request.transfer)

    def _ring_changed(self) -> None:
        void = self._cleanup.returning
        for number, transfer in list(self._inbound.items()):
            if void or self._core.membership.address(transfer.sender) is None:
                self._drop(number)

    def _drop(self, number: int) -> None:
        del self._inbound[number]
        self._core.replica.store((Record(RECEIVING, number.to_bytes(8), None),), lambda: None)

    def _offered(self, incoming: Incoming, offer: Offer) -> None:
        core = self._core
        known = self._inbound.get(offer.transfer)
        if known is not None:
            core.rpc.answer(incoming, Accepted((known.start, known.end)))
            return
        start, end = unpack(offer.span)
        is_range = start < end <= RING_SIZE  # Anything else would cut tokens in two.
        if core.membership.standing is not Standing.MEMBER or self._cleanup.returning or not is_range:
            core.rpc.answer(incoming, Declined(False))
            return
        partition = core.ring.partition_at(start)
        lacking = core.ownership.lacking((start, min(end, core.ring.range(partition)[1])))
        if core.name not in core.ring.primaries_of(partition):
            core.sync(incoming.name)
            core.rpc.answer(incoming, Declined(False))
        elif not lacking:
            core.rpc.answer(incoming, Declined(True))
        elif self.claimed(lacking[0]) or self._takes_from_another(incoming.name, lacking[0]):
            core.rpc.answer(incoming, Declined(False))
        else:
            self._accept(incoming, offer, lacking[0])

    def _takes_from_another(self, sender: str, token_range: Range) -> bool:
        return any(t.sender != sender and overlap(t.token, token_range) for t in self._inbound.values())

    def _accept(self, incoming: Incoming, offer: Offer, token_range: Range) -> None:
        transfer = self._inbound[offer.transfer] = _Inbound(incoming.name, *pack(token_range), offer.slot)
        record = Record(RECEIVING, offer.transfer.to_bytes(8), msgspec.msgpack.encode(transfer))
        accepted = Accepted((transfer.start, transfer.end))
        self._core.replica.store((record,), lambda: self._core.rpc.answer(incoming, accepted))

    def _keep(self, incoming: Incoming, page: Page) -> None:
        if page.transfer and page.transfer not in self._inbound:
            self._core.rpc.answer(incoming, Declined(False))
        else:
            keep(self._core, page.states, lambda: self._core.rpc.answer(incoming, Kept()))

    def _hold(self, incoming: Incoming, number: int) -> None:
        transfer = self._inbound.get(number)
        if transfer is None:
            # It is held already. Or this disk was lost meanwhile: then the token is reclaimed (`reclaim`).
            self._core.rpc.answer(incoming, Serving())
            return
        if number in self._holding:
            return
        over = [n for n, other in self._inbound.items() if overlap(other.token, transfer.token)]

        def held() -> None:
            self._holding.discard(number)
            for each in over:
                self._inbound.pop(each, None)
            self._core.counters["tokens_taken"] += 1
            self._core.rpc.answer(incoming, Serving())

        self._holding.add(number)
        records = [Record(RECEIVING, each.to_bytes(8), None) for each in over]
        self._core.ownership.take(transfer.token, records, held)


def _stored(reader: Reader) -> dict[int, _Inbound]:
    decoder = msgspec.msgpack.Decoder(_Inbound)
    try:
        return {int.from_bytes(key): decoder.decode(value) for key, value in reader.scan(RECEIVING)}
    except DamagedRecord:
        return {}
