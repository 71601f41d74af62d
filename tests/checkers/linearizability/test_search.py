"""The search, by its rules 1, 2, 8 and 9: when calls take effect, where it ends, its budget, and its length."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.model import Call, Model, State
from splitbrain.checkers.linearizability.models.counters import Counter
from splitbrain.checkers.linearizability.models.kv import KeyValue
from splitbrain.checkers.linearizability.models.registers import CasRegister, Register
from splitbrain.checkers.linearizability.search import Outcome, search
from tests.checkers.linearizability.objects import KINDS, history
from tests.checkers.linearizability.searches import alone, explored, judged, open_at_once
from tests.checkers.linearizability.timeline import drawn

# Rule 1: no sooner than a return needs it.


def test_an_open_write_takes_effect_where_a_read_needs_it() -> None:
    # The write was invoked before both reads; it stays open past the first, and the second needs it.
    drawing = """
        write 1      |--------------|
        read -> null   |-|
        read -> 1           |-|
        """
    assert judged(drawing, CasRegister()) is True


def test_what_took_effect_before_a_return_can_not_be_undone_after_it() -> None:
    drawing = """
        write 1      |--------------|
        read -> 1      |-|
        read -> null        |-|
        """
    assert judged(drawing, CasRegister()) is False


def test_several_open_calls_take_effect_before_a_return_in_whatever_order_it_needs() -> None:
    drawing = """
        write 1       |-|
        cas [3, 4]         |---------------|
        cas [2, 3]           |-----------|
        cas [1, 2]             |-------|
        read -> 4                |--|
        """
    assert judged(drawing, CasRegister()) is True
    assert judged(drawing.replace("[2, 3]", "[2, 5]"), CasRegister()) is False


def test_calls_take_effect_between_their_invocation_and_their_return_only() -> None:
    overlapping = """
        write 1    |------|
        read -> 1     |------|
        """
    after_it = """
        write 1    |---|
        write 2            |---|
        read -> 2                |--|
        """
    before_it = """
        read -> 1  |---|
        write 1          |---|
        """
    assert judged(overlapping, CasRegister()) is True
    assert judged(after_it, CasRegister()) is True
    assert judged(after_it.replace("read -> 2", "read -> 1"), CasRegister()) is False
    assert judged(before_it, CasRegister()) is False


def test_calls_that_nothing_needs_are_not_tried_in_every_order() -> None:
    # Fourteen different cas, none of which can happen yet, stay open over forty reads and writes.
    waiting = open_at_once(*(("cas", (100 + n, 101 + n)) for n in range(14)), crashed=True)
    busy = [alone("write", 1, at=20 + 4 * n) for n in range(20)]
    reads = [alone("read", None, 1, at=22 + 4 * n) for n in range(20)]
    assert explored([*waiting, *busy, *reads], CasRegister()) <= 40


# Rule 2: reads as soon as a state answers them.


def test_open_reads_of_one_value_are_not_tried_one_by_one() -> None:
    # Both values are read by twelve, all at once: with reads tried like writes there would be 2^24 ways.
    reads = [Call("read", None, n % 2, True, False, 10 + n, 200 + n) for n in range(24)]
    writes = [Call("write", n, n, True, False, n, 150 + n) for n in range(2)]
    assert explored([*writes, *reads, alone("read", None, 1, at=300)], CasRegister()) <= 100


def test_a_read_is_answered_by_a_state_that_another_write_hid_at_once() -> None:
    # read -> 1 must come between write 1 and write 2, though no return asks for it there.
    drawing = """
        write 1     |-------------|
        write 2       |-------|
        read -> 1       |-------------------|
        read -> 2                    |--|
        read -> 2                              |--|
        """
    assert judged(drawing, CasRegister()) is True
    assert judged(drawing.replace("read -> 1 ", "read -> 3 "), CasRegister()) is False


def test_a_read_invoked_after_its_value_was_there_is_answered_at_once() -> None:
    drawing = """
        write 1     |-|
        read -> 1       |------------|
        write 2           |-|
        read -> 2              |-|
        """
    assert judged(drawing, CasRegister()) is True


# Rule 8: the end.


def test_what_follows_the_last_call_that_is_evidence_is_not_tried() -> None:
    appends = open_at_once(*(("append", chr(97 + n)) for n in range(20)))
    assert explored([alone("get", None, "", at=-5), *appends], KeyValue()) <= 1


# Rule 9: the blocked call.


def test_the_blocked_call_is_the_first_whose_return_no_order_gets_past() -> None:
    drawing = """
        write 1     |-|
        read -> 1       |-|
        read -> 2          |--|
        read -> 3                |-|
        """
    outcome = search(drawn(drawing), CasRegister(), Budget())
    assert outcome.linearizable is False
    assert outcome.blocked is not None and outcome.blocked.result == 2
    assert outcome.returns == 2
    assert [moment.returned for moment in outcome.moments] == [1, 3, 5]
    assert set(outcome.moments[-1].frontier) == {1}


def test_no_calls_are_linearizable() -> None:
    assert search([], CasRegister(), Budget()) == Outcome(True, 0, 0)


def test_what_may_never_have_happened_need_not_be_possible() -> None:
    assert judged("cas [1, 2]     |...", CasRegister()) is True
    assert judged("cas [1, 2]     |---|", CasRegister()) is False


# The budget.


_HARD = [  # Which of 2^20 subsets of open adds was read? None: their sum is beyond all of them.
    *open_at_once(*(("add", 3**n) for n in range(20)), since=10),
    Call("read", None, 3**20, True, False, 40, 50),
]
_EASY = [alone("add", 0, at=0), alone("read", None, 0, at=2), alone("read", None, 0, at=4)]


def test_a_search_that_needs_more_memory_than_its_budget_says_how_far_it_came() -> None:
    outcome = search([*_EASY, *_HARD], Counter(), Budget(memory_mb=1))
    assert outcome.linearizable is None
    assert outcome.stopped == "the memory limit of 1 MB was reached"
    assert outcome.returns == 3
    assert outcome.explored >= 1_000  # 1 MB holds some thousand configurations, and it did make them.


def test_a_search_that_runs_out_of_time_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(timeout_s=60)
    real = time.monotonic
    looks: list[float] = []

    def later() -> float:
        looks.append(real())
        return real() + 50 * (len(looks) - 1)

    monkeypatch.setattr("splitbrain.checkers.budget.time.monotonic", later)
    outcome = search([*_EASY, *_HARD], Counter(), budget)
    monkeypatch.undo()
    assert outcome.linearizable is None
    assert outcome.stopped == "the time limit of 60 s was reached"
    assert outcome.returns == 3
    assert len(looks) == 3  # At 0, 50 and 100 s: it stops at the first look that is too late.


def test_a_budget_that_suffices_changes_nothing() -> None:
    calls = drawn("write 1  |--|\nread -> 1    |--|")
    assert search(calls, Register(), Budget(3600, 1000)) == search(calls, Register(), Budget())


# Length, and agreement.


@pytest.mark.parametrize("name", ["register", "cas-register", "counter", "mutex"])
def test_a_long_history_with_few_open_calls_costs_few_configurations_a_return(name: str) -> None:
    random = Random(1)
    kind = KINDS[name]
    calls: list[Call] = []
    state, at = kind.initial, 0
    # Three clients at a time; what each of them is told happened at its invocation.
    returning: list[Call] = []
    while len(calls) < 3000:
        f, argument = kind.ask(random)
        state, (type_, value, error) = kind.act(state, f, argument, random)
        if type_ == "ok":
            returning.append(Call(f, _frozen(argument), _frozen(value), True, False, at, 0))
            at += 1
        if len(returning) == 3:
            random.shuffle(returning)
            for call in returning:
                calls.append(Call(call.f, call.argument, call.result, True, False, call.invoked, at))
                at += 1
            returning = []
    calls.sort(key=lambda call: call.invoked)
    assert explored(calls, kind.model) <= 8 * len(calls)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Unhinted(Model):
    """A model without its hints."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.initial = model.initial

    def step(self, state: State, call: Call) -> Sequence[State]:
        return self.model.step(state, call)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**32))
def test_hints_change_the_work_and_never_the_verdict(name: str, seed: int) -> None:
    kind = KINDS[name]
    for calls in calls_of(history(Random(seed), kind, operations=10), kind.model).values():
        found = search(calls, kind.model, Budget()).linearizable
        assert search(calls, Unhinted(kind.model), Budget()).linearizable is found
