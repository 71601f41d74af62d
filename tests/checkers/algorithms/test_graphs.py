"""Cycles, causal pasts, the latest of a group, and dominance."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from splitbrain.checkers.algorithms.cycles import on_cycle, shortest_cycle, shortest_path
from splitbrain.checkers.algorithms.dominance import below
from splitbrain.checkers.algorithms.predecessors import PredecessorTable
from splitbrain.checkers.causal.past import pasts


def test_edges_within_a_component_lie_on_a_cycle_and_others_do_not() -> None:
    source, target = np.array([0, 1, 2, 2, 4]), np.array([1, 2, 0, 3, 4])
    assert on_cycle(5, source, target).tolist() == [True, True, True, False, True]


def test_a_graph_without_edges_has_no_cycle() -> None:
    assert on_cycle(3, np.array([], dtype=np.int64), np.array([], dtype=np.int64)).tolist() == []


def test_the_shortest_cycle_through_an_edge_is_found() -> None:
    source, target = np.array([0, 1, 2, 1]), np.array([1, 2, 0, 0])
    assert shortest_cycle(source, target, 0) == [0, 3]
    assert shortest_cycle(source, target, 2) == [2, 0, 1]
    assert shortest_cycle(np.array([4]), np.array([4]), 0) == [0]


def test_a_path_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="no path leads from 1 to 0"):
        shortest_path(np.array([0]), np.array([1]), 1, 0)


def test_a_past_holds_what_the_session_did_and_what_that_had_read() -> None:
    # Session 0: rows 0 and 2, session 1: rows 1 and 3; row 3 read row 0.
    known = pasts(np.array([0, 1, 0, 1]), 2, {3: (0,)})
    assert known.clock.tolist() == [[0, -1], [-1, 1], [2, -1], [0, 3]]
    assert known.precedes(np.array([0, 2, 1]), np.array([3, 3, 3]), np.array([0, 1, 0, 1])).tolist() == [
        True,
        False,
        True,
    ]


def test_pasts_do_not_depend_on_the_order_of_the_rows() -> None:
    # Row 0 read row 3, which its session invoked only later: a store may answer before its client hears of it.
    assert pasts(np.array([0, 1, 1, 1]), 2, {0: (3,)}).clock[0].tolist() == [0, 3]


def test_operations_in_a_cycle_and_what_follows_have_no_past() -> None:
    known = pasts(np.array([0, 0, 1, 1, 2]), 3, {0: (3,), 2: (1,)})
    assert known.circular
    assert known.done.tolist() == [False, False, False, False, True]


def test_the_latest_of_a_group_before_a_row() -> None:
    latest = PredecessorTable(np.array([5, 1, 5]), np.array([7, 3, 2]))
    group, row = np.array([5, 5, 5, 1, 1, 2, 9]), np.array([8, 7, 2, 100, 3, 5, 5])
    assert latest.before(group, row).tolist() == [7, 2, -1, 3, -1, -1, -1]
    assert PredecessorTable(group[:0], row[:0]).before(group, row).tolist() == [-1] * 7


def test_what_lies_below_a_bound_is_counted_as_by_hand() -> None:
    random = Random(1)
    for _ in range(300):
        sizes = [random.randrange(5) for _ in range(3)]
        ends = np.cumsum(sizes)
        values = np.array([random.choice((0, 1, 2, 5, 9, 1 << 62)) for _ in range(sum(sizes))], dtype=np.int64)
        group = np.repeat(np.arange(3), sizes)
        which = np.array([random.randrange(3) for _ in range(4)])
        begin = np.array([ends[g] - random.randint(0, sizes[g]) for g in which])
        bound = np.array([random.randrange(11) for _ in range(4)])
        number, least = below(values, group, begin, ends[which], bound)
        for at in range(4):
            some = [value for value in values[begin[at] : ends[which[at]]].tolist() if value < bound[at]]
            assert (number[at], least[at]) == (len(some), min(some, default=-1))
