"""Rule 4 of the search, hidden calls: those that another one overwrote before anybody could see them."""

from __future__ import annotations

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.linearizability.model import Call
from splitbrain.checkers.linearizability.models.kv import KeyValue
from splitbrain.checkers.linearizability.models.registers import CasRegister
from splitbrain.checkers.linearizability.search import search
from tests.checkers.linearizability.brute_force import linearizable
from tests.checkers.linearizability.searches import alone, explored, judged, open_at_once


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
