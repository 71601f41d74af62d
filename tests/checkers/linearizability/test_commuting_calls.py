"""Rule 5 of the search, calls that commute: they take effect in one order, unless a call between them needs another."""

from __future__ import annotations

from collections.abc import Sequence

from splitbrain.checkers.linearizability.model import Call, State
from splitbrain.checkers.linearizability.models.counters import Counter
from tests.checkers.linearizability.searches import alone, explored, judged, open_at_once


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
