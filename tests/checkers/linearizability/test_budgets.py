"""Budgets of the whole check, and its workers: what could not be decided says how far it came."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import check
from splitbrain.checkers.verdict import Outcome
from tests.checkers.linearizability.several_keys import STALE, hard, numbered
from tests.checkers.linearizability.timeline import recorded

# Budgets.


def test_what_could_not_be_decided_says_how_far_it_came() -> None:
    verdict = check(numbered(hard()), model="counter", memory_mb=1)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "the memory limit of 1 MB was reached on h, after 1 of 24 operations" in verdict.reason
    assert verdict.evidence["undecided"] == 1
    assert verdict.evidence["by_part"]["h"]["linearizable"] is None
    assert verdict.evidence["by_part"]["h"]["returns_ordered"] == 1
    assert verdict.evidence["by_part"]["h"]["stopped"] == "the memory limit of 1 MB was reached"
    assert verdict.evidence["explored"] > 1_000


def test_an_invalid_key_outranks_an_undecided_one() -> None:
    wrong = [Event(0, 0, 0, "invoke", "read", "w"), Event(1, 1, 0, "ok", "read", "w", 5)]
    verdict = check(numbered(hard(), wrong), model="counter", memory_mb=1)
    assert verdict.outcome is Outcome.INVALID
    assert (verdict.evidence["not_linearizable"], verdict.evidence["undecided"]) == (1, 1)
    assert {call["key"] for call in verdict.witness.data["calls"]} == {"w"} if verdict.witness else False


def test_an_undecided_key_outranks_a_valid_one_which_is_counted() -> None:
    fine = [Event(0, 0, 0, "invoke", "read", "w"), Event(1, 1, 0, "ok", "read", "w", 0)]
    verdict = check(numbered(hard(), fine), model="counter", memory_mb=1)
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.reason.endswith("; 1 of 2 keys decided")
    assert verdict.evidence["linearizable"] == 1


def test_no_time_at_all_is_a_verdict_too() -> None:
    assert check(numbered(hard(16)), model="counter", timeout_s=1e-9).outcome is Outcome.UNKNOWN


# Workers.


@pytest.mark.parametrize("make", [partial(ThreadPoolExecutor, 2), partial(ProcessPoolExecutor, 2)])
def test_workers_reach_the_verdict_that_one_process_reaches(make: Callable[[], Executor]) -> None:
    crowd = [
        Event(4 * n + step, n, n, type_, f, f"k{n % 5}", value)  # type: ignore[arg-type]
        for n in range(20)
        for step, (type_, f, value) in enumerate(
            [("invoke", "write", n), ("ok", "write", n), ("invoke", "read", None), ("ok", "read", n if n % 7 else True)]
        )
    ]
    histories = [recorded(STALE), History(crowd), numbered(hard(18), hard(8, "easier"))]
    with make() as executor:
        for each, model in zip(histories, ("register", "cas-register", "counter"), strict=True):
            alone = check(each, model=model, memory_mb=1)
            assert check(each, model=model, memory_mb=1, executor=executor).as_dict() == alone.as_dict()


# Memory.


def test_states_that_grow_count_toward_the_memory() -> None:
    """Three thousand elements a state, and every order of twenty adds and removes: it took gigabytes and said 250 bytes."""
    events: list[Event] = []

    def both(process: int, f: str, value: Any, result: Any) -> None:
        events.append(Event(len(events), len(events), process, "invoke", f, None, value))
        events.append(Event(len(events), len(events), process, "ok", f, None, result))

    for element in range(3000):
        both(0, "add", element, element)
    both(0, "remove", 0, 0)
    for process in range(1, 21):
        f = "add" if process % 2 else "remove"
        events.append(Event(len(events), len(events), process, "invoke", f, None, 5000 + process))
    for process in range(1, 21):
        f = "add" if process % 2 else "remove"
        events.append(Event(len(events), len(events), process, "ok", f, None, 5000 + process))
    both(0, "read", None, [])
    tracemalloc.start()
    verdict = check(History(events), model="set", memory_mb=30)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert verdict.outcome in ("unknown", "invalid")
    assert most < 120e6
