"""Rules 6 and 7 of the search: what another configuration beats is not followed, nor a state that leads nowhere."""

from __future__ import annotations

from splitbrain.checkers.linearizability.model import Call
from splitbrain.checkers.linearizability.models.kv import KeyValue
from splitbrain.checkers.linearizability.models.registers import CasRegister
from tests.checkers.linearizability.searches import alone, explored, judged, open_at_once

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
