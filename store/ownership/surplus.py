"""A surplus token: one that this node holds although every primary replica of its range holds another.

This happens where two clusters met, or where a disk was lost and its tokens were reclaimed.

1. The token takes no more writes. All its keys are sent to every primary replica, in turn. Then it is dropped.
2. It stays if a primary replica does not confirm, or if anything of the range changed meanwhile: the sender looks
   again later.

Dynamo (SOSP 2007), section 4.9, moves ranges between nodes; this is a case that it leaves open.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from splitbrain.store.ownership.outbound import Outbound
from splitbrain.store.parts import Core
from splitbrain.store.repair.pages import page_of
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Kept, Page

PATIENCE_S = 3.0
"""How long a primary replica may take to make a page durable."""


class Surplus:
    """Drops one surplus token.

    outbound: the sender's entry for it, which collects the keys that change. is_current: whether the sender still has
    that entry. on_end: called once, with whether the token was dropped; never if the entry is gone.
    """

    def __init__(
        self, core: Core, outbound: Outbound, is_current: Callable[[], bool], on_end: Callable[[bool], None]
    ) -> None:
        self._core = core
        self._outbound = outbound
        self._range = outbound.token.range
        self._is_current = is_current
        self._on_end = on_end

    def start(self) -> None:
        """Take no more writes, and begin to send."""
        core = self._core
        core.ownership.close(self._range)
        self._outbound.scanned = True  # What becomes durable from now on shows in `changed`.
        primaries = core.ring.primaries_of(core.ring.partition_at(self._range[0]))
        self._send(list(primaries), None)

    def _send(self, primaries: list[str], after: bytes | None) -> None:
        """Send the next page of the range to the first of the nodes; go on to the next node at the range's end."""
        states = page_of(self._core, self._range, after)
        if not primaries:
            self._sent_to_all()
        elif not states:
            self._send(primaries[1:], None)
        else:

            def answered(reply: Reply | None) -> None:
                if isinstance(reply, Kept):
                    self._core.background.soon(partial(self._send, primaries, states[-1][0]))
                elif self._is_current():
                    self._on_end(False)

            self._core.ask(primaries[0], Page(0, states), self._core.now + PATIENCE_S, answered)

    def _sent_to_all(self) -> None:
        if not self._is_current():
            return
        if self._core.replica.unsettled(self._range) or self._outbound.changed:
            self._on_end(False)
            return
        self._outbound.given_up = True
        self._core.counters["tokens_dropped"] += 1
        self._core.ownership.drop(self._range, [], lambda: self._on_end(True))
