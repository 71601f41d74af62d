"""How many bytes of puts a node takes at a time, and when it tells others to come back."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.actions import Instant
from splitbrain.store.coordination import budget as module
from splitbrain.store.coordination.budget import BUDGET_BYTES, BUDGET_MAX_BYTES, BUDGET_MIN_BYTES, Budget
from splitbrain.store.scheduling.timers import Present

MIB = 1 << 20


def made():
    present = Present(Instant(100.0, 0))
    return Budget("n1", present, 1.0), present


def test_one_is_admitted_however_large_and_more_while_they_fit():
    budget, _ = made()
    assert budget.admit(32 * MIB, 0) is None
    budget.began(MIB)
    assert budget.admit(MIB, 0) is None
    budget.began(MIB)
    assert budget.admit(1, 0).code == "busy"
    budget.ended(MIB, 0.01)
    assert budget.admit(MIB, 0) is None


def test_what_is_arriving_and_what_waits_for_replicas_counts_as_well():
    budget, _ = made()
    assert budget.admit(MIB, BUDGET_BYTES).code == "busy"
    assert budget.admit(MIB, BUDGET_BYTES - MIB) is None


def test_those_refused_are_told_to_come_back_one_after_another():
    budget, _ = made()
    budget.began(BUDGET_BYTES)
    told_ms = [budget.admit(MIB, 0).retry_after_ms for _ in range(5)]
    a_put_ms = 1000 * MIB / module.RATE_FIRST
    gaps = [later - sooner for sooner, later in itertools.pairwise(told_ms)]
    assert all(abs(gap - a_put_ms) < 2 for gap in gaps)
    assert max(budget.admit(MIB, 0).retry_after_ms for _ in range(100)) <= 1000 * module.AGAIN_MAX_S


def test_slow_puts_shrink_it_and_fast_ones_let_it_grow_within_bounds():
    budget, _ = made()
    for _ in range(100):
        budget.began(MIB)
        budget.ended(MIB, 0.9)
    assert budget.size == BUDGET_MIN_BYTES
    for _ in range(200):
        budget.began(MIB)
        budget.ended(MIB, 0.1)
    assert budget.size == BUDGET_MAX_BYTES


@given(st.lists(st.tuples(st.integers(1, 4 * MIB), st.floats(0.001, 2.0), st.integers(0, 8 * MIB)), max_size=60))
def test_a_refusal_names_a_time_to_come_back_within_bounds_and_nothing_is_left_over(steps):
    budget, present = made()
    for size, took_s, elsewhere in steps:
        refusal = budget.admit(size, elsewhere)
        if refusal is None:
            budget.began(size)
            present.now = Instant(present.now.monotonic + took_s, 0)
            budget.ended(size, took_s)
        else:
            low, high = 1000 * module.AGAIN_MIN_S, 1000 * module.AGAIN_MAX_S
            assert low <= refusal.retry_after_ms <= high
            assert elsewhere + size > budget.size
    assert budget.under_way == 0
