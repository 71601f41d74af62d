"""The search, rule by rule. Where a rule only saves work, what it saves is counted: configurations explored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.model import Call, Model, State
from splitbrain.checkers.linearizability.models.counters import Counter, Mutex
from splitbrain.checkers.linearizability.models.kv import KeyValue
from splitbrain.checkers.linearizability.models.registers import CasRegister, Register
from splitbrain.checkers.linearizability.search import Outcome, search
from tests.checkers.linearizability.brute_force import linearizable
from tests.checkers.linearizability.objects import KINDS, history
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


# Rule 3: of calls that are alike, the soonest return first.


def test_of_alike_calls_the_one_that_returns_first_took_effect_first() -> None:
    # Were it the other one, the first's return would need a second increment, which the last read rules out.
    drawing = """
        add 1      |------------------|
        add 1        |------|
        read -> 1      |--|
        read -> 1               |--|
        """
    assert judged(drawing, Counter()) is True
    assert judged(drawing.replace("add 1        |------|", "add 2        |------|"), Counter()) is False


def test_a_crashed_call_takes_effect_after_those_alike_that_return() -> None:
    drawing = """
        add 1      |....
        add 1        |------|
        read -> 1      |--|
        read -> 1               |--|
        """
    assert judged(drawing, Counter()) is True
    # And it is still there to be used.
    assert judged(drawing.rstrip() + "\n        read -> 2                    |--|\n", Counter()) is True
    assert judged(drawing.rstrip() + "\n        read -> 3                    |--|\n", Counter()) is False


def test_many_clients_that_wait_for_one_mutex_are_one_case() -> None:
    waiting = [Call("acquire", None, None, True, False, n, 100 + 10 * n) for n in range(20)]
    releases = [alone("release", at=102 + 10 * n) for n in range(20)]
    assert explored([*waiting, *releases], Mutex()) <= 60


def test_twenty_crashed_writes_of_one_value_are_interchangeable() -> None:
    # Each read of 7 uses one of them up: any one will do, and twenty reads are served, not twenty-one.
    crashed = open_at_once(*[("write", 7)] * 20, crashed=True)
    calls = [*crashed]
    for n in range(20):
        calls += [alone("write", 1, at=100 + 4 * n), alone("read", None, 7, at=102 + 4 * n)]
    assert explored(calls, CasRegister()) <= 20 * 22
    one_too_many = [*calls, alone("write", 1, at=300), alone("read", None, 7, at=302)]
    assert explored(one_too_many, CasRegister(), linearizable=False) <= 20 * 25


def test_which_of_the_alike_crashed_calls_was_used_does_not_multiply_the_configurations() -> None:
    """They were used in the order of their bits, and bits are used again in any order: 2^n choices in n rounds."""
    # These return in the order of their invocations, so that the bits they leave are used again from the last on.
    calls = [Call("read", None, None, True, False, n, 40 + n) for n in range(24)]
    for n in range(9):
        # Each round uses up one crashed call of either kind. What matters is how many of each, not which.
        at = 100 + 10 * n
        calls += [
            Call("cas", (0, 7), None, False, False, at, FOREVER),
            Call("write", 7, None, False, False, at + 1, FOREVER),
            alone("write", 0, at=at + 2),
            alone("read", None, 7, at=at + 4),
        ]
    assert explored(calls, CasRegister()) <= 9 * 24


# Rule 4: hidden calls.


def test_twelve_open_writes_and_a_return_cost_few_configurations() -> None:
    writes = open_at_once(*(("write", n) for n in range(12)))
    assert explored([*writes, alone("read", None, 11, at=200)], CasRegister()) <= 12 * 13
    assert explored([*writes, alone("read", None, 0, at=200)], CasRegister()) <= 12 * 13
    assert explored([*writes, alone("read", None, 12, at=200)], CasRegister(), linearizable=False) <= 12 * 13


def test_a_write_may_be_hidden_where_another_overwrote_it() -> None:
    drawing = """
        write 1      |----------------|
        write 2        |---|
        read -> 2             |-|
        read -> 2                       |-|
        """
    assert judged(drawing, CasRegister()) is True


def test_a_write_that_may_be_hidden_may_be_seen_after_all() -> None:
    drawing = """
        write 1      |----------------|
        write 2        |---|
        read -> 2             |-|
        read -> 1                       |-|
        """
    assert judged(drawing, CasRegister()) is True
    # But not both: it took effect once.
    assert judged(drawing.rstrip() + "\n        read -> 2                            |-|\n", CasRegister()) is False


def test_nothing_can_be_hidden_by_a_write_that_took_effect_before_it_was_invoked() -> None:
    # The read shows that write 1 has taken effect as write 2 is invoked, though it returns last of all.
    drawing = """
        write 1      |-------------------|
        read -> 1      |-|
        write 2             |-|
        read -> 1                 |-|
        """
    assert judged(drawing, CasRegister()) is False
    assert judged(drawing.replace("read -> 1                 |-|", "read -> 2                 |-|"), CasRegister())


def test_a_crashed_write_hides_others_too() -> None:
    drawing = """
        write 1      |....
        write 2        |---|
        read -> 1             |-|
        read -> 1                   |-|
        """
    assert judged(drawing, CasRegister()) is True
    assert judged(drawing.rstrip() + "\n        read -> 2                            |-|\n", CasRegister()) is False


def test_of_equal_writes_one_may_be_hidden_and_the_other_be_seen() -> None:
    drawing = """
        write 1      |------------|
        write 1        |---------------------|
        write 2          |----|
        read -> 2               |----|
        read -> 1                      |----|
        write 3                                  |-|
        read -> 3                                     |-|
        """
    assert judged(drawing, CasRegister()) is True
    assert judged(drawing.replace("read -> 3 ", "read -> 1 "), CasRegister()) is False


# Rule 5: calls that commute.


def test_thirty_open_adds_cost_few_configurations_if_no_read_separates_them() -> None:
    adds = open_at_once(*(("add", 1 << n) for n in range(30)))
    assert explored([*adds, alone("read", None, (1 << 30) - 1, at=200)], Counter()) <= 60


def test_adds_take_effect_in_the_order_that_a_read_between_them_shows() -> None:
    # The read shows the second add without the first, though the first returns sooner.
    drawing = """
        add 1      |---------|
        add 2        |-------------|
        read -> 2      |--------------|
        read -> 3                        |--|
        """
    assert judged(drawing, Counter()) is True
    assert judged(drawing.replace("read -> 2", "read -> 1"), Counter()) is True
    assert judged(drawing.replace("read -> 2", "read -> 4"), Counter()) is False
    # Both shown alone: they can't each have come first.
    assert judged(drawing.rstrip() + "\n        read -> 1        |-----|\n", Counter()) is False


class Till(Counter):
    """Adds commute, a reset overwrites, and `take` needs as much as it takes: neither."""

    fs = frozenset({"add", "read", "take", "reset"})

    def step(self, state: State, call: Call) -> Sequence[State]:
        if call.f == "take":
            return (state - call.argument,) if state >= call.argument else ()
        return (call.argument,) if call.f == "reset" else super().step(state, call)

    def overwrites(self, call: Call) -> bool:
        return call.f == "reset"


def test_an_add_comes_before_a_call_that_needs_it_and_that_does_not_commute() -> None:
    # As the first add returns, take 5 must have happened already for the read: only after the other add could it.
    drawing = """
        add 1      |----------------|
        add 5        |---------------------|
        take 5         |------|
        read -> 0        |--------|
        read -> 1                     |--|
        """
    assert judged(drawing, Till()) is True
    assert judged(drawing.replace("take 5 ", "take 6 "), Till()) is False


def test_an_add_comes_after_an_open_call_that_does_not_commute() -> None:
    # Nothing asks for the reset as the add returns. But had the add come first, 1 would have been reset.
    drawing = """
        add 1        |---|
        reset 5        |---|
        read -> 6            |-|
        """
    assert judged(drawing, Till()) is True
    assert judged(drawing.replace("-> 6", "-> 5"), Till()) is True
    assert judged(drawing.replace("-> 6", "-> 1"), Till()) is False


# Rule 6: what another one beats.


def test_twenty_crashed_writes_of_different_values_cost_only_what_is_read_of_them() -> None:
    crashed = open_at_once(*(("write", 100 + n) for n in range(20)), crashed=True)
    calls = [*crashed]
    for n in range(40):
        calls += [alone("write", n, at=30 + 4 * n), alone("read", None, n, at=32 + 4 * n)]
    # One way is not to use any of them; whatever uses some is beaten by it as soon as it ends in the same state.
    assert explored(calls, CasRegister()) <= 40 * 21


def test_crashed_calls_that_lead_back_to_where_they_began_are_as_good_as_unused() -> None:
    # Round trips from 0, each by calls of its own; ten cas of 0 could each come after any number of them.
    trips = [("cas", pair) for n in range(1, 7) for pair in ((0, n), (n, 0))]
    crashed = open_at_once(*trips, since=10, crashed=True)
    calls = [alone("write", 0, at=0), *crashed, *(alone("cas", (0, 0), at=40 + 2 * n) for n in range(10))]
    assert explored(calls, CasRegister()) <= 10 * 13


def test_a_crashed_write_takes_effect_once() -> None:
    drawing = """
        write 1      |....
        write 2        |-|
        read -> 1          |-|
        write 2                |-|
        read -> 2                  |-|
        """
    assert judged(drawing, CasRegister()) is True
    assert judged(drawing.replace("read -> 2 ", "read -> 1 "), CasRegister()) is False


def test_a_configuration_is_not_beaten_by_one_that_used_up_what_it_still_has() -> None:
    # At the second return the value is 1 by the crashed write or by the one that is open; only if the latter was
    # used, the former can still bring back 1 at the end.
    drawing = """
        write 1      |....
        write 1        |--------------|
        read -> 1        |-|
        write 2                            |-|
        read -> 1                                |-|
        """
    assert judged(drawing, CasRegister()) is True
    assert judged(drawing.rstrip() + "\n        write 2                      |-|\n", CasRegister()) is True
    more = (
        drawing.rstrip() + "\n        write 2        " + " " * 30 + "|-|\n        read -> 1      " + " " * 34 + "|-|\n"
    )
    assert judged(more, CasRegister()) is False


# Rule 7: states that lead nowhere.


def test_appends_that_the_next_read_contradicts_are_not_tried() -> None:
    # All twelve overlap, and are read one after the other: of all orders only the one that is read is tried.
    letters = "abcdefghijkl"
    appends = [Call("append", letter, None, True, False, n, 200 + n) for n, letter in enumerate(letters)]
    reads = [alone("get", None, letters[-n - 1 :][::-1], at=20 + 2 * n) for n in range(12)]
    assert explored([*appends, *reads], KeyValue()) <= 12 * 13
    wrong = [*reads[:-1], alone("get", None, letters, at=50)]
    assert explored([*appends, *wrong], KeyValue(), linearizable=False) <= 12 * 13


def test_a_state_that_contradicts_the_next_read_may_be_overwritten_before_it() -> None:
    open_ = """
        append "x"    |-|
        put "b"           |-----------|
        get -> "b"          |------|
        """
    crashed = """
        put "b"      |....
        append "x"     |-|
        append "y"        |------|
        get -> "b"            |------|
        get -> "by"                    |--|
        """
    later = """
        append "x"    |-|
        append "y"        |-|
        put "b"               |-|
        append "c"                |-|
        get -> "bc"                    |---|
        """
    for drawing in (open_, crashed, later):
        assert judged(drawing, KeyValue()) is True
        assert judged(drawing.replace('-> "b', '-> "d'), KeyValue()) is False
        # What is put leads to nothing that was read: it saves no state.
        assert judged(drawing.replace('put "b"', 'put "q"'), KeyValue()) is False


def test_a_put_that_was_overwritten_before_does_not_save_a_state() -> None:
    drawing = """
        put "b"      |-|
        put "c"          |-|
        append "x"           |-|
        get -> "b"               |--|
        """
    assert judged(drawing, KeyValue()) is False
    assert judged(drawing.replace('get -> "b" ', 'get -> "cx"'), KeyValue()) is True


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


def test_of_two_alike_calls_the_one_that_can_be_hidden_is_spared() -> None:
    """The first append is hidden by the put and returns sooner: it was used up where only the other one could follow."""
    calls = [
        Call("append", "b", "b", invoked=6, returned=16),
        Call("put", "b", "b", invoked=8, returned=10),
        Call("append", "b", "b", invoked=11, returned=17),
        Call("append", "a", "a", invoked=12, returned=15),
        Call("get", None, "bba", invoked=19, returned=20),
    ]
    assert linearizable(calls, KeyValue())
    assert search(calls, KeyValue(), Budget()).linearizable is True
