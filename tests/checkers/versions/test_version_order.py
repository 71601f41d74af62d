from __future__ import annotations

from collections.abc import Sequence

import pytest

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.versions.version_order import Circular, VersionOrder, version_orders
from splitbrain.checkers.versions.writes import Versions
from tests.checkers.script import Script


def order_of(*puts: tuple[int, Sequence[int] | None]) -> VersionOrder:
    """Puts one after the other, each by a process of its own: (id, seen)."""
    script = Script()
    for at, (write, seen) in enumerate(puts):
        script.put(write, None if seen is None else list(seen), at=10 * at, process=at)
    return version_orders(Versions.of(script.history))["r0"]


def covered(order: VersionOrder, *ids: int) -> set[int]:
    clock = order.cover([ids])[0][0]
    return {w.id for at, w in enumerate(order.writes) if order.position[at] <= clock[order.chain[at]]}


def test_a_version_covers_what_its_writer_had_seen_and_so_on() -> None:
    order = order_of((1, []), (2, [1]), (3, []), (4, [2]))
    assert [covered(order, id_) for id_ in (1, 2, 3, 4)] == [{1}, {1, 2}, {3}, {1, 2, 4}]
    assert covered(order, 3, 2) == {1, 2, 3}


def test_versions_that_merge_and_part_again_take_up_the_chains_there_are() -> None:
    puts: list[tuple[int, Sequence[int]]] = [(1, []), (2, [])]
    for at in range(3, 41, 2):
        puts += [(at, [at - 2, at - 1]), (at + 1, [at - 2, at - 1])]
    assert order_of(*puts).chains == 2


def test_writes_that_saw_nothing_have_chains_of_their_own() -> None:
    order = order_of((1, []), (2, []), (3, []), (4, []), (5, []), (6, [5]))
    assert order.chains == 5
    assert covered(order, 6) == {5, 6}


def test_a_write_without_seen_may_cover_what_was_born_before_it_ended() -> None:
    order = order_of((1, []), (2, None), (3, [1]))
    # Events: 1 is 0 and 1, 2 is 2 and 3, 3 is 4 and 5.
    assert order.horizon.tolist() == [-1, 3, -1]
    assert order.not_before.tolist() == [0, 2, 4]
    clocks, horizons = order.cover([[2], [2], [2]])
    lacks, perhaps = order.missing(clocks, horizons, order.chain_prefixes(order.position * 0 + [0, 1, 2]))
    assert (lacks.tolist(), perhaps.tolist()) == ([-1, -1, 2], [True, False, False])


def test_what_descends_from_a_write_without_seen_has_its_horizon() -> None:
    order = order_of((1, []), (2, None), (3, [2]))
    assert order.horizon.tolist() == [-1, 3, 3]


def test_a_version_is_born_with_the_last_of_what_it_covers() -> None:
    script = Script().invoke(0, "put", "r0", {"write": 1}, at=0)
    script.put(2, [], at=10, process=1).complete(0, "ok", {"write": 1, "seen": [2]}, at=20)
    assert version_orders(Versions.of(script.history))["r0"].not_before.tolist() == [1, 1]


def test_an_id_that_nobody_put_leaves_everything_open() -> None:
    order = order_of((1, []), (2, [9]))
    assert order.horizon.tolist() == [-1, 3]
    assert order.cover([[9], [1]])[1].tolist() == [FOREVER, -1]


def test_writes_that_had_seen_one_another_have_no_order() -> None:
    script = Script()
    for process in (0, 1, 2):
        script.invoke(process, "put", "r0", {"write": process}, at=process)
    for process in (0, 1, 2):
        script.complete(process, "ok", {"write": process, "seen": [(process + 1) % 3]}, at=10 + process)
    with pytest.raises(Circular) as caught:
        version_orders(Versions.of(script.history))
    assert caught.value.ids == (0, 1, 2)


def test_a_retry_that_saw_the_first_attempt_is_no_cycle() -> None:
    assert covered(order_of((1, [1])), 1) == {1}


def test_a_long_line_of_versions_needs_no_recursion() -> None:
    order = order_of(*((at, [at - 1] if at else []) for at in range(3000)))
    assert order.chains == 1
