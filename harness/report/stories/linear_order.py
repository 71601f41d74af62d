"""An order of the calls that were possible, up to the one that was not: where each may have taken effect.

1. It is found again here, with the checker's own model, for the drawing alone; the verdict is the checker's.
2. It places every call that returned before the blocked one returned. A call that was open may take part, or not.
3. Where the search would take long, or the object did not start as the model does, there is no order to draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import MODELS, Call, Model
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.model import ModelError, State

CALLS_MOST = 400
STEPS_MOST = 50_000


@dataclass(frozen=True, slots=True)
class Step:
    """A call, where it stands in the order, and the state after it."""

    call: Call
    after: State


def order(history: History, name: str, key: object, blocked: int) -> tuple[list[Step], Call | None]:
    """The steps before the blocked call, and that call; no steps if none can be told.

    name: of the model. blocked: the event that invoked the call.
    """
    model = MODELS.get(name)
    if model is None:
        return [], None
    try:
        parts = calls_of(history, model)
    except (HistoryError, ModelError):
        return [], None
    calls = next((found for found in parts.values() if any(call.invoked == blocked for call in found)), [])
    last = next((call for call in calls if call.invoked == blocked), None)
    if last is None or len(calls) > CALLS_MOST:
        return [], last
    return _placed([call for call in calls if call.invoked < last.returned and call is not last], last, model), last


def _placed(calls: Sequence[Call], last: Call, model: Model) -> list[Step]:
    """Wing and Gong's search, with Lowe's memory of what failed; without recursion."""
    due = frozenset(at for at, call in enumerate(calls) if call.returned < last.returned)
    tried: set[tuple[frozenset[int], State]] = set()
    done: frozenset[int] = frozenset()
    state: State = model.initial
    path: list[tuple[int, State]] = []
    choices = [_choices(calls, due, done, state, model)]
    for _ in range(STEPS_MOST):
        if due <= done:
            return [Step(calls[at], after) for at, after in path]
        if not choices[-1]:
            choices.pop()
            if not path:
                return []
            at, _ = path.pop()
            done, state = done - {at}, path[-1][1] if path else model.initial
            continue
        at, after = choices[-1].pop()
        known = (done | {at}, after)
        if known in tried:
            continue
        tried.add(known)
        done, state = known
        path.append((at, after))
        choices.append(_choices(calls, due, done, state, model))
    return []


def _choices(
    calls: Sequence[Call], due: frozenset[int], done: frozenset[int], state: State, model: Model
) -> list[tuple[int, State]]:
    """What may take effect next, the most urgent last: a call that began before any that is left had returned."""
    limit = min((calls[at].returned for at in due - done), default=0)
    found = []
    for at, call in enumerate(calls):
        if at not in done and call.invoked < limit:
            found += [(at, after) for after in model.step(state, call)]
    return sorted(found, key=lambda each: (each[0] in due, -calls[each[0]].returned))
