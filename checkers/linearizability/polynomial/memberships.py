"""Memberships: sets that are only asked for one element at a time (`add`, `remove`, `contains`).

1. Elements don't influence each other: each is judged by itself, as a set of at most one element, and all are
   linearizable if each is (locality: Herlihy and Wing 1990, theorem 1).
2. The search judges each. However many elements and calls there are, it costs what the calls on one element at one time
   make it: 2 ** such calls at worst.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec

from splitbrain.checkers.algorithms.quickxplain import pruned
from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.prose import listing, literal
from splitbrain.checkers.linearizability.model import Call, Finding, Model, State, call_text
from splitbrain.checkers.linearizability.search import search

_MEMORY_MB = 20.0  # The search of one element may take so much; where it wants more, the caller's budget must decide.


def judge(calls: Sequence[Call], model: Model) -> Finding | None:
    """Calls of one set, in the order of their invocations. O(n log n), see rule 2.

    model: of the set.

    Returns None where the whole set was read, and where the search of one element needs more than its memory.
    """
    elements: dict[Hashable, list[Call]] = {}
    for call in calls:
        if call.f == "read":
            return None
        elements.setdefault(call.argument, []).append(call)
    exact = True
    for each, about in elements.items():
        outcome = search(about, model, Budget(memory_mb=_MEMORY_MB))
        if outcome.linearizable is None:
            exact = False
        elif not outcome.linearizable:
            assert outcome.blocked is not None
            return _against(each, [call for call in about if call.invoked <= outcome.blocked.returned], model)
    return Finding(True) if exact else None


class _Lenient(Model):
    """A set some of whose calls (those marked as failed) may do nothing, at the moment they take effect."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.initial = model.initial

    def step(self, state: State, call: Call) -> Sequence[State]:
        after = self._model.step(state, call)
        return tuple(dict.fromkeys((state, *after))) if call.failed else after

    def read_only(self, call: Call) -> bool:
        return self._model.read_only(call)


def _against(element: Hashable, calls: Sequence[Call], model: Model) -> Finding:
    """Few of the calls, such that they fit in no order even if each other add and remove, in its time, happened or did
    not."""
    known = [call for call in calls if call.known]
    lenient = _Lenient(model)

    def wrong(some: Sequence[Call]) -> bool:
        certain = {call.invoked for call in some}
        allowed = [
            call if call.invoked in certain or not call.known else msgspec.structs.replace(call, failed=True)
            for call in calls
            if call.invoked in certain or not model.read_only(call)
        ]
        return search(allowed, lenient, Budget(memory_mb=_MEMORY_MB)).linearizable is False

    # From the end: what is said of the last calls, the latest ones before them explain. (Without a model's hints the
    # search may want more memory than it has.)
    few = pruned(known[::-1], wrong)[::-1] if wrong(known) else known
    text = (
        f"these calls about {literal(element)} fit in no order, whether or not others added and removed it: "
        f"{listing(map(_at, few), limit=10)}"
    )
    return Finding(False, text, tuple(few))


def _at(call: Call) -> str:
    return f"{call_text(call)} (events {call.invoked} to {call.returned})"
