"""What `long_fork` must say: all orders of the writes of a group."""

from __future__ import annotations

import json
from itertools import combinations, permutations
from typing import Any

from splitbrain.checkers.histories.history import History, Operation
from tests.checkers.plain_history import span, verdict_of


def long_fork(history: History) -> dict[str, Any]:
    """All orders of a group's writes: there must be one of which every read saw a prefix."""
    forked = impossible = pairs = 0
    at_stake = False
    for key in dict.fromkeys(operation.key for operation in history.operations):
        of_key = [o for o in history.operations if o.key == key]
        reads = [o for o in of_key if o.outcome == "ok" and o.invocation.value[0][0] == "r"]
        writes = [o for o in of_key if o.invocation.value[0][0] == "w" and o.outcome != "fail"]
        groups: dict[tuple[Any, ...], list[Operation]] = {}
        for read in reads:
            groups.setdefault(tuple(sorted(each[1] for each in read.invocation.value)), []).append(read)
        for group, some in groups.items():
            states = [_seen(read) for read in some]
            # Two keys that reads of the group, one or several, saw written.
            seen = [(a, b) for one, other in combinations(states, 2) for a in one | other for b in one | other]
            at_stake = at_stake or any(a != b for a, b in seen)
            fits = any(
                all(state in [set(order[:length]) for length in range(len(order) + 1)] for state in states)
                for order in permutations(group)
            )
            forked += not fits
            unordered = any(one - other and other - one for one, other in combinations(states, 2))
            assert unordered is not fits, "no order if and only if two reads can't be ordered"
            pairs += unordered
        for read in reads:
            assert read.completion
            for _, name, value in read.completion.value:
                made = [["w", name, value]]
                impossible += value is not None and not any(
                    json.dumps(o.invocation.value) == json.dumps(made) and span(o)[0] < span(read)[1] for o in writes
                )
    return {"verdict": verdict_of(bool(forked or impossible), at_stake), "forked": forked, "impossible": impossible}


def _seen(read: Operation) -> set[Any]:
    assert read.completion
    return {name for _, name, value in read.completion.value if value is not None}
