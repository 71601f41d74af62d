from __future__ import annotations

from random import Random

from splitbrain.checkers.versions.writes import Versions
from tests.checkers.script import Script


def test_coverage_is_the_versions_and_all_that_they_had_seen() -> None:
    script = Script().put(1, [], at=0).put(2, [1], at=2).put(3, [], at=4).put(4, [2], at=6)
    versions = Versions.of(script.history)
    assert versions.coverage([4], "r0").ids == {4, 2, 1}
    assert versions.coverage([3], "r0").ids == {3}
    assert versions.coverage([4], "r0").horizon == -1
    assert versions.coverage([4], "r1").ids == frozenset()


def test_a_write_seen_through_one_that_was_completed_before_the_seen_one_was_acknowledged_is_found() -> None:
    # 1 stays open from 0 to 20 ms, so 2, which had seen it, ends before 1 does: order of ends says nothing.
    script = Script().invoke(9, "put", "r0", {"write": 1}, at=0).put(2, [1], at=2).put(3, [2], at=4)
    script.complete(9, "ok", {"write": 1, "seen": []}, at=20)
    assert Versions.of(script.history).superseded([1, 3], "r0") == (1, 3)


def test_a_write_seen_through_one_that_was_invoked_before_it_is_found() -> None:
    # 5 was invoked first, but read its context only after 1 was there.
    script = Script().invoke(9, "put", "r0", {"write": 5}, at=0).put(1, [], at=2)
    script.complete(9, "ok", {"write": 5, "seen": [1]}, at=6).put(3, [5], at=8)
    assert Versions.of(script.history).superseded([1, 3], "r0") == (1, 3)


def test_concurrent_siblings_with_a_common_past_do_not_supersede_each_other() -> None:
    script = Script().put(1, [], at=0).put(2, [1], at=2).put(3, [1], at=4)
    versions = Versions.of(script.history)
    assert versions.superseded([2, 3], "r0") is None
    assert versions.superseded([3], "r0") is None
    assert versions.superseded([3, 1], "r0") == (1, 3)


def test_a_write_that_names_itself_as_seen_supersedes_nothing_by_that() -> None:
    script = Script().put(1, [1], at=0).put(2, [], at=2)
    assert Versions.of(script.history).superseded([1, 2], "r0") is None


def test_a_chain_of_many_thousand_writes_is_no_problem() -> None:
    script = Script().put(0, [], at=0)
    for write in range(1, 5000):
        script.put(write, [write - 1], at=write * 2)
    versions = Versions.of(script.history)
    assert len(versions.coverage([4999], "r0").ids) == 5000
    assert versions.superseded([0, 4999], "r0") == (0, 4999)


def test_superseded_agrees_with_reaching_on_random_graphs() -> None:
    for seed in range(300):
        random = Random(seed)
        seen = {w: random.sample(range(w), random.randint(0, min(w, 2))) for w in range(10)}
        script = Script()
        for write, ids in seen.items():
            script.put(write, ids, at=write * 2)
        past: dict[int, set[int]] = {}
        for write, ids in seen.items():
            past[write] = set(ids).union(*(past[id_] for id_ in ids))
        siblings = random.sample(range(10), 3)
        expected = any(a in past[b] for a in siblings for b in siblings)
        pair = Versions.of(script.history).superseded(siblings, "r0")
        assert (pair is not None) == expected
        assert pair is None or pair[0] in past[pair[1]]
