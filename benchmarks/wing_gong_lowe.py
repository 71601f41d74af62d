"""Wing and Gong's search with Lowe's memory, as most checkers of linearizability have it: the baseline of `crashes`.

1. It goes through the calls in the order of their invocations. The first that the model allows takes effect at once,
   and the search begins again at the first call that is left.
2. At a return whose call has not taken effect, the last call that did is taken back, and what comes after it is tried.
3. A set of calls that took effect, together with the state they left, is tried once.
4. A crashed call returns after all others. It need not take effect.

Wing and Gong, J. Parallel Distrib. Comput. 1993; Lowe, Concurrency Comput. 2017, section 3.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.linearizability.model import Call, Model, State

_LOOK_EVERY = 4096  # Steps between two looks at the clock.


def wing_gong_lowe(calls: Sequence[Call], model: Model, timeout_s: float) -> bool | None:
    """Whether the calls are linearizable; None if the time is up.

    calls: of one object, in the order of their invocations. timeout_s: seconds.
    """
    marks = sorted(
        [(call.invoked, number, True) for number, call in enumerate(calls)]
        + [(call.returned, number, False) for number, call in enumerate(calls) if call.returned != FOREVER]
    )
    # A linked list of invocations and returns: a call that takes effect is lifted out of it.
    end = len(marks) + 1
    after, before = list(range(1, end + 1)), list(range(-1, end))
    return_of = {number: place for place, (_, number, invoked) in enumerate(marks, 1) if not invoked}
    to_return = len(return_of)
    tried: set[tuple[int, State]] = set()
    taken: list[tuple[int, int, State]] = []
    done, state, place = 0, model.initial, after[0]
    ends, steps = time.monotonic() + timeout_s, 0

    def lift(at: int) -> None:
        after[before[at]], before[after[at]] = after[at], before[at]

    def unlift(at: int) -> None:
        after[before[at]] = before[after[at]] = at

    after.append(end)
    before.append(end)
    while to_return:
        steps += 1
        if not steps % _LOOK_EVERY and time.monotonic() > ends:
            return None
        if place != end and marks[place - 1][2]:
            number = marks[place - 1][1]
            following = model.step(state, calls[number])
            found = (done | 1 << number, following[0]) if following else None
            if found is None or found in tried:
                place = after[place]
                continue
            tried.add(found)
            taken.append((place, done, state))
            done, state = found
            lift(place)
            if number in return_of:
                lift(return_of[number])
                to_return -= 1
            place = after[0]
            continue
        if not taken:
            return False
        place, done, state = taken.pop()
        number = marks[place - 1][1]
        if number in return_of:
            unlift(return_of[number])
            to_return += 1
        unlift(place)
        place = after[place]
    return True
