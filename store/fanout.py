"""The fan-out: one request to each of a key's N homes, with stand-ins for those that don't answer.

1. A home that the detector trusts is asked itself. One that it suspects, or that has not answered within
   `STAND_IN_AFTER_S`, or that refuses, gets the next healthy node of the preference list as its stand-in, if the
   quorum is sloppy.
2. No physical node is asked twice for one request, so that no machine counts twice toward a quorum.
3. Where no stand-in is left, a suspected home is asked all the same: the detector may be wrong.

Dynamo (SOSP 2007), sections 4.5 and 4.6.
"""

from __future__ import annotations

from collections.abc import Callable

from store.core import Core
from store.messages import Failed, Reply, Request

STAND_IN_AFTER_S = 0.25
"""Well over a round trip and a sync to disk, well under a client's patience."""

MakeRequest = Callable[[str | None], Request]
"""Given whom the asked node stands in for (None: it is a home), the request to send."""

OnAnswer = Callable[[str, str | None, Reply], None]
"""Given the node that answered, whom it stood in for (None: it is a home), and the answer."""


class Fanout:
    """Asks until its deadline. on_given_up: called when a home is no longer hoped for.

    silent: homes for which nobody has answered yet, neither they nor a stand-in.
    hopeful: homes that were asked themselves, and may answer any moment.
    """

    def __init__(
        self,
        core: Core,
        key: bytes,
        deadline: float,
        make: MakeRequest,
        on_answer: OnAnswer,
        on_given_up: Callable[[], None] = lambda: None,
    ) -> None:
        preference = core.ring.preference(key)
        self._core = core
        self._deadline = deadline
        self._make = make
        self._on_answer = on_answer
        self._on_given_up = on_given_up
        self._homes = preference[: core.ring.n]
        spare = preference[core.ring.n :] if core.config.sloppy else ()
        self._spare = [name for name in spare if name != core.name]
        self.silent = set(self._homes)
        self.hopeful: set[str] = set()
        self._asked_homes: set[str] = set()

    def start(self, besides: str | None) -> None:
        """Ask for every home but one (which the caller answers for)."""
        if besides is not None:
            self.silent.discard(besides)
        for home in self._homes:
            if home != besides:
                self._ask_home(home)

    def _ask_home(self, home: str) -> None:
        if not (self._core.suspects(home) and self._stand_in(home)):
            self._ask_itself(home)

    def _ask_itself(self, home: str) -> None:
        self._asked_homes.add(home)
        self.hopeful.add(home)
        self._ask(home, None)
        self._core.after(STAND_IN_AFTER_S, lambda: self._lost_patience(home))

    def _lost_patience(self, home: str) -> None:
        self.hopeful.discard(home)
        if home not in self.silent or self._core.now >= self._deadline:
            return
        if not self._stand_in(home) and home not in self._asked_homes:
            self._ask_itself(home)
        self._on_given_up()

    def _stand_in(self, home: str) -> bool:
        while self._spare:
            node = self._spare.pop(0)
            if not self._core.suspects(node):
                self._ask(node, home)
                # The stand-in may be gone as well, and the detector not know it yet.
                self._core.after(STAND_IN_AFTER_S, lambda: self._lost_patience(home))
                return True
        return False

    def _ask(self, node: str, owner: str | None) -> None:
        def answered(reply: Reply | None) -> None:
            if isinstance(reply, Failed):
                self._lost_patience(owner or node)
            elif reply is not None:
                self.hopeful.discard(node)
                self.silent.discard(owner or node)
                self._on_answer(node, owner, reply)

        self._core.ask(node, self._make(owner), self._deadline, answered)
