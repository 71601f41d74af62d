from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.harness.generators import (
    NOTHING,
    any_of,
    cycle,
    delay,
    flip_flop,
    limit,
    mix,
    numbered,
    once,
    repeat,
    sequence,
    sleep,
    unfold,
)
from splitbrain.harness.operation import Invocation
from tests.harness.fixed_latency import MILLISECOND, SECOND, invocations, play, values


def op(value: object) -> Invocation:
    return Invocation("w", value)


def ops(*many: object) -> object:
    return sequence(*(op(value) for value in many))


def test_a_sequence_does_its_parts_one_after_another() -> None:
    assert values(play(sequence(op(1), sequence(op(2), None, op(3)), op(4)))) == [1, 2, 3, 4]


def test_an_empty_sequence_is_exhausted_at_once() -> None:
    assert play(sequence()) == []
    assert play(NOTHING) == []


def test_a_generator_asked_twice_answers_the_same() -> None:
    from splitbrain.harness.generators import Context, Test

    generator = mix(7, (1, ops(1, 2)), (3, numbered(op)))  # type: ignore[arg-type]
    context = Context(0, (0, 1), concurrency=2)
    assert generator.op(Test(), context)[0] == generator.op(Test(), context)[0]  # type: ignore[index]


def test_limit_stops_an_endless_generator() -> None:
    assert values(play(limit(3, numbered(op)))) == [0, 1, 2]


def test_once_takes_only_the_first() -> None:
    assert values(play(once(numbered(op)))) == [0]


def test_repeat_stays_where_its_source_is() -> None:
    assert values(play(repeat(ops(5, 6), 3))) == [5, 5, 5]  # type: ignore[arg-type]


def test_cycle_begins_again_at_the_end() -> None:
    assert values(play(cycle(ops(1, 2), 2))) == [1, 2, 1, 2]  # type: ignore[arg-type]
    assert values(play(limit(5, cycle(ops(1, 2))))) == [1, 2, 1, 2, 1]  # type: ignore[arg-type]


def test_unfold_makes_each_part_when_its_turn_comes() -> None:
    assert values(play(unfold(lambda number: limit(number, repeat(op(number))), 4))) == [1, 2, 2, 3, 3, 3]


@given(st.integers(min_value=0, max_value=2**32))
def test_a_mix_does_all_of_every_source_each_in_its_order(seed: int) -> None:
    done = values(play(mix(seed, (3, ops(*range(20))), (1, ops(*range(100, 110))))))  # type: ignore[arg-type]
    assert [value for value in done if value < 100] == list(range(20))
    assert [value for value in done if value >= 100] == list(range(100, 110))


def test_a_mix_follows_its_weights() -> None:
    done = values(play(limit(2000, mix(3, (3, repeat(op("a"))), (1, repeat(op("b")))))))
    assert 1400 <= done.count("a") <= 1600


def test_mixes_with_different_seeds_differ() -> None:
    def done(seed: int) -> list[object]:
        return values(play(limit(50, mix(seed, (1, repeat(op("a"))), (1, repeat(op("b")))))))

    assert done(1) == done(1)
    assert done(1) != done(2)


def test_a_mix_refuses_a_weight_that_is_not_above_zero() -> None:
    with pytest.raises(ValueError, match="leave that generator out"):
        mix(1, (0, op(1)))


def test_any_of_does_what_can_be_done_soonest() -> None:
    events = play(any_of(sequence(sleep(1), op("late")), op("soon")))
    assert [(event.value, event.time) for event in invocations(events)] == [("soon", 0), ("late", SECOND)]


def test_any_of_starves_no_generator() -> None:
    done = values(play(limit(100, any_of(repeat(op("a")), repeat(op("b")))), concurrency=1))
    assert done.count("a") == done.count("b") == 50


def test_a_sleep_in_any_of_is_counted_from_its_own_beginning() -> None:
    # Found in a run: offers for later by one source made the other forget since when it slept.
    busy = delay(0.037, repeat(op("busy")))
    slept = sequence(op("begin"), sleep(1), op("end"))
    events = invocations(play(any_of(busy, slept), until_ns=2 * SECOND, latency_ns=5 * MILLISECOND))
    [begin] = [event.time for event in events if event.value == "begin"]
    [end] = [event.time for event in events if event.value == "end"]
    assert end - begin == SECOND


def test_flip_flop_alternates_until_one_is_exhausted() -> None:
    assert values(play(flip_flop(ops("a", "b"), numbered(op)))) == ["a", 0, "b", 1]  # type: ignore[arg-type]
