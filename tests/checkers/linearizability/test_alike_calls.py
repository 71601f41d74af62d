"""Rule 3 of the search, calls that are alike: of several, the one that returns first takes effect first."""

from __future__ import annotations

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.linearizability.model import Call
from splitbrain.checkers.linearizability.models.counters import Counter, Mutex
from splitbrain.checkers.linearizability.models.registers import CasRegister
from tests.checkers.linearizability.searches import alone, explored, judged, open_at_once


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
