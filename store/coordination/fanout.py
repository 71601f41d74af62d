"""The fan-out: one request to each of a key's N homes, with stand-ins for those that don't answer.

1. A home that the detector trusts is asked itself. One that it suspects, or that has not answered within
   `STAND_IN_AFTER_S`, or that refuses, gets the next healthy node of the preference list as its stand-in, if the
   quorum is sloppy.
2. No physical node is asked twice for one request, so that no machine counts twice toward a quorum.
3. Where no stand-in is left, a suspected home is asked all the same: the detector may be wrong.
4. A home that holds no token of the key (`tokens`) has not taken it over yet: whoever may hold it still, homes of
   rings before this one, is asked as well. While a token is between the two, all are asked again, soon.
5. A node that says that it is no home knows another ring: histories are exchanged, and the homes of the new ring asked.

Dynamo (SOSP 2007), sections 4.5, 4.6 and 4.9.
"""

from __future__ import annotations

from collections.abc import Callable

from splitbrain.store.parts import Core
from splitbrain.store.scheduling.timers import Timer
from splitbrain.store.wire.client_messages import Failed
from splitbrain.store.wire.messages import Reply, Request
from splitbrain.store.wire.peer_messages import Moved, State, Written

STAND_IN_AFTER_S = 0.25
"""Well over a round trip and a sync to disk, well under a client's patience."""

AGAIN_AFTER_S = 0.01
"""A token is between two nodes for as long as a commit and a round trip take; the wait doubles each time."""
SPARE_ASKED = 8
"""Nodes asked whether they hold a token when the rings before this one are not known: after a restart."""

MakeRequest = Callable[[str | None], Request]
"""Given whom the asked node stands in for (None: it is a home), the request to send."""

OnAnswer = Callable[[str, str | None, Reply], None]
"""Given the node that answered, whom it stood in for (None: it is a home), and the answer."""


class Fanout:
    """Asks until its deadline, or until `enough`. on_given_up: called when a home is no longer hoped for.

    homes: the key's, in the ring as it is now. silent: homes for which nobody has answered yet, neither they nor a
    stand-in. hopeful: nodes that were asked for themselves, and may answer any moment. troubled: some of them don't.
    """

    def __init__(
        self,
        core: Core,
        key: bytes,
        deadline: float,
        sloppy: bool,
        make: MakeRequest,
        on_answer: OnAnswer,
        on_given_up: Callable[[], None] = lambda: None,
    ) -> None:
        preference = core.ring.preference(key)
        self._core = core
        self._key = key
        self._deadline = deadline
        self._make = make
        self._on_answer = on_answer
        self._on_given_up = on_given_up
        self.primaries = preference[: core.ring.n]
        spare = preference[core.ring.n :] if sloppy else ()
        self._spare = [name for name in spare if name != core.name]
        self.silent = set(self.primaries)
        self.hopeful: set[str] = set()
        self._asked_themselves: dict[str, None] = {}
        self._lost: set[str] = set()
        self._without: dict[str, None] = {}
        self._again_after_s = AGAIN_AFTER_S
        self._seeking = False
        self._over = False
        self._patience: list[Timer] = []

    def start(self, besides: str | None) -> None:
        """Ask for every home but one (which the caller answers for)."""
        if besides is not None:
            self.silent.discard(besides)
            self._asked_themselves[besides] = None
        for home in self.primaries:
            if home != besides:
                self._ask_home(home)

    def enough(self) -> None:
        """The quorum is met: what is under way goes on, and nobody is asked again."""
        self._over = True
        self._rest()

    @property
    def troubled(self) -> bool:
        """Whether a node that was asked for itself does not answer."""
        return bool(self._lost) or any(self._core.suspects(node) for node in self._asked_themselves)

    def seek(self) -> None:
        """Somebody who answered holds no token: find who does."""
        if self._seeking or self._over:
            return
        self._seeking = True
        membership = self._core.membership
        former = [home for ring in reversed(membership.past) for home in ring.primaries(self._key)]
        preference = self._core.ring.preference(self._key)
        others = [*former, *membership.leaving(), *preference[self._core.ring.n :][:SPARE_ASKED]]
        for node in dict.fromkeys(others):
            if node not in self._asked_themselves and node != self._core.name:
                self._ask_itself(node)
        self._core.after(self._again_after_s, self._again)
        self._again_after_s *= 2

    def _again(self) -> None:
        self._seeking = False
        if self._over or self._core.now >= self._deadline:
            return
        self._follow_ring()
        again, self._without = list(self._without), {}
        for node in again:
            if node == self._core.name:
                self._on_given_up()
            else:
                self._ask(node, None)
        if not again:
            self.seek()

    def _follow_ring(self) -> None:
        homes = self._core.ring.primaries(self._key)
        if homes != self.primaries:
            self.silent = (self.silent & set(homes)) | (set(homes) - set(self.primaries) - set(self._asked_themselves))
            self.primaries = homes
            for home in homes:
                if home not in self._asked_themselves and home != self._core.name:
                    self._ask_home(home)

    def _ask_home(self, home: str) -> None:
        if not (self._core.suspects(home) and self._stand_in(home)):
            self._ask_itself(home)

    def _ask_itself(self, node: str) -> None:
        self._asked_themselves[node] = None
        self.hopeful.add(node)
        self._ask(node, None)
        self._patience.append(self._core.after(STAND_IN_AFTER_S, lambda: self._lost_patience(node)))

    def _lost_patience(self, node: str) -> None:
        if node in self.hopeful:
            self.hopeful.discard(node)
            self._lost.add(node)
        if self._core.now >= self._deadline:
            return
        if node in self.silent and not self._stand_in(node) and node not in self._asked_themselves:
            self._ask_itself(node)
        self._on_given_up()

    def _stand_in(self, home: str) -> bool:
        while self._spare:
            node = self._spare.pop(0)
            if not self._core.suspects(node):
                self._ask(node, home)
                # The stand-in may be gone as well, and the detector not know it yet.
                self._patience.append(self._core.after(STAND_IN_AFTER_S, lambda: self._lost_patience(home)))
                return True
        return False

    def _rest(self) -> None:
        """Once it is enough, and somebody has answered for every home, there is nobody left to be impatient with."""
        if self._over and not self.silent:
            for timer in self._patience:
                timer.cancel()

    def _ask(self, node: str, owner: str | None) -> None:
        def answered(reply: Reply | None) -> None:
            if isinstance(reply, Failed):
                self._lost_patience(owner or node)
            elif reply is not None:
                self.hopeful.discard(node)
                self._lost.discard(node)
                if isinstance(reply, Moved):
                    self._core.sync(node)
                else:
                    self.silent.discard(owner or node)
                    self._on_answer(node, owner, reply)
                    self._rest()
                if owner is None and (isinstance(reply, Moved) or self._holds_none(reply)):
                    self._without[node] = None
                    self.seek()
                    self._on_given_up()

        self._core.ask(node, self._make(owner), self._deadline, answered)

    def _holds_none(self, reply: Reply) -> bool:
        return isinstance(reply, (State, Written)) and reply.slot is None
