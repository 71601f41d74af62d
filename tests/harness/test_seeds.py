from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from splitbrain.harness.seeds import choose, draw, fraction, shuffled, split


def test_a_split_is_the_same_on_every_machine() -> None:
    assert split(1, "network") == 17488912397183459933
    assert fraction(1) == 0.2071741877002956
    assert draw(1).random() == 0.13436424411240122


@given(st.integers(), st.integers(), st.integers())
def test_labels_split_apart(seed: int, one: int, other: int) -> None:
    assert (split(seed, one) == split(seed, other)) == (one == other)
    assert split(seed, one) != split(seed, str(one))


@given(st.lists(st.integers()), st.integers(min_value=0))
def test_shuffling_keeps_every_item(items: list[int], seed: int) -> None:
    assert Counter(shuffled(draw(seed), items)) == Counter(items)


def test_choosing_reaches_every_item_about_equally() -> None:
    rng = draw(3)
    counts = Counter(choose(rng, "abcd") for _ in range(4000))
    assert set(counts) == set("abcd")
    assert min(counts.values()) > 850


@given(st.integers())
def test_fractions_lie_between_nothing_and_one(seed: int) -> None:
    assert 0 <= fraction(seed) < 1
