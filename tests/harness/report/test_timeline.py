"""The sample of a large run, and values in brief."""

from __future__ import annotations

import numpy as np
import pytest

from splitbrain.harness.report import timeline
from splitbrain.harness.report.columns import Columns


def table(n: int, *, unsure: int = 0, slow: int | None = None) -> Columns:
    start = np.arange(n, dtype=np.int64) * 1_000_000
    end = start + 500_000
    if slow is not None:
        end[slow] += 900_000_000
    outcome = np.zeros(n, dtype=np.int64)
    outcome[:unsure] = 2
    zero = np.zeros(n, dtype=np.int64)
    index = np.arange(n, dtype=np.int64) * 2
    names = ("read",), ("k",), ("n1",)
    return Columns(
        start, end, start, outcome, zero, zero, index, index + 1, zero, zero, zero, *names, 1, int(end.max())
    )


def test_a_small_run_is_drawn_whole():
    assert timeline.sample(table(500), []).tolist() == list(range(500))
    assert timeline.words(table(500), 500) == "All 500 operations are here."


def test_a_quarter_of_a_million_operations_are_all_there():
    assert len(timeline.sample(table(250_000), [])) == 250_000


def test_a_run_beyond_the_limit_is_sampled_to_it_and_says_so():
    many = table(1_200_000, unsure=1_200_000, slow=123_456)
    drawn = timeline.sample(many, [200_000, 250_000])
    assert len(drawn) <= timeline.LIMIT
    assert np.diff(drawn).min() >= 1
    assert {200_000, 250_000, 123_456} <= set(drawn.tolist())
    assert set(range(199_900, 200_100)) <= set(drawn.tolist())
    assert f"{len(drawn):,} of 1,200,000 operations are here" in timeline.words(many, len(drawn))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (17, "17"),
        ("x", "x"),
        ([1, 2], "[1 2]"),
        ({"write": 17}, "17"),
        ({"write": 17, "seen": []}, "17 having seen nothing"),
        ({"write": 17, "seen": [3, 5]}, "17 having seen [3 5]"),
        ({"home": True, "versions": ["a"], "values": [1], "hinted": 0}, "1 version (home) [a]"),
        ({"a": 1}, '{"a":1}'),
        (True, "true"),
    ],
)
def test_values_are_shown_as_a_person_reads_them(value, shown):
    assert timeline.brief(value) == shown


def test_a_long_list_keeps_both_ends_and_its_length():
    shown = timeline.brief(list(range(100_000)))
    assert shown.startswith("[0 1 2 …") and shown.endswith("99999], 100,000 in all")


@pytest.mark.parametrize("value", ["x" * 10**6, ["y" * 10**5] * 10, {"k": ["z" * 10**5]}, [[["q" * 999] * 99] * 99]])
def test_no_value_takes_much_room(value):
    assert len(timeline.brief(value)) < 3 * timeline.VALUE_LIMIT
