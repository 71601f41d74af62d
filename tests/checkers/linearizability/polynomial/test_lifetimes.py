"""Lifetimes: presence, deadlines, and what crashed calls leave open."""

from __future__ import annotations

from random import Random

import pytest

from splitbrain.checkers.algorithms.quickxplain import pruned
from splitbrain.checkers.budget import Budget
from splitbrain.checkers.linearizability.model import Call
from splitbrain.checkers.linearizability.models.containers import FifoQueue, SetModel
from splitbrain.checkers.linearizability.polynomial import grow_sets, memberships, priority_queues, queues, stacks
from splitbrain.checkers.linearizability.polynomial.deadlines import Evidence, deadlines
from splitbrain.checkers.linearizability.polynomial.lifetimes import Lifetime, Presence
from splitbrain.checkers.linearizability.search import search
from tests.checkers.linearizability.polynomial.calls import add, contains, dequeue, enqueue, pop, push, read, remove


def _present(inside: int, leaving: int) -> Lifetime:
    """A value surely inside from the one event to the other."""
    return Lifetime.of(inside, enqueue(inside, inside - 1, inside), dequeue(inside, leaving, leaving + 1))


def test_presence_and_its_covers_agree_with_a_scan_of_every_moment() -> None:
    random = Random(1)
    for _ in range(500):
        spans = [sorted(random.sample(range(12), 2)) for _ in range(random.randint(0, 6))]
        presence = Presence([_present(first, last) for first, last in spans])
        for start in range(12):
            for stop in range(start + 1, 13):
                covered = all(any(a <= moment < b for a, b in spans) for moment in range(start, stop))
                assert presence.always(start, stop) is covered
                if covered:
                    cover = [(each.inside, each.leaving) for each in presence.cover(start, stop)]
                    assert all(any(a <= moment < b for a, b in cover) for moment in range(start, stop))
                    # The fewest: no two that are not neighbours touch.
                    assert all(cover[at + 2][0] > cover[at][1] for at in range(len(cover) - 2))


def test_a_deadline_is_the_soonest_that_the_evidence_about_a_value_sets() -> None:
    random = Random(2)
    for _ in range(500):
        left = [_present(2 * at + 1, 99) for at in range(random.randint(1, 5))]
        keys = {each.begin: random.randrange(6) for each in left}
        sights = [
            Evidence(random.randrange(6), random.randrange(12), before, ()) for before in random.sample(range(50), 6)
        ]
        naive = {}
        for each in left:
            options = [s.before for s in sights if s.key < keys[each.begin] and s.since >= each.inside]
            if options:
                naive[each.begin] = min(options)
        found = deadlines(left, lambda each: keys[each.begin], sights)
        assert {each.begin: sight.before for sight, each in found} == naive
        assert [sight.before for sight, _ in found] == sorted(naive.values())


def test_a_minimal_conflicting_subset_has_no_conflict_without_any_one_of_it() -> None:
    random = Random(3)
    for _ in range(300):
        cores = [set(random.sample(range(20), random.randint(1, 4))) for _ in range(3)]

        def wrong(some: object) -> bool:
            return any(core <= set(some) for core in cores)  # type: ignore[call-overload]

        few = pruned(range(20), wrong)
        assert wrong(few)
        assert few == sorted(few)
        assert not any(wrong([each for each in few if each != out]) for out in few)


NOTHING_SAID = {
    "a value enqueued twice": queues.judge([enqueue(1, 0, 1), enqueue(1, 2, 3)]),
    "a value pushed twice, once by a crashed call": stacks.judge([push(1, 0, 1), push(1, 2)]),
    "a whole read of a set that elements are removed from": memberships.judge(
        [add(1, 0, 1), remove(1, 2, 3), read([], 4, 5)], SetModel(), Budget()
    ),
    "contains beside whole reads": grow_sets.judge([add(1, 0, 1), contains(1, True, 2, 3), read([1], 4, 5)]),
}


@pytest.mark.parametrize("case", NOTHING_SAID)
def test_the_verdict_is_left_to_the_search_for(case: str) -> None:
    assert NOTHING_SAID[case] is None


def test_a_stack_was_found_empty_for_a_crashed_pop_had_taken_what_was_on_it() -> None:
    calls = [push(1, 0, 1), pop(None, 2), pop(None, 3, 4)]
    found = stacks.judge(calls)
    assert found is not None and found.linearizable


def test_crashed_removals_are_assigned_to_the_values_that_must_have_left() -> None:
    # The least value first: 1 and 2 had to go before 3 could, 4 is still there.
    calls = [
        *(enqueue(value, 2 * at, 2 * at + 1) for at, value in enumerate((3, 4, 1, 2))),
        dequeue(None, 8),
        dequeue(None, 9),
        dequeue(3, 10, 11),
    ]
    found = priority_queues.judge(calls)
    assert found is not None and found.linearizable
    short = [call for call in calls if call.invoked != 9]
    found = priority_queues.judge(short)
    assert found is not None and not found.linearizable
    assert (
        "1 and 2 must have left before event 11 and no call answered them, but only 1 indeterminate call" in found.text
    )
    assert [call.invoked for call in found.calls] == [0, 4, 6, 8, 10]


def test_a_crashed_insertion_whose_value_was_never_removed_is_left_out() -> None:
    assert stacks.judge([push(1, 0), pop(None, 1, 2)]) == queues.judge([enqueue(1, 0), dequeue(None, 1, 2)])
    found = stacks.judge([push(1, 0), pop(None, 1, 2)])
    assert found is not None and found.linearizable


def test_adds_of_one_element_count_as_one() -> None:
    # The second add of 1 returned first; a read after it that lacks 1 is wrong, one beside it is not.
    adds = [add(1, 0, 6), add(1, 1, 3)]
    late, beside = grow_sets.judge([*adds, read([], 4, 5)]), grow_sets.judge([*adds, read([], 2, 5)])
    assert late is not None and not late.linearizable
    assert [call.invoked for call in late.calls] == [1, 4]
    assert beside is not None and beside.linearizable


def test_an_element_that_was_acknowledged_and_never_read_comes_after_all_reads() -> None:
    fine = grow_sets.judge([add(1, 0, 4), add(2, 1, 5), read([2], 2, 3)])
    assert fine is not None and fine.linearizable


def test_each_finding_holds_a_call_once() -> None:
    """One crashed dequeue stands for the end of both values that cover the one that found nothing."""
    calls = [enqueue(1, 0, 1), enqueue(2, 2, 3), dequeue(None, 4, 5), dequeue(None, 6)]
    found = queues.judge(calls)
    assert found is not None and not found.linearizable
    invoked = [call.invoked for call in found.calls]
    assert len(set(invoked)) == len(invoked)


def _relays(pairs: int) -> list[Call]:
    """A stack on which always two values wait for each other: a cycle through all of them."""
    calls: list[Call] = []
    for at in range(pairs):
        start = 10 * at
        calls += [push(2 * at, start, start + 1), push(2 * at + 1, start + 2, start + 3)]
        calls += [pop(2 * at, start + 4, start + 5), pop(2 * at + 1, start + 6, start + 7)]
    return calls


def test_of_many_values_that_cannot_be_peeled_a_finding_names_two() -> None:
    found = stacks.judge(_relays(60))
    assert found is not None and not found.linearizable
    assert len(found.calls) == 4


def test_of_many_calls_about_one_element_a_finding_names_those_that_show_it() -> None:
    calls = []
    for at in range(0, 400, 4):
        calls += [add(1, at, at + 1), remove(1, at + 2, at + 3)]
    calls += [add(1, 400, 401), contains(2, False, 402, 403), contains(1, False, 404, 405)]
    found = memberships.judge(calls, SetModel(), Budget())
    assert found is not None and not found.linearizable
    # The last remove was over before the last add began; nothing else could have taken 1 out.
    assert [call.invoked for call in found.calls] == [400, 404]


def test_a_crashed_dequeue_and_a_queue_found_empty_can_leave_the_verdict_to_the_search() -> None:
    """The crashed dequeue came when 1 and 2 were both inside, and took one of them at most: never empty after that, nor
    before. But at which moment the queue would have been empty, and so which values had a deadline, was left open."""
    calls = [
        enqueue(1, 0, 2),
        enqueue(2, 1, 4),
        dequeue(None, 3, 8),
        dequeue(None, 5),
        enqueue(3, 6, 7),
    ]
    assert queues.judge(calls) is None
    assert search(calls, FifoQueue(), Budget()).linearizable is False
