"""Linearizability by trying: every order of the calls that real time allows, every choice of crashed ones."""

from __future__ import annotations

from collections.abc import Sequence

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.linearizability.model import Call, Model, State


def linearizable(calls: Sequence[Call], model: Model, initial: State = None) -> bool:
    """Whether some order of all returned calls and any of the crashed ones is one that the model allows.

    initial: the state before them, if it is not the model's own.
    """

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

    return placed(frozenset(range(len(calls))), (model.initial if initial is None else initial,))


def linearizable_remembering(calls: Sequence[Call], model: Model) -> bool:
    """The same for some dozens of calls: what was tried with the same calls placed and the same state is not tried again.

    Wing and Gong (1993) with Lowe's cache; the clients of larger random histories are few enough for it.
    """
    tried: set[tuple[int, State]] = set()
    all_returned = sum(1 << at for at, call in enumerate(calls) if call.returned != FOREVER)
    ahead: list[tuple[int, State]] = [(0, model.initial)]
    while ahead:
        placed, state = ahead.pop()
        if placed & all_returned == all_returned:
            return True
        soonest = min(call.returned for at, call in enumerate(calls) if not placed >> at & 1)
        for at, call in enumerate(calls):
            if placed >> at & 1:
                continue
            if call.invoked > soonest:
                break
            for new in model.step(state, call):
                after = (placed | 1 << at, new)
                if after not in tried:
                    tried.add(after)
                    ahead.append(after)
    return False
