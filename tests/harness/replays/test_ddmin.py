from __future__ import annotations

from collections.abc import Callable, Iterable

from hypothesis import given
from hypothesis import strategies as st

from splitbrain.harness.replays.ddmin import ddmin

Shows = Callable[[frozenset[int]], bool]


class Asked:
    """Answers which part is the first that shows it, and counts how many it was asked about."""

    def __init__(self, shows: Shows) -> None:
        self._shows = shows
        self.times = 0

    def __call__(self, parts: Iterable[tuple[int, ...]]) -> int | None:
        for place, part in enumerate(parts):
            self.times += 1
            if self._shows(frozenset(part)):
                return place
        return None


@given(st.integers(0, 40), st.sets(st.integers(0, 39)))
def test_what_is_needed_is_what_is_left(length: int, needed: set[int]) -> None:
    wanted = frozenset(needed & set(range(length)))
    assert ddmin(range(length), Asked(lambda part: wanted <= part)) == tuple(sorted(wanted))


@given(st.lists(st.frozensets(st.integers(0, 11), max_size=5), min_size=1, max_size=6))
def test_no_single_item_of_what_is_left_can_go(ways: list[frozenset[int]]) -> None:
    def shows(part: frozenset[int]) -> bool:
        return any(way <= part for way in ways)

    kept = ddmin(range(12), Asked(shows))
    assert shows(frozenset(kept))
    assert all(not shows(frozenset(kept) - {item}) for item in kept)


def test_two_of_two_thousand_are_found_in_less_than_a_hundred_trials() -> None:
    asked = Asked(lambda part: {312, 1_907} <= part)
    assert ddmin(range(2_000), asked) == (312, 1_907)
    assert asked.times < 100


def test_where_nothing_is_needed_nothing_is_left_after_one_trial() -> None:
    asked = Asked(lambda part: True)
    assert ddmin(range(1_000), asked) == ()
    assert asked.times == 1
    assert len(ddmin(range(1_000), asked, or_none=False)) == 1
