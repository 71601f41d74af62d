"""Transfer: a token of a stretch of the ring goes from one node to another, with all its keys.

The giver holds a token of a stretch whose home it is no longer; the taker is a home that holds none.

1. *Offer, confirm.* The giver offers; the taker notes durably that it takes, and says so.
2. *Transfer.* The giver sends all keys, page by page, and again those that change meanwhile. It answers for the stretch
   until the end; the taker does not, though writes go to both.
3. *Serve.* Once the taker has everything durably, the giver takes no more writes, sends what was still on its way to
   its disk, notes durably that it has given the token up, and only then tells the taker, until it hears that the taker
   holds it. So at no moment do both hold it, and what one had acknowledged the other has.
4. A crash of either undoes a transfer that was not given up yet, and continues one that was.
5. Where every home holds a token already (two clusters met, or a disk was lost), the surplus one takes no more writes,
   is sent to all homes, and dropped.
6. A node that leaves gives everything, and then says that it is gone.

This is the giver's side; `receiver` is the taker's, `reclaim` finds tokens that nobody holds.

Dynamo (SOSP 2007), section 4.9: the confirmation round makes sure that no transfer is made twice; section 6.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import msgspec

from splitbrain.store.actions import Reader, Record
from splitbrain.store.defects import OWNERSHIP_BEFORE_DATA
from splitbrain.store.membership.history import Standing
from splitbrain.store.ownership.cleanup import Leftovers
from splitbrain.store.parts import Core
from splitbrain.store.repair.pages import PAGE_KEYS, States, page_of
from splitbrain.store.ring.ring import Range, position
from splitbrain.store.storage.engine import DamagedRecord
from splitbrain.store.storage.replica import DATA, Entry, place
from splitbrain.store.storage.tokens import Token, overlap, pack, unpack
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Accepted, Declined, Kept, Offer, Page, Serve, Serving

GIVING = "giving"
LOOK_EVERY_S = 0.5
AT_ONCE = 8
"""Transfers that one node gives in at a time."""
PATIENCE_S = 3.0
PAGES_AGAIN = 8
"""Pages of keys that changed meanwhile, before writes are refused until all is sent."""


class _Given(msgspec.Struct, frozen=True, array_like=True):
    """A token that was given up, and to whom."""

    taker: str
    start: bytes
    end: bytes
    slot: int


@dataclass(slots=True)
class _Giving:
    """A transfer from this node.

    after: the last key sent in order. changed: keys that changed since they were sent.
    closing: no more writes are taken. given_up: durably; all that is left is to tell the taker.
    """

    taker: str
    token: Token
    after: bytes | None = None
    scanned: bool = False
    changed: dict[bytes, None] = field(default_factory=dict)
    pages_again: int = 0
    sending: bool = False
    closing: bool = False
    given_up: bool = False


class Giver:
    """What this node gives. drained: whether it has delivered all else that it keeps for others."""

    def __init__(self, core: Core, leftovers: Leftovers, reader: Reader, *, drained: Callable[[], bool]) -> None:
        self._core = core
        self._leftovers = leftovers
        self._drained = drained
        self._giving = _stored(reader)
        self._looking = False
        leftovers.in_limbo = lambda: self.limbo
        core.replica.on_durable.append(self._changed)
        core.membership.on_change.append(lambda before: self._ring_changed())

    def start(self) -> None:
        """Go on with what was given up, and look for what there is to give."""
        for number, giving in list(self._giving.items()):
            self._serve(number, giving)
        self._tick()

    @property
    def numbers(self) -> list[int]:
        """Of the transfers from this node."""
        return list(self._giving)

    @property
    def limbo(self) -> list[Token]:
        """Tokens given up, of which the taker has not said yet that it holds them."""
        return [giving.token for giving in self._giving.values() if giving.given_up]

    def _tick(self) -> None:
        self._look()
        core = self._core
        empty = not core.holdings.tokens and not self._giving
        if core.membership.standing is Standing.LEAVING and empty and self._drained():
            core.note(f"{core.name} has handed everything over and is gone from the ring; stop it")
            core.membership.leave(core.name, core.present.now.wall_ns, lambda: None, gone=True)
        core.after(LOOK_EVERY_S, self._tick)

    def _ring_changed(self) -> None:
        if self._leftovers.returning:
            for number, giving in list(self._giving.items()):
                self._end(number, giving)
                self._core.replica.store((Record(GIVING, number.to_bytes(8), None),), lambda: None)
        self._look()

    def _look(self) -> None:
        """Offer what this node holds and is no home of."""
        core = self._core
        ring = core.ring
        if self._looking or not ring.members:
            return
        for number, giving in list(self._giving.items()):
            homes = ring.homes_of(ring.partition_at(giving.token.start))
            if not giving.given_up and giving.taker not in (core.name, *homes):
                self._end(number, giving)
        self._looking = True
        for token in self._core.holdings.tokens:
            for partition in range(ring.partition_at(token.start), ring.partition_at(token.end - 1) + 1):
                homes = ring.homes_of(partition)
                if core.name not in homes:
                    start, end = ring.range(partition)
                    self._offer(Token(max(start, token.start), min(end, token.end), token.slot), homes)
        self._looking = False

    def _offer(self, token: Token, homes: tuple[str, ...]) -> None:
        if len(self._giving) >= AT_ONCE or any(overlap(token, g.token) for g in self._giving.values()):
            return
        number = self._core.exchange.new_id()
        giving = self._giving[number] = _Giving("", token)
        self._ask_home(number, giving, list(homes), all_hold=True)

    def _ask_home(self, number: int, giving: _Giving, homes: list[str], *, all_hold: bool) -> None:
        if not homes:
            if all_hold:
                self._drop_surplus(number, giving)
            else:
                self._end(number, giving)
            return
        home = giving.taker = homes[0]

        def answered(reply: Reply | None) -> None:
            if self._giving.get(number) is not giving:
                return
            if isinstance(reply, Accepted):
                start, end = unpack(reply.span)
                giving.token = Token(start, end, giving.token.slot)
                self._advance(number, giving)
                return
            holds = isinstance(reply, Declined) and reply.holds
            if reply is not None and not holds:
                self._core.sync(home)
            self._ask_home(number, giving, homes[1:], all_hold=all_hold and holds)

        offer = Offer(number, pack(giving.token.stretch), giving.token.slot)
        self._core.ask(home, offer, self._core.now + PATIENCE_S, answered)

    def _changed(self, key: bytes, before: Entry, after: Entry) -> None:
        at = position(key)
        for number, giving in self._giving.items():
            if giving.token.start <= at < giving.token.end and not giving.given_up:
                if giving.scanned or (giving.after is not None and place(key) <= place(giving.after)):
                    giving.changed[key] = None
                if giving.closing and not giving.sending:
                    # It waits for this. Before it closes, its next page is under way, or is not wanted yet.
                    self._core.background.soon(partial(self._advance, number, giving))

    def _advance(self, number: int, giving: _Giving) -> None:
        """The next page; or the end, if there is none."""
        if self._giving.get(number) is not giving or giving.sending or giving.given_up:
            return
        page = self._next_page(giving)
        giving.pages_again += giving.scanned
        over = not giving.changed or giving.pages_again > PAGES_AGAIN
        if not giving.closing and over and (giving.scanned or not page):
            # Before the last page, not behind it: where writes never pause there is always one more.
            giving.closing = True
            self._core.holdings.close(giving.token.stretch)
        if page:
            giving.sending = True
            self._core.ask(
                giving.taker, Page(number, page), self._core.now + PATIENCE_S, partial(self._sent, number, giving)
            )
        elif not self._core.replica.unsettled(giving.token.stretch):
            self._give_up(number, giving)

    def _next_page(self, giving: _Giving) -> States:
        states: States = []
        if self._core.config.defect == OWNERSHIP_BEFORE_DATA:
            return states
        if not giving.scanned:
            states = page_of(self._core, giving.token.stretch, giving.after)
            if states:
                giving.after = states[-1][0]
            else:
                giving.scanned = True
        if not states:
            for key in list(islice(giving.changed, PAGE_KEYS)):
                del giving.changed[key]
                states.append((key, self._core.replica.read(DATA, key).state))
        return states

    def _sent(self, number: int, giving: _Giving, reply: Reply | None) -> None:
        if self._giving.get(number) is not giving:
            return
        if isinstance(reply, Kept):
            giving.sending = False
            self._core.background.soon(partial(self._advance, number, giving))
        else:
            # The taker is gone, or knows nothing of it any more: begin anew, perhaps with another.
            self._end(number, giving)

    def _end(self, number: int, giving: _Giving) -> None:
        self._giving.pop(number, None)
        self._core.holdings.reopen(giving.token.stretch)

    def _give_up(self, number: int, giving: _Giving) -> None:
        giving.given_up = True
        stretch = giving.token.stretch
        self._core.holdings.reopen(stretch)
        note = _Given(giving.taker, *pack(stretch), giving.token.slot)
        record = Record(GIVING, number.to_bytes(8), msgspec.msgpack.encode(note))
        self._core.holdings.drop(stretch, [record], partial(self._serve, number, giving))

    def _serve(self, number: int, giving: _Giving) -> None:
        def answered(reply: Reply | None) -> None:
            if self._giving.get(number) is not giving:
                return
            if not isinstance(reply, Serving) and self._core.membership.address(giving.taker) is not None:
                self._core.after(LOOK_EVERY_S, partial(self._serve, number, giving))
                return
            self._end(number, giving)
            self._core.counters["tokens_given"] += 1
            self._core.replica.store((Record(GIVING, number.to_bytes(8), None),), self._leftovers.clear)
            self._look()

        self._core.ask(giving.taker, Serve(number), self._core.now + PATIENCE_S, answered)

    def _drop_surplus(self, number: int, giving: _Giving) -> None:
        stretch = giving.token.stretch
        giving.taker = self._core.name
        self._core.holdings.close(stretch)

        def dropped() -> None:
            self._end(number, giving)
            self._leftovers.clear()
            self._look()

        def pushed(whole: bool) -> None:
            if self._giving.get(number) is not giving:
                return
            if whole and not self._core.replica.unsettled(stretch) and not giving.changed:
                giving.given_up = True
                self._core.counters["tokens_dropped"] += 1
                self._core.holdings.drop(stretch, [], dropped)
            else:
                self._end(number, giving)

        giving.scanned = True  # What becomes durable from now on shows in `changed`.
        homes = self._core.ring.homes_of(self._core.ring.partition_at(giving.token.start))
        self._push(stretch, list(homes), None, pushed)

    def _push(self, stretch: Range, homes: list[str], after: bytes | None, done: Callable[[bool], None]) -> None:
        """Send all of a stretch to each of the homes in turn."""
        states = page_of(self._core, stretch, after)
        if not homes:
            done(True)
        elif not states:
            self._push(stretch, homes[1:], None, done)
        else:

            def sent(reply: Reply | None) -> None:
                if isinstance(reply, Kept):
                    self._core.background.soon(partial(self._push, stretch, homes, states[-1][0], done))
                else:
                    done(False)

            self._core.ask(homes[0], Page(0, states), self._core.now + PATIENCE_S, sent)


def _stored(reader: Reader) -> dict[int, _Giving]:
    decoder = msgspec.msgpack.Decoder(_Given)
    giving = {}
    try:
        for key, stored in reader.scan(GIVING):
            given = decoder.decode(stored)
            token = Token(*unpack((given.start, given.end)), given.slot)
            giving[int.from_bytes(key)] = _Giving(given.taker, token, given_up=True)
    except DamagedRecord:
        return {}
    return giving
