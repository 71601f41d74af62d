"""Comparing a checker of registers with its oracle."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.verdict import Verdict
from tests.checkers.comparison import Disagreement
from tests.checkers.versions import register_histories

OUTCOMES = frozenset({"valid", "invalid", "unknown"})


def random_history(seed: int, shape: register_histories.Shape) -> History:
    return register_histories.history(Random(seed), shape)


def agree(history: History, said: Any, expected: Any) -> None:
    """Raise Disagreement unless the checker said what the oracle expects."""
    if said != expected:
        raise Disagreement(history, f"checker: {said}\noracle:  {expected}")


def witness_is_sound(history: History, verdict: Verdict) -> None:
    """Raise Disagreement unless the witness shows events of the history, ascending."""
    if verdict.witness is not None:
        events = verdict.witness.events
        inside = bool(events) and events[0] >= 0 and events[-1] < len(history.events)
        agree(history, (inside, events), (True, tuple(sorted(set(events)))))
