from __future__ import annotations

import doctest

import pytest

from splitbrain.checkers.algorithms import quantiles
from splitbrain.checkers.algorithms.quantiles import percentile, quantiles_ms
from splitbrain.checkers.histories import prose


@pytest.mark.parametrize("module", [prose, quantiles])
def test_the_examples_in_the_docstrings_are_true(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


def test_keys_side_by_side_have_different_names_and_as_plain_ones_as_can_be() -> None:
    assert list(prose.key_names(["x", 1, None]).values()) == ["x", "1", "the only key"]
    for keys in ([1, "1"], [None, "the only key"], [1, "1", '"1"', "x"]):
        assert len(set(prose.key_names(keys).values())) == len(keys)  # type: ignore[arg-type]


def test_a_percentile_is_the_least_duration_that_enough_of_them_do_not_exceed() -> None:
    durations = list(range(1, 1001))
    for percent in (0.1, 1, 50, 90, 99, 99.9, 99.99, 100):
        reached = percentile(durations, percent)
        assert sum(d <= reached for d in durations) >= percent * 10 - 1e-9
        assert sum(d < reached for d in durations) < percent * 10 - 1e-9


def test_no_durations_have_no_quantiles() -> None:
    assert quantiles_ms([]) == {}
    with pytest.raises(ValueError, match="no durations"):
        percentile([], 50)
