"""The witness of a history that is not linearizable: the call that can't be placed, and the few that show why.

1. The walk stopped at the return of a *blocked* call: all returns before it can be put in an order, this one in none.
2. The witness begins at most some returns earlier, from all configurations the object could be in by then; from the
   start where that is near. Whatever follows is tried out on that window alone.
3. The window is *relaxed*, a call at a time: a call that reads is left out, any other may take effect at any time from
   its invocation on, or never. That only ever allows more. Where the blocked call stays blocked all the same, the call
   stays relaxed; those that are left are the core: they can't all have happened as recorded, whatever the rest did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from checkers.budget import Budget
from checkers.columns import FOREVER
from checkers.history import History
from checkers.linearizability.finding import told
from checkers.linearizability.model import Call, Model, State
from checkers.linearizability.search import LOST, Layout, Moment, Outcome, walk
from checkers.prose import at, count, listing

_TRIAL_MB = 2.0  # A trial that takes more configurations than this holds is given up: the call stays in the core.
_TRIALS = 400
_STATES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why the calls of one part can't be put in an order.

    blocked: the call that can't be placed, None where an algorithm says why in `text`. core: the calls that suffice to
    show it, the blocked one among them, in the order of their invocations. relaxed: how many others of the window may
    do what they like. certain: the event at which no order was left; states: what the object could be just before it.
    begin: what it could be when the window begins, empty where that is the start of the history. returns: how many
    returns came before the certain event.
    """

    core: tuple[Call, ...]
    certain: int
    text: str = ""
    blocked: Call | None = None
    states: tuple[str, ...] = ()
    begin: tuple[str, ...] = ()
    relaxed: int = 0
    returns: int = 0


def explain(calls: Sequence[Call], model: Model, outcome: Outcome) -> Blocked:
    """Minimise what the search found. calls: those that were searched."""
    assert outcome.blocked is not None
    moment, blocked = outcome.moments[0], outcome.blocked
    whole = len(outcome.moments) > outcome.returns
    recorded = {
        call.invoked: call for call in calls if call.returned >= moment.returned and call.invoked < blocked.returned
    }
    # What returned only after the blocked call was open then: it may have happened by then or not.
    window = [
        call if call.returned <= blocked.returned else msgspec.structs.replace(call, returned=FOREVER)
        for call in recorded.values()
    ]
    frontier = _Frontier.at(Layout(calls), moment, window, calls)
    core = list(window)
    for call in islice(reversed(window), _TRIALS):
        if call.invoked == blocked.invoked or not call.known:
            continue
        fewer = [each for each in core if each.invoked != call.invoked]
        if not model.read_only(call):
            fewer.append(msgspec.structs.replace(call, known=False, result=None, returned=FOREVER))
            fewer.sort(key=lambda each: each.invoked)
        if frontier.still_blocked(fewer, model):
            core = fewer
    shown = tuple(recorded[call.invoked] for call in core if call.known)
    return Blocked(
        core=shown,
        certain=outcome.moments[-1].returned,
        blocked=blocked,
        states=_described(outcome.moments[-1].frontier, model),
        begin=() if whole else _described(moment.frontier, model),
        relaxed=len(window) - len(shown),
        returns=outcome.returns,
    )


@dataclass(frozen=True)
class _Frontier:
    """The configurations as the window begins.

    by_state: the open calls, by their invocations, that have taken effect, and those that are hidable.
    """

    by_state: Mapping[State, Sequence[tuple[frozenset[int], frozenset[int]]]]

    @classmethod
    def at(cls, layout: Layout, moment: Moment, window: Sequence[Call], calls: Sequence[Call]) -> _Frontier:
        bits = {
            call.invoked: bit
            for call, bit in zip(calls, layout.bits, strict=True)
            if call.invoked < moment.returned <= call.returned
        }
        present = [call.invoked for call in window if call.invoked in bits]
        return cls(
            {
                state: [
                    (
                        frozenset(each for each in present if done & bits[each]),
                        frozenset(each for each in present if done & bits[each] << 1),
                    )
                    for done in sorted(several)
                ]
                for state, several in moment.frontier.items()
            }
        )

    def still_blocked(self, calls: Sequence[Call], model: Model) -> bool:
        """Whether the calls can't be put in an order either, found out cheaply."""
        layout = Layout(calls)
        bits = {call.invoked: bit for call, bit in zip(calls, layout.bits, strict=True)}
        crashed = {call.invoked for call in calls if call.returned == FOREVER}
        frontier = {
            state: [
                sum(bits[each] for each in done if each in bits)
                + sum(bits[each] << 1 for each in hidable if each in bits and each not in crashed)
                for done, hidable in several
            ]
            for state, several in self.by_state.items()
        }
        return walk(layout, model, Budget(memory_mb=_TRIAL_MB), frontier).linearizable is False


def _described(frontier: Mapping[State, Any], model: Model) -> tuple[str, ...]:
    return tuple(sorted({"what nobody read" if state is LOST else model.describe(state) for state in frontier}))


def text_of(blocked: Blocked, model: Model, history: History) -> str:
    """The witness in prose, a call of the core a line."""
    lines = [_line(call, history) for call in blocked.core]
    if blocked.blocked is None:
        return "\n".join([f"{blocked.text}:", *lines])
    states = listing(blocked.states, _STATES_SHOWN).replace(" and ", " or ")
    opening = (
        f"the first {count(blocked.returns, 'operation')} to return can be put in an order; "
        f"then {told(blocked.blocked)} can't: just before event {blocked.certain} "
        f"the {model.name} could only hold {states}"
    )
    whatever = f", whatever {count(blocked.relaxed, 'other operation')} around did" if blocked.relaxed else ""
    begin = listing(blocked.begin, _STATES_SHOWN).replace(" and ", " or ")
    given = f", from a {model.name} that by then could only hold {begin}" if begin else ""
    return "\n".join([f"{opening}. These can't all have happened{given}{whatever}:", *lines])


def data_of(blocked: Blocked, history: History) -> dict[str, Any]:
    """The same as data, for a report to draw."""
    events = history.events
    return {
        "kind": "not linearizable",
        "returns": blocked.returns,
        "certain": blocked.certain,
        "blocked": blocked.blocked.invoked if blocked.blocked else None,
        "states": list(blocked.states),
        "begin": list(blocked.begin),
        "others": blocked.relaxed,
        "text": blocked.text,
        "calls": [
            {
                "process": events[call.invoked].process,
                "call": told(call),
                "key": call.key,
                "invoked": call.invoked,
                "returned": call.returned if call.returned != FOREVER else None,
                "invoked_ns": events[call.invoked].time,
                "returned_ns": events[call.returned].time if call.returned != FOREVER else None,
            }
            for call in blocked.core
        ],
    }


def events_of(blocked: Blocked) -> tuple[int, ...]:
    """The events of the core, ascending."""
    return tuple(
        sorted({index for call in blocked.core for index in (call.invoked, call.returned) if index != FOREVER})
    )


def _line(call: Call, history: History) -> str:
    begun = history.events[call.invoked]
    if call.returned == FOREVER:
        return f"  process {begun.process}: {told(call)}, event {call.invoked} at {at(begun)}, and never returned"
    ended = history.events[call.returned]
    when = f"events {call.invoked}–{call.returned}, {at(begun)} to {at(ended)}"
    return f"  process {begun.process}: {told(call)}, {when}"
