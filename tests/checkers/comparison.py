"""A comparison: a checker beside its oracle, on the random history of a seed.

Each area of checkers has its own generator and oracle, and lists its comparisons as `COMPARISONS`; `oracle_run` and
`test_oracles.py` run them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from splitbrain.checkers.histories.event import encode
from splitbrain.checkers.histories.history import History


class Disagreement(AssertionError):
    """The history, and what the two said of it."""

    def __init__(self, history: History, verdicts: object) -> None:
        super().__init__(f"{show(history)}{verdicts}")


@dataclass(frozen=True)
class Comparison:
    """name: unique, in the field's words. compare: makes the history of a seed, lets both judge it, raises
    Disagreement, returns the outcome they agree on. outcomes: those that must all occur among the first 600 seeds."""

    name: str
    compare: Callable[[int], str]
    outcomes: frozenset[str] = frozenset({"valid", "invalid"})


def show(history: History) -> str:
    return "".join(encode(event).decode() for event in history.events)
