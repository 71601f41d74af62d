"""The time limit covers the search, the workers and the witness. Looks at the clock are counted, not timed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from splitbrain.checkers import budget as budgets
from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import MODELS, Call, Model, check
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.frozen_values import TRUE
from splitbrain.checkers.linearizability.linearizable import Judgement, judge, why
from splitbrain.checkers.linearizability.model import Finding, State
from splitbrain.checkers.linearizability.models.containers import SetModel
from splitbrain.checkers.linearizability.polynomial import memberships
from splitbrain.checkers.verdict import Outcome

LIMIT_S = 60.0
_LATE_MAX = 6
"""Looks after the limit in which a check of one part must end: a few for each of its stages, however large it is."""


class Clock:
    """It stands still for so many looks, and is beyond the limit from then on."""

    def __init__(self, looks: int) -> None:
        self.left = looks
        self.late = 0
        self._now = time.monotonic()

    def __call__(self) -> float:
        if self.left > 0:
            self.left -= 1
            return self._now
        self.late += 1
        return self._now + 10 * LIMIT_S


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def adds_and_a_wrong_read(adds: int) -> list[tuple[int, str, str, int | None]]:
    """A counter whose open adds may come to any sum but the one that is read; many subsets, and much to leave out."""
    events: list[tuple[int, str, str, int | None]] = []
    for _ in range(30):
        events += [(99, "invoke", "read", None), (99, "ok", "read", 0)]
    events += [(n, "invoke", "add", 3**n) for n in range(adds)]
    events += [(99, "invoke", "read", None), (99, "ok", "read", 2)]
    return events


def recorded(events: Sequence[tuple[int, str, str, int | None]]) -> History:
    return History(
        [Event(at, at, process, type_, f, "k", value) for at, (process, type_, f, value) in enumerate(events)]
    )  # type: ignore[arg-type]


def test_a_check_ends_soon_after_the_limit_whatever_it_is_doing_by_then(
    monkeypatch: pytest.MonkeyPatch, threads: Executor
) -> None:
    """The limit comes at every look there is: before the search, in it, and while the witness is made smaller."""
    history = recorded(adds_and_a_wrong_read(7))
    for executor in (None, threads):
        outcomes = set()
        for looks in range(1_000):
            clock = Clock(looks)
            monkeypatch.setattr(budgets, "time", SimpleNamespace(monotonic=clock))
            verdict = check(history, model="counter", timeout_s=LIMIT_S, executor=executor)
            monkeypatch.undo()
            outcomes.add(verdict.outcome)
            assert clock.late <= _LATE_MAX, f"{clock.late} looks after the limit, which came after {looks}"
            if not clock.late:
                break
        else:
            pytest.fail("the limit was always reached")
        assert outcomes == {Outcome.UNKNOWN, Outcome.INVALID}


class Stuck(Model):
    """A model whose step never returns until it is let go."""

    name = "stuck"
    let_go = threading.Event()

    def step(self, state: State, call: Call) -> Sequence[State]:
        self.let_go.wait()
        return (state,)


def test_a_worker_that_does_not_come_back_is_not_waited_for(threads: Executor) -> None:
    try:
        verdict = check(
            recorded([(0, "invoke", "f", 1), (0, "ok", "f", 1)]), model=Stuck(), timeout_s=0.01, executor=threads
        )
    finally:
        Stuck.let_go.set()
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.reason.startswith("the time limit of 0.01 s was reached on k")


def test_a_verdict_whose_witness_is_not_found_again_in_time_names_the_call_that_has_no_place() -> None:
    """What a worker found is too large to be sent at times; it was searched for again without a limit."""
    (calls,) = calls_of(recorded(adds_and_a_wrong_read(6)), MODELS["counter"]).values()
    judged = judge(calls, MODELS["counter"], Budget())
    sent = Judgement(judged.linearizable, judged.calls, judged.returns, judged.explored, certain=judged.certain)
    assert why(calls, MODELS["counter"], sent, Budget()) == why(calls, MODELS["counter"], judged, Budget())
    late = why(calls, MODELS["counter"], sent, Budget(timeout_s=1e-9))
    assert [(call.f, call.result) for call in late.core] == [("read", 2)]
    assert "has a place for read -> 2; which of them suffice to show it, was not found in time" in late.text


def test_the_elements_of_a_set_share_one_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each had a budget of its own, so that a set of many elements took that much for each of them."""
    calls: list[Call] = []
    for element in range(40):
        calls.append(Call("add", element, None, True, False, len(calls), 9_000 + len(calls)))
        calls.append(Call("contains", element, TRUE, True, False, len(calls), 8_000 + len(calls)))
    assert memberships.judge(calls, SetModel(), Budget(LIMIT_S)) == Finding(True)
    clock = Clock(3)
    budget = Budget(LIMIT_S)
    monkeypatch.setattr(budgets, "time", SimpleNamespace(monotonic=clock))
    found = memberships.judge(calls, SetModel(), budget)
    monkeypatch.undo()
    assert found is None
    assert clock.late >= 40
