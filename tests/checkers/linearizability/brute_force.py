"""Linearizability by trying: every order of the calls that real time allows, every choice of crashed ones."""

from __future__ import annotations

from collections.abc import Sequence

from checkers.columns import FOREVER
from checkers.linearizability.model import Call, Model, State


def linearizable(calls: Sequence[Call], model: Model) -> bool:
    """Whether some order of all returned calls and any of the crashed ones is one that the model allows."""

    def placed(left: frozenset[int], states: tuple[State, ...]) -> bool:
        if not states:
            return False
        if all(calls[at].returned == FOREVER for at in left):
            return True
        # Next may come any call that no other one left had returned before.
        for at in left:
            if all(calls[other].returned > calls[at].invoked for other in left):
                after = tuple(new for state in states for new in model.step(state, calls[at]))
                if placed(left - {at}, after):
                    return True
        return False

    return placed(frozenset(range(len(calls))), (model.initial,))
