from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from splitbrain.harness.generators import (
    any_of,
    clients,
    delay,
    limit,
    nemesis,
    repeat,
    sequence,
    sleep,
    stagger,
    time_limit,
)
from splitbrain.harness.operation import Invocation
from tests.harness.fixed_latency import MILLISECOND, SECOND, invocations, play

READ = Invocation("read")


def times(events: list) -> list[int]:  # type: ignore[type-arg]
    return [event.time for event in invocations(events)]


@given(st.integers(min_value=0, max_value=2**32))
def test_a_staggers_gaps_lie_between_nothing_and_twice_the_interval(seed: int) -> None:
    started = times(play(limit(50, stagger(0.1, repeat(READ), seed=seed))))
    gaps = [after - before for before, after in pairwise(started)]
    assert all(0 <= gap < 200 * MILLISECOND for gap in gaps)
    assert started[0] == 0


def test_a_staggers_average_is_the_interval() -> None:
    started = times(play(limit(10_001, stagger(0.01, repeat(READ), seed=5)), concurrency=50))
    assert abs(started[-1] - 100 * SECOND) < 2 * SECOND


def test_a_staggers_schedule_does_not_depend_on_how_long_operations_take() -> None:
    def started(latency_ns: int) -> list[int]:
        return times(play(limit(100, stagger(0.01, repeat(READ), seed=5)), spares=200, latency_ns=latency_ns))

    assert started(SECOND) == started(MILLISECOND)


def test_without_a_free_thread_a_staggered_operation_is_late_and_later_ones_are_not_put_off() -> None:
    stuck_ns = 2 * SECOND
    late = times(play(limit(40, stagger(0.1, repeat(READ), seed=5)), concurrency=1, latency_ns=stuck_ns))
    # One thread, two seconds each: all but the first are late, and each starts as soon as the thread is free.
    assert late == [number * stuck_ns for number in range(40)]


def test_a_sleep_within_a_stagger_moves_the_schedule_and_leaves_no_burst_behind() -> None:
    source = sequence(limit(3, repeat(READ)), sleep(10), limit(10, repeat(READ)))
    started = times(play(stagger(0.1, source, seed=5)))
    after = [start for start in started[3:] if start < 10 * SECOND + 150 * MILLISECOND]
    assert len(after) < 5


def test_a_delay_keeps_its_distance_after_a_late_start() -> None:
    started = times(play(limit(4, delay(1, repeat(READ))), concurrency=1, latency_ns=1500 * MILLISECOND))
    assert started == [0, 1500 * MILLISECOND, 3000 * MILLISECOND, 4500 * MILLISECOND]
    assert times(play(limit(4, delay(1, repeat(READ))), concurrency=1)) == [0, SECOND, 2 * SECOND, 3 * SECOND]


def test_a_time_limit_starts_nothing_at_its_end_or_later() -> None:
    started = times(play(time_limit(1, delay(0.25, repeat(READ)))))
    assert started == [0, 250 * MILLISECOND, 500 * MILLISECOND, 750 * MILLISECOND]


def test_a_time_limit_ends_a_sleep() -> None:
    events = play(sequence(time_limit(2, sequence(sleep(100), READ)), Invocation("after")))
    assert [(event.f, event.time) for event in invocations(events)] == [("after", 2 * SECOND)]


def test_a_time_limit_counts_from_when_it_is_first_asked() -> None:
    started = times(play(sequence(sleep(5), time_limit(1, delay(0.5, repeat(READ))))))
    assert started == [5 * SECOND, 5 * SECOND + 500 * MILLISECOND]


def test_two_time_limits_side_by_side_end_together() -> None:
    fault = sequence(sleep(0.5), Invocation("cut"), sleep(10))
    load = clients(time_limit(3, stagger(0.05, repeat(READ), seed=1)))
    events = play(sequence(any_of(load, nemesis(time_limit(3, fault))), Invocation("after")), concurrency=5)
    after = invocations(events)[-1]
    assert after.f == "after"
    assert after.time == 3 * SECOND
