"""Columns and lanes."""

from __future__ import annotations

import json
from itertools import pairwise

from splitbrain.checkers.histories.history import History
from splitbrain.harness.report.columns import columns


def test_an_operation_without_a_completion_reaches_the_end_of_the_history(parse, event):
    table = columns(parse(event(0, 0, "invoke", "read"), event(1, 1, "invoke", "read"), event(5, 1, "ok", "read")))
    assert table.end.tolist() == [5_000_000, 5_000_000]
    assert table.done.tolist() == [-1, 2]
    assert table.outcome.tolist() == [2, 0]


def test_a_successor_takes_the_lane_of_the_process_that_info_retired(parse, event):
    table = columns(
        parse(
            event(0, 0, "invoke", "read"),
            event(0, 1, "invoke", "read"),
            event(3, 0, "info", "read"),
            event(4, 10, "invoke", "read"),
            event(5, 10, "ok", "read"),
            event(6, 1, "ok", "read"),
        )
    )
    assert table.lanes == 2
    assert table.lane.tolist() == [0, 1, 0]


def test_no_two_operations_of_one_lane_are_open_at_once(sample):
    made = sample.sets(seconds=20)
    table = columns(History.parse([json.dumps(each) + "\n" for each in made.events]))
    assert table.lanes <= 16
    for lane in range(table.lanes):
        mine = table.lane == lane
        spans = sorted(zip(table.start[mine], table.end[mine], strict=True))
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_an_event_finds_its_operation_by_either_end(parse, event):
    table = columns(
        parse(
            event(0, "nemesis", "info", "stage", value="load"), event(1, 0, "invoke", "read"), event(2, 0, "ok", "read")
        )
    )
    assert [table.at_event(index) for index in (0, 1, 2, 3)] == [None, 0, 0, None]


def test_an_empty_history_has_no_lanes(parse):
    table = columns(parse())
    assert (table.n, table.lanes, table.end_ns) == (0, 0, 0)
