"""Drawings: a gap is a gap, every run is in a bar, and words say what is shown."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from splitbrain.harness.serving.drawings import BINS, POINTS, binned, chart, sparkline, verdict_bars
from splitbrain.harness.serving.pulse import FaultSpan
from splitbrain.harness.serving.run_entry import RunEntry


def points(drawing: str) -> list[list[tuple[float, float]]]:
    """The points of each line."""
    return [
        [tuple(map(float, each.split(","))) for each in line.split()]
        for line in re.findall(r'points="([^"]+)"', drawing)
    ]


def test_a_sparkline_fills_its_height_from_the_least_to_the_most():
    (line,) = points(sparkline([1.0, 3.0, 2.0], "p99"))
    assert [y for _, y in line] == [21.0, 3.0, 12.0]
    assert line[0][0] == 3.0 and line[-1][0] == 117.0


def test_where_there_is_no_figure_the_line_has_a_gap():
    drawn = sparkline([1.0, 2.0, None, 3.0, 4.0, None, 5.0], "p99")
    assert [len(line) for line in points(drawn)] == [2, 2]
    assert drawn.count("<circle") == 2, "the single point, and the end, which is the same"


def test_equal_figures_lie_in_the_middle():
    (line,) = points(sparkline([5.0, 5.0], "p99"))
    assert {y for _, y in line} == {12.0}


def test_without_any_figure_there_is_a_dash_and_no_drawing():
    assert "<svg" not in sparkline([None, None], "p99")
    assert "<svg" not in sparkline([], "p99")


def test_only_the_last_figures_are_drawn():
    (line,) = points(sparkline([float(at) for at in range(1000)], "p99"))
    assert len(line) == POINTS


def test_a_chart_s_second_stands_in_its_middle_on_a_scale_that_is_given():
    (line,) = points(chart([10.0, 20.0], 20.0, 4.0, [], "rate"))
    assert line == [(75.0, 40.0), (225.0, 2.0)]


def test_a_fault_is_shaded_where_it_stood_and_one_that_stands_to_the_end():
    drawn = chart([], 1.0, 10.0, [FaultSpan("kill n1", 2.5, 5.0), FaultSpan("<b>", 9.0, None)], "rate")
    assert re.findall(r'x="([\d.]+)" y="0" width="([\d.]+)"', drawn) == [("150.0", "150.0"), ("540.0", "60.0")]
    assert "<title>kill n1, from 2.5 s</title>" in drawn and "&lt;b&gt;, from" in drawn


def test_a_drawing_says_what_it_shows():
    assert 'role="img" aria-label="p99 of &lt;sets&gt;"' in sparkline([1.0], "p99 of <sets>")


@given(st.lists(st.tuples(st.floats(0, 2e9), st.sampled_from(["valid", "invalid", "unfinished"])), max_size=40))
def test_every_run_is_in_one_bar_of_few(moments):
    runs = [RunEntry(str(at), at_s, verdict=verdict) for at, (at_s, verdict) in enumerate(moments)]
    bins, unit = binned(runs)
    assert sum(sum(each.counts.values()) for each in bins) == len(runs)
    assert len(bins) <= BINS and bool(unit) == bool(runs)
    for run in runs:
        (inside,) = [
            each
            for each, after in zip(bins, [*bins[1:], None], strict=True)
            if each.start.timestamp() <= run.at_s and (after is None or run.at_s < after.start.timestamp())
        ]
        assert run.verdict in inside.counts


def test_bars_are_as_tall_as_their_share_and_the_worst_is_at_the_bottom():
    day = 86_400.0
    runs = [
        RunEntry("a", 0.0, verdict="valid"),
        RunEntry("b", 1.0, verdict="invalid"),
        RunEntry("c", day * 3, verdict="valid"),
    ]
    drawn = verdict_bars(binned(runs)[0], "verdicts")
    bars = re.findall(r'class="(\w+)" x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', drawn)
    assert bars == [("invalid", "47.0", "43.0"), ("valid", "4.0", "43.0"), ("valid", "47.0", "43.0")]
