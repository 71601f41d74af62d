from __future__ import annotations

from collections import Counter

from splitbrain.workloads.resting_keys import USES, resting_keys, uses

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
