from __future__ import annotations

from collections import Counter
from itertools import pairwise

from splitbrain.workloads.resting_keys import LATE, USES, read_before_the_end, resting_keys, uses

KEYS = resting_keys("r", 40)


def test_each_key_gets_one_to_five_operations_and_then_rests() -> None:
    found = uses(KEYS, seed=1)
    counts = Counter(use.key for use in found.values())
    assert counts.keys() == set(KEYS)
    assert set(counts.values()) == set(USES)
    for key in KEYS:
        mine = [use for _, use in sorted(found.items()) if use.key == key]
        assert [use.begun for use in mine] == list(range(len(mine)))
        assert [use.left for use in mine] == list(reversed(range(len(mine))))


def test_keys_begin_at_any_time_of_a_run_of_a_second_and_of_a_run_of_a_minute() -> None:
    begins = sorted(number for number, use in uses(KEYS, seed=1).items() if not use.begun)
    # At 50 writes a second: 4 keys in the first second, then ever fewer, and some in the last of 60.
    assert sum(number < 50 for number in begins) in (4, 5)
    assert sum(2_500 <= number < 3_000 for number in begins) >= 3


def test_a_seed_gives_the_same_uses_and_another_seed_others() -> None:
    assert uses(KEYS, seed=1) == uses(KEYS, seed=1)
    assert uses(KEYS, seed=1) != uses(KEYS, seed=2)


def test_about_half_of_the_keys_that_get_several_operations_return_for_the_last_one_much_later() -> None:
    found = uses(resting_keys("r", 200), seed=1, apart=50)
    late = together = 0
    for key in {use.key for use in found.values()}:
        numbers = [number for number, use in sorted(found.items()) if use.key == key]
        if len(numbers) > 1:
            together += 1
            late += numbers[-1] - numbers[-2] >= LATE[0]
            assert all(after - before < LATE[0] for before, after in pairwise(numbers[:-1]))
    # Four keys in five get several: 160 fair draws, within five standard deviations.
    assert together > 120
    assert abs(late - together / 2) < 32


def test_every_other_key_is_not_read_before_the_end() -> None:
    assert read_before_the_end(KEYS) == [f"r-rest-{number}" for number in range(0, 40, 2)]
