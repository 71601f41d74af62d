"""Sender: hands tokens of a range on to the nodes that should hold them, with all their keys.

The sender holds a token of a range of which it is no primary replica any more. The receiver is a primary replica of the
range and holds none.

1. *Offer, confirm.* The sender offers the token. The receiver notes durably that it takes it, and says so.
2. *Transfer.* The sender sends all keys, page by page, and again those that change meanwhile. It serves the range until
   the end. The receiver does not, although writes go to both.
3. *Give up.* Once the receiver has everything durably, the sender takes no more writes and sends what was still on its
   way to its disk. It notes durably that it has given the token up.
4. *Serve.* Only then does it tell the receiver, again and again until the receiver confirms that it holds the token. So
   the two never hold it at once, and what one had acknowledged the other has.
5. A crash of either side undoes a transfer whose token was not given up yet, and continues one whose token was.
6. Where every primary replica holds a token already, the one here is a surplus (`surplus`).
7. A node that leaves gives everything away, and then says that it is gone.

`receiver` is the other side; `reclaim` finds tokens that no node holds.

Dynamo (SOSP 2007), section 4.9: a confirmation round makes sure that no transfer is made twice; section 6.2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice

from splitbrain.store.actions import Reader
from splitbrain.store.defects import OWNERSHIP_BEFORE_DATA
from splitbrain.store.membership.history import Standing
from splitbrain.store.ownership.cleanup import Cleanup
from splitbrain.store.ownership.outbound import Outbound, record, stored
from splitbrain.store.ownership.surplus import Surplus
from splitbrain.store.parts import Core
from splitbrain.store.repair.pages import PAGE_KEYS, States, page_of
from splitbrain.store.ring.ring import position
from splitbrain.store.storage.replica import DATA, Entry, place
from splitbrain.store.storage.tokens import Token, overlap, pack, unpack
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Accepted, Declined, Kept, Offer, Page, Serve, Serving

LOOK_EVERY_S = 0.5
AT_ONCE = 8
"""Transfers from one node at a time."""
PATIENCE_S = 3.0
CHANGED_PAGES_MAX = 8
"""Pages of keys that changed meanwhile, before writes are refused until all is sent."""


class Sender:
    """The transfers from this node. drained: whether all that it keeps for other nodes is delivered."""

    def __init__(self, core: Core, cleanup: Cleanup, reader: Reader, *, drained: Callable[[], bool]) -> None:
        self._core = core
        self._cleanup = cleanup
        self._drained = drained
        self._outbound = stored(reader)
        self._looking = False
        cleanup.in_transit = lambda: self.in_transit
        core.replica.on_durable.append(self._changed)
        core.membership.on_change.append(lambda before: self._ring_changed())

    def start(self) -> None:
        """Continue the transfers whose token is given up, and begin to look for tokens to hand on."""
        for number, transfer in list(self._outbound.items()):
            self._serve(number, transfer)
        self._tick()

    @property
    def numbers(self) -> list[int]:
        """The numbers of the transfers from this node."""
        return list(self._outbound)

    @property
    def in_transit(self) -> list[Token]:
        """Tokens given up whose receiver has not confirmed yet that it holds them."""
        return [transfer.token for transfer in self._outbound.values() if transfer.given_up]

    def _tick(self) -> None:
        self._look()
        core = self._core
        empty = not core.ownership.tokens and not self._outbound
        if core.membership.standing is Standing.LEAVING and empty and self._drained():
            core.note(f"{core.name} has handed everything over and is gone from the ring; stop it")
            core.membership.leave(core.name, core.present.now.wall_ns, lambda: None, gone=True)
        core.after(LOOK_EVERY_S, self._tick)

    def _ring_changed(self) -> None:
        if self._cleanup.returning:
            for number, transfer in list(self._outbound.items()):
                self._end(number, transfer)
                self._core.replica.store((record(number, None),), lambda: None)
        self._look()

    def _look(self) -> None:
        """Offer the tokens of ranges of which this node is no primary replica."""
        core = self._core
        ring = core.ring
        if self._looking or not ring.members:
            return
        for number, transfer in list(self._outbound.items()):
            primaries = ring.primaries_of(ring.partition_at(transfer.token.start))
            if not transfer.given_up and transfer.receiver not in (core.name, *primaries):
                self._end(number, transfer)
        self._looking = True
        for token in self._core.ownership.tokens:
            for partition in range(ring.partition_at(token.start), ring.partition_at(token.end - 1) + 1):
                primaries = ring.primaries_of(partition)
                if core.name not in primaries:
                    start, end = ring.range(partition)
                    self._offer(Token(max(start, token.start), min(end, token.end), token.slot), primaries)
        self._looking = False

    def _offer(self, token: Token, primaries: tuple[str, ...]) -> None:
        if len(self._outbound) >= AT_ONCE or any(overlap(token, t.token) for t in self._outbound.values()):
            return
        number = self._core.rpc.new_id()
        transfer = self._outbound[number] = Outbound("", token)
        self._ask_primary(number, transfer, list(primaries), all_hold=True)

    def _ask_primary(self, number: int, transfer: Outbound, primaries: list[str], *, all_hold: bool) -> None:
        if not primaries:
            if all_hold:
                self._drop_surplus(number, transfer)
            else:
                self._end(number, transfer)
            return
        primary = transfer.receiver = primaries[0]

        def answered(reply: Reply | None) -> None:
            if self._outbound.get(number) is not transfer:
                return
            if isinstance(reply, Accepted):
                start, end = unpack(reply.span)
                transfer.token = Token(start, end, transfer.token.slot)
                self._advance(number, transfer)
                return
            holds = isinstance(reply, Declined) and reply.holds
            if reply is not None and not holds:
                self._core.sync(primary)
            self._ask_primary(number, transfer, primaries[1:], all_hold=all_hold and holds)

        offer = Offer(number, pack(transfer.token.range), transfer.token.slot)
        self._core.ask(primary, offer, self._core.now + PATIENCE_S, answered)

    def _changed(self, key: bytes, before: Entry, after: Entry) -> None:
        at = position(key)
        for number, transfer in self._outbound.items():
            if transfer.token.start <= at < transfer.token.end and not transfer.given_up:
                if transfer.scanned or (transfer.after is not None and place(key) <= place(transfer.after)):
                    transfer.changed[key] = None
                if transfer.closing and not transfer.sending:
                    # It waits for this change. Before it closes, its next page is under way, or not wanted yet.
                    self._core.background.soon(partial(self._advance, number, transfer))

    def _advance(self, number: int, transfer: Outbound) -> None:
        """Send the next page; give the token up if there is none."""
        if self._outbound.get(number) is not transfer or transfer.sending or transfer.given_up:
            return
        page = self._next_page(transfer)
        transfer.changed_pages += transfer.scanned
        over = not transfer.changed or transfer.changed_pages > CHANGED_PAGES_MAX
        if not transfer.closing and over and (transfer.scanned or not page):
            # Before the last page, not after it: where writes never pause there is always one page more.
            transfer.closing = True
            self._core.ownership.close(transfer.token.range)
        if page:
            transfer.sending = True
            deadline = self._core.now + PATIENCE_S
            self._core.ask(transfer.receiver, Page(number, page), deadline, partial(self._sent, number, transfer))
        elif not self._core.replica.unsettled(transfer.token.range):
            self._give_up(number, transfer)

    def _next_page(self, transfer: Outbound) -> States:
        states: States = []
        if self._core.config.defect == OWNERSHIP_BEFORE_DATA:
            return states
        if not transfer.scanned:
            states = page_of(self._core, transfer.token.range, transfer.after)
            if states:
                transfer.after = states[-1][0]
            else:
                transfer.scanned = True
        if not states:
            for key in list(islice(transfer.changed, PAGE_KEYS)):
                del transfer.changed[key]
                states.append((key, self._core.replica.read(DATA, key).state))
        return states

    def _sent(self, number: int, transfer: Outbound, reply: Reply | None) -> None:
        if self._outbound.get(number) is not transfer:
            return
        if isinstance(reply, Kept):
            transfer.sending = False
            self._core.background.soon(partial(self._advance, number, transfer))
        else:
            # The receiver is gone, or does not know the transfer any more: begin anew, perhaps with another.
            self._end(number, transfer)

    def _end(self, number: int, transfer: Outbound) -> None:
        self._outbound.pop(number, None)
        self._core.ownership.reopen(transfer.token.range)

    def _give_up(self, number: int, transfer: Outbound) -> None:
        transfer.given_up = True
        token_range = transfer.token.range
        self._core.ownership.reopen(token_range)
        self._core.ownership.drop(token_range, [record(number, transfer)], partial(self._serve, number, transfer))

    def _serve(self, number: int, transfer: Outbound) -> None:
        def answered(reply: Reply | None) -> None:
            if self._outbound.get(number) is not transfer:
                return
            if not isinstance(reply, Serving) and self._core.membership.address(transfer.receiver) is not None:
                self._core.after(LOOK_EVERY_S, partial(self._serve, number, transfer))
                return
            self._end(number, transfer)
            self._core.counters["tokens_given"] += 1
            self._core.replica.store((record(number, None),), self._cleanup.clear)
            self._look()

        self._core.ask(transfer.receiver, Serve(number), self._core.now + PATIENCE_S, answered)

    def _drop_surplus(self, number: int, transfer: Outbound) -> None:
        transfer.receiver = self._core.name

        def ended(dropped: bool) -> None:
            self._end(number, transfer)
            if dropped:
                self._cleanup.clear()
                self._look()

        Surplus(self._core, transfer, lambda: self._outbound.get(number) is transfer, ended).start()
