"""Memberships: sets of which every operation concerns one element (`add`, `remove`, `contains`).

1. Elements are independent: each is judged by itself, as a set of at most one element, and the calls are linearizable
   if and only if those of each are (locality: Herlihy and Wing 1990, theorem 1).
2. The search judges each element. Its cost depends on the calls on that element that are open at once: exponential in
   their number at worst.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec

from splitbrain.checkers.algorithms.quickxplain import pruned
from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.prose import listing, literal
from splitbrain.checkers.linearizability.model import Call, Finding, Model, State, call_text, started
from splitbrain.checkers.linearizability.search import search

_MEMORY_MB = 20.0  # For the search of one element. If it needs more, the caller's own budget must decide.


def judge(calls: Sequence[Call], model: Model, budget: Budget) -> Finding | None:
    """Calls of one set, in the order of their invocations. O(n log n), see rule 2.

    model: the set's. budget: whose time counts; memory is bounded by element.
    Returns None if the whole set was read, or if the search of one element ran out of time or memory.
    """
    elements: dict[Hashable, list[Call]] = {}
    for call in calls:
        if call.f == "read":
            return None
        elements.setdefault(call.argument, []).append(call)
    exact = True
    for each, about in elements.items():
        alone = started(model, model.initial & {each})
        outcome = search(about, alone, Budget(budget.left_s, _MEMORY_MB))
        if outcome.linearizable is None:
            exact = False
        elif not outcome.linearizable:
            assert outcome.blocked is not None
            return _against(each, [call for call in about if call.invoked <= outcome.blocked.returned], alone, budget)
    return Finding(True) if exact else None


class _TooMuch(Exception):
    """A trial ran out of its budget."""


class _Lenient(Model):
    """A set some of whose calls, those marked as failed, may change nothing when they take effect."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.initial = model.initial

    def step(self, state: State, call: Call) -> Sequence[State]:
        after = self._model.step(state, call)
        return tuple(dict.fromkeys((state, *after))) if call.failed else after

    def read_only(self, call: Call) -> bool:
        return self._model.read_only(call)


def _against(element: Hashable, calls: Sequence[Call], model: Model, budget: Budget) -> Finding:
    """The finding against few of the calls, which fit in no order whether or not each other add and remove happened."""
    known = [call for call in calls if call.known]
    lenient = _Lenient(model)

    def wrong(some: Sequence[Call]) -> bool:
        certain = {call.invoked for call in some}
        allowed = [
            call if call.invoked in certain or not call.known else msgspec.structs.replace(call, failed=True)
            for call in calls
            if call.invoked in certain or not model.read_only(call)
        ]
        found = search(allowed, lenient, Budget(budget.left_s, _MEMORY_MB)).linearizable
        if found is None:
            raise _TooMuch
        return not found

    try:
        # From the end: the latest calls before a wrong answer explain it best.
        few = pruned(known[::-1], wrong)[::-1]
    except _TooMuch:  # The lenient model has fewer hints than the set's own.
        few = known
    text = (
        f"these calls about {literal(element)} fit in no order, whether or not others added and removed it: "
        f"{listing(map(_at, few), limit=10)}"
    )
    return Finding(False, text, tuple(few))


def _at(call: Call) -> str:
    return f"{call_text(call)} (events {call.invoked} to {call.returned})"
