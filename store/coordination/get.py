"""The get's coordinator: a state machine that asks a key's N replicas and answers with what they know together.

1. A get asks all N, and is done once R have answered, counted as a put counts (`quorum_count`). What they know is
   merged, and handed out with one context.
2. A get that misses its quorum fails as `quorum_failed`.
3. What the get found out repairs stale primaries (`read_repair`), before the answer or after it.

Dynamo (SOSP 2007), section 5.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import assert_never

from splitbrain.store.coordination.fanout import Answered
from splitbrain.store.coordination.request import Progress, QuorumMet, Request, TokenArrived
from splitbrain.store.defects import CONTEXT_OF_ONE_SIBLING, NEWEST_SIBLING_ONLY
from splitbrain.store.repair.read_repair import ReadRepair
from splitbrain.store.scheduling.timers import Timer
from splitbrain.store.versions.context import Context, issue
from splitbrain.store.versions.dotted import NOTHING, VersionSet, add, latest, live, newest_stamp
from splitbrain.store.wire.client_messages import Failed, Values
from splitbrain.store.wire.peer_messages import Read, State

STRAGGLERS_S = 0.25
"""How long a get waits, after its answer, for the primaries that have not answered yet, before it repairs."""


class GetCoordinator:
    """Coordinates one get."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._core = request.core
        self._key = request.key
        self._fastest = ""
        self._states: dict[str, VersionSet | None] = {}
        self._met = False
        self._stragglers: Timer | None = None
        self._repair = ReadRepair(request.core, request.key)

    def start(self) -> None:
        """Read here, and ask the others."""
        core, request, primaries = self._core, self._request, self._request.fanout.primaries
        self._timer = core.timers.at(request.deadline, self._time_up)
        slot = core.ownership.slot(self._key)
        if core.name in primaries or slot is not None:
            own = Answered(core.name, None, State(core.replica.visible(self._key), slot))
            begin = request.begin(self, own, core.name if core.name in primaries else None)
            self.take(chain(begin, request.seek() if slot is None else (), request.check()))
        else:
            replaced = request.fanout.replaced()
            own = Answered(core.name, replaced, State(request.handoff.held(self._key)))
            begin = request.begin(self, own, replaced if core.suspects(replaced) else None)
            self.take(chain(begin, request.check()))

    def message(self, owner: str | None) -> Read:
        """What the other replicas are asked."""
        return Read(self._key, owner)

    def take(self, events: Iterable[Progress]) -> None:
        """Collect what the replicas know, and answer the client once enough have answered."""
        for event in events:
            match event:
                case Answered(node, _, reply):
                    if isinstance(reply, State):
                        self._know(node, reply.state)
                        if self._met and not self._request.fanout.unanswered:
                            self._repair_stale()
                case TokenArrived():
                    # With the token came what the others had acknowledged.
                    self._know(self._core.name, self._core.replica.visible(self._key))
                case QuorumMet():
                    self._merge()
                case _:
                    assert_never(event)

    def _know(self, node: str, state: VersionSet | None) -> None:
        self._states[node] = state
        if not self._fastest and node in self._request.fanout.primaries:
            self._fastest = node

    def _merge(self) -> None:
        core, primaries = self._core, self._request.fanout.primaries
        self._met = True
        state = core.replica.combine(self._states.values())
        if core.config.read_repair == "blocking":
            self._repair.push(primaries, dict(self._states), partial(self._answer_once_held, state))
        else:
            self._answer(state)
            patience_s = STRAGGLERS_S if self._request.fanout.unanswered else 0.0
            self._stragglers = core.after(patience_s, self._repair_stale)

    def _repair_stale(self) -> None:
        if self._stragglers is not None:
            self._stragglers.cancel()
        if self._core.config.read_repair != "off":
            self._repair.push(self._request.fanout.primaries, self._states, lambda holders: None)

    def _answer_once_held(self, state: VersionSet, holders: set[str]) -> None:
        if len(holders) >= self._request.quorum.replicas:
            self._answer(state)

    def _answer(self, state: VersionSet) -> None:
        if self._request.replied:
            return
        self._timer.cancel()
        core = self._core
        context = Context(state.seen, newest_stamp(state), self._fastest, state.writes)
        if core.config.defect == CONTEXT_OF_ONE_SIBLING and len(state.versions) > 1:
            context = Context(add(NOTHING, state.versions[0].dot), newest_stamp(state))
        found = live(state)
        if core.config.defect == NEWEST_SIBLING_ONLY:
            found = live(latest(state))
        values, stamps = [v.value or b"" for v in found], [v.stamp for v in found]
        sealed = issue(core.secret, self._key, context)
        self._request.reply(Values(values, sealed, core.membership.view, stamps))

    def _time_up(self) -> None:
        if self._request.replied:
            return
        primaries = self._request.fanout.primaries
        silent = ", ".join(node for node in primaries if node not in self._states) or "stale replicas"
        text = f"{self._request.quorum.missed(*self._request.counts())} answered"
        text += f" within {self._core.config.request_timeout_s:g} s (not {silent})"
        self._request.reply(Failed("quorum_failed", f"{text}; retry, or lower R"))
