from __future__ import annotations

from collections.abc import Sequence

import pytest

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.versions.version_order import Circular, Lineage, lineages
from splitbrain.checkers.versions.writes import Versions
from tests.checkers.script import Script


def lineage(*puts: tuple[int, Sequence[int] | None]) -> Lineage:
    """Puts one after the other, each by a process of its own: (id, seen)."""
    script = Script()
    for at, (write, seen) in enumerate(puts):
        script.put(write, None if seen is None else list(seen), at=10 * at, process=at)
    return lineages(Versions.of(script.history))["r0"]


def covered(of: Lineage, *ids: int) -> set[int]:
    clock = of.cover([ids])[0][0]
    return {w.id for at, w in enumerate(of.writes) if of.position[at] <= clock[of.chain[at]]}


def test_a_version_covers_what_its_writer_had_seen_and_so_on() -> None:
    of = lineage((1, []), (2, [1]), (3, []), (4, [2]))
    assert [covered(of, id_) for id_ in (1, 2, 3, 4)] == [{1}, {1, 2}, {3}, {1, 2, 4}]
    assert covered(of, 3, 2) == {1, 2, 3}


def test_versions_that_merge_and_part_again_take_up_the_chains_there_are() -> None:
    puts: list[tuple[int, Sequence[int]]] = [(1, []), (2, [])]
    for at in range(3, 41, 2):
        puts += [(at, [at - 2, at - 1]), (at + 1, [at - 2, at - 1])]
    assert lineage(*puts).chains == 2


def test_writes_that_saw_nothing_have_chains_of_their_own() -> None:
    of = lineage((1, []), (2, []), (3, []), (4, []), (5, []), (6, [5]))
    assert of.chains == 5
    assert covered(of, 6) == {5, 6}


def test_a_write_without_seen_may_cover_what_was_born_before_it_ended() -> None:
    of = lineage((1, []), (2, None), (3, [1]))
    # Events: 1 is 0 and 1, 2 is 2 and 3, 3 is 4 and 5.
    assert of.horizon.tolist() == [-1, 3, -1]
    assert of.born.tolist() == [0, 2, 4]
    clocks, horizons = of.cover([[2], [2], [2]])
    lacks, perhaps = of.lacking(clocks, horizons, of.alone(of.position * 0 + [0, 1, 2]))
    assert (lacks.tolist(), perhaps.tolist()) == ([-1, -1, 2], [True, False, False])


def test_what_descends_from_a_write_without_seen_has_its_horizon() -> None:
    of = lineage((1, []), (2, None), (3, [2]))
    assert of.horizon.tolist() == [-1, 3, 3]


def test_a_version_is_born_with_the_last_of_what_it_covers() -> None:
    script = Script().invoke(0, "put", "r0", {"write": 1}, at=0)
    script.put(2, [], at=10, process=1).complete(0, "ok", {"write": 1, "seen": [2]}, at=20)
    assert lineages(Versions.of(script.history))["r0"].born.tolist() == [1, 1]


def test_an_id_that_nobody_put_leaves_everything_open() -> None:
    of = lineage((1, []), (2, [9]))
    assert of.horizon.tolist() == [-1, 3]
    assert of.cover([[9], [1]])[1].tolist() == [FOREVER, -1]


def test_writes_that_had_seen_one_another_have_no_lineage() -> None:
    script = Script()
    for process in (0, 1, 2):
        script.invoke(process, "put", "r0", {"write": process}, at=process)
    for process in (0, 1, 2):
        script.complete(process, "ok", {"write": process, "seen": [(process + 1) % 3]}, at=10 + process)
    with pytest.raises(Circular) as caught:
        lineages(Versions.of(script.history))
    assert caught.value.ids == (0, 1, 2)


def test_a_second_try_that_saw_the_first_is_no_circle() -> None:
    assert covered(lineage((1, [1])), 1) == {1}


def test_a_long_line_of_versions_needs_no_recursion() -> None:
    of = lineage(*((at, [at - 1] if at else []) for at in range(3000)))
    assert of.chains == 1
