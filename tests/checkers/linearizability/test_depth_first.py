"""The searches depth first: histories at which the walk alone gets stuck, and what they remember."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.object_histories import NAMES, object_history
from splitbrain.checkers.budget import Budget
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.depth_first import luby
from splitbrain.checkers.linearizability.linearizable import MODELS, judge
from splitbrain.checkers.linearizability.model import Call
from tests.checkers.linearizability.comparisons import COMPARISONS


def test_attempts_grow_as_published() -> None:
    assert [luby(number) for number in range(1, 16)] == [1, 1, 2, 1, 1, 2, 4, 1, 1, 2, 1, 1, 2, 4, 8]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_histories_in_which_many_clients_crash_are_decided(name: str) -> None:
    (calls,) = calls_of(object_history(name, 10, 150, 0.2, seed=1), MODELS[name]).values()
    found = judge(calls, MODELS[name], Budget(timeout_s=120))
    assert found.linearizable is True


def test_a_stale_read_among_many_crashed_writes_is_found_where_no_order_has_a_place_for_it() -> None:
    """Twelve crashed writes of values that are read later, and one value that was overwritten and can't come back."""
    crashed = [Call("write", 10 + n, known=False, invoked=n) for n in range(12)]
    busy = [
        call
        for n in range(12)
        for call in (
            Call("write", n, n, invoked=20 + 4 * n, returned=21 + 4 * n),
            Call("read", None, 10 + n, invoked=22 + 4 * n, returned=23 + 4 * n),
        )
    ]
    stale = Call("cas", (3, 4), (3, 4), invoked=100, returned=101)
    found = judge([*crashed, *busy, stale], MODELS["cas-register"], Budget(timeout_s=120))
    assert found.linearizable is False
    assert found.certain == 101


def test_what_one_search_knows_to_be_dead_is_not_taken_for_out_of_reach_by_the_other() -> None:
    """The first had been further, so the second named the call that can't be placed too early."""
    (comparison,) = [each for each in COMPARISONS if each.name == "linearizable depth first cas-register"]
    assert comparison.compare(6522) == "invalid"


def test_a_large_queue_of_repeated_values_with_an_element_too_many_is_invalid() -> None:
    random = Random(1)
    values = [random.randrange(3) for _ in range(30)]
    calls = [Call("enqueue", value, value, invoked=2 * n, returned=2 * n + 1) for n, value in enumerate(values)]
    taken = [*values[:10], (values[10] + 1) % 3]
    calls += [Call("dequeue", None, each, invoked=100 + 2 * n, returned=101 + 2 * n) for n, each in enumerate(taken)]
    found = judge(calls, MODELS["fifo-queue"], Budget(timeout_s=120))
    assert found.linearizable is False
    assert found.certain == 121
