"""Takeover: how a node comes to hold a token that another gives it. The rules are in `sender`.

1. What it takes is noted durably before the giver hears that it does, so that a crash of this node undoes nothing.
2. Offers that are late, or came to nothing, may stay noted for a while: each transfer has a number of its own, and the
   giver says which is the one. All others of that stretch go with it, or once the giver knows nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from splitbrain.store.actions import Reader, Record
from splitbrain.store.membership.history import Standing
from splitbrain.store.ownership.cleanup import Leftovers
from splitbrain.store.parts import Core
from splitbrain.store.repair.pages import keep
from splitbrain.store.ring.ring import RING_SIZE, Range
from splitbrain.store.storage.engine import DamagedRecord
from splitbrain.store.storage.tokens import Token, overlap, pack, unpack
from splitbrain.store.wire.peer_messages import Accepted, Declined, Kept, Offer, Page, Serve, Serving
from splitbrain.store.wire.rpc import Incoming

TAKING = "taking"


class _Taking(msgspec.Struct, frozen=True, array_like=True):
    """A transfer to this node."""

    giver: str
    start: bytes
    end: bytes
    slot: int

    @property
    def token(self) -> Token:
        return Token(*unpack((self.start, self.end)), self.slot)


class Taker:
    """What this node takes. claimed: whether a stretch is being claimed; set by `reclaim`."""

    def __init__(self, core: Core, leftovers: Leftovers, reader: Reader) -> None:
        self._core = core
        self._leftovers = leftovers
        self._taking = _stored(reader)
        self._holding: set[int] = set()
        self.claimed: Callable[[Range], bool] = lambda stretch: False
        core.membership.on_change.append(lambda before: self._ring_changed())

    @property
    def numbers(self) -> list[int]:
        """Of the transfers to this node."""
        return list(self._taking)

    def takes(self, stretch: Range) -> bool:
        """Whether any of the stretch is on its way here."""
        return any(overlap(taking.token, stretch) for taking in self._taking.values())

    def forget(self, giver: str, numbers: Iterable[int]) -> None:
        """The giver knows nothing of these: they came to nothing."""
        for number in numbers:
            taking = self._taking.get(number)
            if taking is not None and taking.giver == giver and number not in self._holding:
                self._drop(number)

    def take(self, incoming: Incoming, request: Offer | Page | Serve) -> None:
        """A giver's request."""
        match request:
            case Offer():
                self._offered(incoming, request)
            case Page():
                self._keep(incoming, request)
            case Serve():
                self._hold(incoming, request.transfer)

    def _ring_changed(self) -> None:
        void = self._leftovers.returning
        for number, taking in list(self._taking.items()):
            if void or self._core.membership.address(taking.giver) is None:
                self._drop(number)

    def _drop(self, number: int) -> None:
        del self._taking[number]
        self._core.replica.store((Record(TAKING, number.to_bytes(8), None),), lambda: None)

    def _offered(self, incoming: Incoming, offer: Offer) -> None:
        core = self._core
        known = self._taking.get(offer.transfer)
        if known is not None:
            core.exchange.answer(incoming, Accepted((known.start, known.end)))
            return
        start, end = unpack(offer.span)
        is_stretch = start < end <= RING_SIZE  # Anything else would cut tokens in two.
        if core.membership.standing is not Standing.MEMBER or self._leftovers.returning or not is_stretch:
            core.exchange.answer(incoming, Declined(False))
            return
        partition = core.ring.partition_at(start)
        lacking = core.holdings.lacking((start, min(end, core.ring.range(partition)[1])))
        if core.name not in core.ring.homes_of(partition):
            core.sync(incoming.name)
            core.exchange.answer(incoming, Declined(False))
        elif not lacking:
            core.exchange.answer(incoming, Declined(True))
        elif self.claimed(lacking[0]) or self._takes_from_another(incoming.name, lacking[0]):
            core.exchange.answer(incoming, Declined(False))
        else:
            self._accept(incoming, offer, lacking[0])

    def _takes_from_another(self, giver: str, stretch: Range) -> bool:
        return any(taking.giver != giver and overlap(taking.token, stretch) for taking in self._taking.values())

    def _accept(self, incoming: Incoming, offer: Offer, stretch: Range) -> None:
        taking = self._taking[offer.transfer] = _Taking(incoming.name, *pack(stretch), offer.slot)
        record = Record(TAKING, offer.transfer.to_bytes(8), msgspec.msgpack.encode(taking))
        accepted = Accepted((taking.start, taking.end))
        self._core.replica.store((record,), lambda: self._core.exchange.answer(incoming, accepted))

    def _keep(self, incoming: Incoming, page: Page) -> None:
        if page.transfer and page.transfer not in self._taking:
            self._core.exchange.answer(incoming, Declined(False))
        else:
            keep(self._core, page.states, lambda: self._core.exchange.answer(incoming, Kept()))

    def _hold(self, incoming: Incoming, number: int) -> None:
        taking = self._taking.get(number)
        if taking is None:
            # Held already; or this disk was lost meanwhile, and whoever claims the token comes to have it (`reclaim`).
            self._core.exchange.answer(incoming, Serving())
            return
        if number in self._holding:
            return
        over = [n for n, other in self._taking.items() if overlap(other.token, taking.token)]

        def held() -> None:
            self._holding.discard(number)
            for each in over:
                self._taking.pop(each, None)
            self._core.counters["tokens_taken"] += 1
            self._core.exchange.answer(incoming, Serving())

        self._holding.add(number)
        records = [Record(TAKING, each.to_bytes(8), None) for each in over]
        self._core.holdings.take(taking.token, records, held)


def _stored(reader: Reader) -> dict[int, _Taking]:
    decoder = msgspec.msgpack.Decoder(_Taking)
    try:
        return {int.from_bytes(key): decoder.decode(taking) for key, taking in reader.scan(TAKING)}
    except DamagedRecord:
        return {}
