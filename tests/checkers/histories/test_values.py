from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from splitbrain.checkers.histories.values import identity


@pytest.mark.parametrize(
    ("one", "other"),
    list(
        combinations([1, True, 1.0, "1", None, "null", 0, False, [], {}, [1], [True], {"a": 1}, {"a": True}, "[1]"], 2)
    ),
)
def test_values_that_are_not_the_same_json_are_not_the_same(one: Any, other: Any) -> None:
    assert len({identity(one), identity(other)}) == 2


def test_the_order_of_fields_makes_no_difference_and_that_of_elements_does() -> None:
    assert identity({"a": 1, "b": {"c": 2, "d": 3}}) == identity({"b": {"d": 3, "c": 2}, "a": 1})
    assert identity([1, 2]) != identity([2, 1])


def test_fields_named_by_integers_and_strings_in_one_object_are_no_problem() -> None:
    # JSON has no such objects; other notations do.
    assert identity({1: 2, "a": 3}) == identity({"a": 3, "1": 2})


def test_an_integer_beyond_64_bits_is_a_value_like_any_other() -> None:
    assert identity([10**30]) != identity([10**30 + 1])
