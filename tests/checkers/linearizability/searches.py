"""Searches of calls, which brute force follows or whose configurations are counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.linearizability.model import Call, Model
from splitbrain.checkers.linearizability.search import search
from tests.checkers.linearizability.brute_force import linearizable
from tests.checkers.linearizability.timeline import drawn


def judged(drawing: str, model: Model) -> bool | None:
    """What the search says, which brute force must say too."""
    calls = drawn(drawing)
    found = search(calls, model, Budget()).linearizable
    assert found is linearizable(calls, model)
    return found


def open_at_once(*asked: tuple[str, Any], since: int = 0, until: int = 100, crashed: bool = False) -> list[Call]:
    """Calls invoked one after the other, which return in the same order, all from `until` on; or never."""
    return [
        Call(f, argument, None, not crashed, False, since + n, FOREVER if crashed else until + n)
        for n, (f, argument) in enumerate(asked)
    ]


def alone(f: str, argument: Any = None, result: Any = None, *, at: int) -> Call:
    """A call that returns before anything else happens."""
    return Call(f, argument, result, True, False, at, at + 1)


def explored(calls: Sequence[Call], model: Model, *, linearizable: bool = True) -> int:
    outcome = search(sorted(calls, key=lambda call: call.invoked), model, Budget(timeout_s=60))
    assert outcome.linearizable is linearizable
    return outcome.explored
