"""The witness of a history that is not linearizable: the call that can't be placed, and the few that show why.

1. The walk stopped at the return of a *blocked* call: all returns before it can be put in an order, this one in none.
2. The witness begins a bounded number of returns earlier, with all configurations the object could be in by then, or at
   the start if that is nearer. What follows is judged on that window alone.
3. Calls of the window are *relaxed*: one that reads is left out, and any other may take effect at any time from its
   invocation on, or never. Relaxing only allows more. The *core* is a minimal set of calls that, as recorded, can't all
   have happened, whatever the relaxed ones did.
4. The configurations at the beginning of the window follow from all calls as recorded. Unless the window begins at the
   start, the core is therefore confirmed on the whole history. If that fails, or the budget ends, nothing is relaxed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from splitbrain.checkers.algorithms.quickxplain import pruned
from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import at, count, listing
from splitbrain.checkers.linearizability.configurations import LOST, Frontier
from splitbrain.checkers.linearizability.model import Call, Model, Refused, State, call_text
from splitbrain.checkers.linearizability.search import Moment, Outcome, walk
from splitbrain.checkers.linearizability.timeline import Layout

_TRIAL_MB = 2.0  # A trial that needs more memory for its configurations is given up, and nothing is relaxed.
_STATES_SHOWN = 5


class _TooMuch(Exception):
    """A trial ran out of its budget."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why the calls of one part can't be put in an order.

    core: the calls that suffice to show it, in the order of their invocations. certain: the event at which no order
    was left. text: the reason, if an algorithm gave one. Otherwise blocked: the call that can't be placed; states: what
    the object could be just before the certain event; begin: what it could be as the window begins, empty if that is
    the start of the history; relaxed: how many other calls of the window are relaxed; returns: how many calls returned
    before. refusals: why the model refuses the blocked call in some of these states, if it says so. prefix: the longest
    linearizable prefix, as `longest_prefix` has it.
    """

    core: tuple[Call, ...]
    certain: int
    text: str = ""
    blocked: Call | None = None
    states: tuple[str, ...] = ()
    begin: tuple[str, ...] = ()
    relaxed: int = 0
    returns: int = 0
    refusals: tuple[str, ...] = ()
    prefix: Mapping[str, Any] | None = None


def explain(calls: Sequence[Call], model: Model, outcome: Outcome, budget: Budget) -> Blocked:
    """Explain what the search found, with as few calls as the budget has time for. calls: those that were searched."""
    assert outcome.blocked is not None
    blocked = outcome.blocked
    # A window can't begin with lost states: which states are lost depends on reads that may be relaxed.
    moment = next((each for each in outcome.moments if LOST not in each.frontier), outcome.moments[-1])
    whole = moment is outcome.moments[0] and len(outcome.moments) > outcome.returns
    recorded = [c for c in calls if c.returned >= moment.returned and c.invoked < blocked.returned]
    window = _Window.at(Layout(calls), moment, calls, model, budget)
    known = [call for call in recorded if call.known]

    def wrong(kept: Sequence[Call]) -> bool:
        if budget.spent():
            raise _TooMuch
        return window.blocked(_relaxed(recorded, kept, blocked.returned, model))

    try:
        core = pruned(known, wrong)
        if not whole and not _wrong_throughout(calls, known, core, blocked.returned, model, budget):
            core = known
    except _TooMuch:
        core = known
    before = window.states_before(_relaxed(recorded, known, blocked.returned, model), outcome)
    return Blocked(
        core=tuple(core),
        certain=outcome.moments[-1].returned,
        blocked=blocked,
        states=_described(before, model),
        refusals=_refusals(before, blocked, model),
        begin=() if whole else _described(moment.frontier, model),
        relaxed=len(recorded) - len(core),
        returns=outcome.returns,
    )


def _relaxed(calls: Sequence[Call], kept: Sequence[Call], until: int, model: Model) -> list[Call]:
    """The calls up to an event, all but the kept ones relaxed (rule 3)."""
    as_recorded = {call.invoked for call in kept}
    found = []
    for call in calls:
        if call.invoked in as_recorded:
            # A call that returned later was open then: it may have taken effect by then or not.
            found.append(call if call.returned <= until else msgspec.structs.replace(call, returned=FOREVER))
        elif not model.read_only(call):
            found.append(
                msgspec.structs.replace(call, known=False, failed=False, result=None, returned=FOREVER)
                if call.known
                else call
            )
    return found


def _wrong_throughout(
    calls: Sequence[Call], window: Sequence[Call], core: Sequence[Call], until: int, model: Model, budget: Budget
) -> bool:
    """Whether the whole history up to an event is not linearizable, with the window relaxed except for its core."""
    free = {call.invoked for call in window} - {call.invoked for call in core}
    kept = [call for call in calls if call.known and call.invoked not in free]
    relaxed = _relaxed([call for call in calls if call.invoked < until], kept, until, model)
    trial = Budget(budget.left_s, _TRIAL_MB)
    return walk(Layout(relaxed), model, trial, {model.initial: (0,)}).linearizable is False


@dataclass(frozen=True)
class _Window:
    """The configurations as the window begins.

    by_state: which open calls have taken effect, and which are hidable, each named by its invocation.
    """

    by_state: Mapping[State, Sequence[tuple[frozenset[int], frozenset[int]]]]
    model: Model
    budget: Budget

    @classmethod
    def at(cls, layout: Layout, moment: Moment, calls: Sequence[Call], model: Model, budget: Budget) -> _Window:
        bits = {
            call.invoked: bit
            for call, bit in zip(calls, layout.bits, strict=True)
            if call.invoked < moment.returned <= call.returned
        }
        by_state = {
            state: [
                (
                    frozenset(each for each, bit in bits.items() if done & bit),
                    frozenset(each for each, bit in bits.items() if done & bit << 1),
                )
                for done in sorted(several)
            ]
            for state, several in moment.frontier.items()
        }
        return cls(by_state, model, budget)

    def walk(self, calls: Sequence[Call], *, losing: bool = True) -> Outcome:
        """Walk along the calls from there."""
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
        return walk(layout, self.model, Budget(self.budget.left_s, _TRIAL_MB), frontier, losing=losing)

    def blocked(self, calls: Sequence[Call]) -> bool:
        """Whether the calls can't be put in an order. Raises _TooMuch if a trial doesn't suffice to decide that."""
        found = self.walk(calls).linearizable
        if found is None:
            raise _TooMuch
        return not found

    def states_before(self, calls: Sequence[Call], outcome: Outcome) -> Frontier:
        """What the object could be just before the end. Lost states are shown as they are, if the budget allows."""
        found = self.walk(calls, losing=False)
        return found.moments[-1].frontier if found.linearizable is False else outcome.moments[-1].frontier


def _described(frontier: Mapping[State, Any], model: Model) -> tuple[str, ...]:
    return tuple(
        sorted({"a value that no read could see" if state is LOST else model.describe(state) for state in frontier})
    )


def _refusals(frontier: Frontier, blocked: Call, model: Model) -> tuple[str, ...]:
    """Why the model has no step for the call from these states, in its own words."""
    answers = [model.step(state, blocked) for state in frontier if state is not LOST]
    return tuple(sorted({answer.why for answer in answers if isinstance(answer, Refused)}))


def text_of(blocked: Blocked, model: Model, history: History) -> str:
    """The witness in prose, a call of the core a line."""
    lines = [_line(call, history) for call in blocked.core]
    if blocked.blocked is None:
        return "\n".join([f"{blocked.text}:", *lines])
    states = listing(blocked.states, _STATES_SHOWN, "or")
    opening = (
        f"the first {count(blocked.returns, 'operation')} to return can be put in an order; "
        f"then {call_text(blocked.blocked)} can't: just before event {blocked.certain} "
        f"the {model.name} could only hold {states}"
    )
    if blocked.refusals:
        opening += f" ({listing(blocked.refusals, _STATES_SHOWN, 'or')})"
    whatever = f", whatever {count(blocked.relaxed, 'other operation')} around did" if blocked.relaxed else ""
    begin = listing(blocked.begin, _STATES_SHOWN, "or")
    given = f", from a {model.name} that by then could only hold {begin}" if begin else ""
    return "\n".join([f"{opening}. These can't all have happened{given}{whatever}:", *lines])


def data_of(blocked: Blocked, history: History) -> dict[str, Any]:
    """The witness as data, for a report to draw."""
    events = history.events
    return {
        "kind": "not linearizable",
        "returns": blocked.returns,
        "certain": blocked.certain,
        "blocked": blocked.blocked.invoked if blocked.blocked else None,
        "states": list(blocked.states),
        "begin": list(blocked.begin),
        "refusals": list(blocked.refusals),
        "prefix": blocked.prefix,
        "others": blocked.relaxed,
        "text": blocked.text,
        "calls": [
            {
                "process": events[call.invoked].process,
                "call": call_text(call),
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
        return f"  process {begun.process}: {call_text(call)}, event {call.invoked} at {at(begun)}, and never returned"
    ended = history.events[call.returned]
    when = f"events {call.invoked}–{call.returned}, {at(begun)} to {at(ended)}"
    return f"  process {begun.process}: {call_text(call)}, {when}"
