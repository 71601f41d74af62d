"""The models beside what Python has, and what their hints promise."""

from __future__ import annotations

import heapq
from collections import deque
from random import Random
from typing import Any

import pytest

from splitbrain.checkers.histories.event import Event, HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.model import Call, Model, State
from splitbrain.checkers.linearizability.models.containers import FifoQueue, PriorityQueue, SetModel, Stack
from tests.checkers.linearizability.polynomial.calls import add, contains, dequeue, enqueue, pop, push, read, remove

SEQUENTIAL = [(FifoQueue(), enqueue, dequeue), (PriorityQueue(), enqueue, dequeue), (Stack(), push, pop)]
NAMES = [model.name for model, _, _ in SEQUENTIAL]


class Naive:
    """A queue or stack as anyone would write it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heap: list[int] = []
        self.line: deque[int] = deque()

    def put(self, value: int) -> None:
        if self.name == "priority-queue":
            heapq.heappush(self.heap, value)
        else:
            self.line.append(value)

    def take(self) -> int | None:
        if self.name == "priority-queue":
            return heapq.heappop(self.heap) if self.heap else None
        if not self.line:
            return None
        return self.line.popleft() if self.name == "fifo-queue" else self.line.pop()


@pytest.mark.parametrize(("model", "put", "take"), SEQUENTIAL, ids=NAMES)
def test_a_queue_or_stack_answers_what_a_naive_one_does_and_nothing_else(model: Model, put: Any, take: Any) -> None:
    random = Random(7)
    for _ in range(200):
        naive, state = Naive(model.name), model.initial
        for at in range(0, 60, 2):
            if random.random() < 0.55:
                value = random.randrange(9)  # Values come again.
                naive.put(value)
                (state,) = model.step(state, put(value, at, at + 1))
                continue
            answer = naive.take()
            wrong = random.choice([each for each in (None, *range(10)) if each != answer])
            assert model.step(state, take(wrong, at, at + 1)) == ()
            (crashed,) = model.step(state, take(None, at))
            (state,) = model.step(state, take(answer, at, at + 1))
            assert crashed == state


def test_a_set_answers_what_a_python_set_does_and_nothing_else() -> None:
    random, model = Random(7), SetModel()
    for _ in range(200):
        naive: set[int] = set()
        state: State = model.initial
        for at in range(0, 60, 2):
            value = random.randrange(5)
            if random.random() < 0.3:
                naive.add(value)
                (state,) = model.step(state, random.choice((add(value, at, at + 1), add(value, at))))
            elif random.random() < 0.3:
                naive.discard(value)
                (state,) = model.step(state, random.choice((remove(value, at, at + 1), remove(value, at))))
            there = value in naive
            answer = sorted(naive, reverse=random.random() < 0.5)
            assert model.step(state, contains(value, there, at, at + 1)) == (state,)
            assert model.step(state, contains(value, not there, at, at + 1)) == ()
            assert model.step(state, contains(value, not there, at)) == (state,)
            assert model.step(state, read(answer, at, at + 1)) == (state,)
            assert model.step(state, read([*answer, 9], at, at + 1)) == ()
            assert model.step(state, read([*answer[1:], 9], at, at + 1)) == ()
            assert model.step(state, read(None, at)) == (state,)
            if answer:
                assert model.step(state, read([*answer, answer[0]], at, at + 1)) == ()
                assert model.step(state, read([answer[0], *answer[:-1]], at, at + 1)) == (
                    (state,) if len(answer) == 1 else ()
                )


def test_true_is_another_element_than_1() -> None:
    model = SetModel()
    (state,) = model.step(model.initial, add(1, 0, 1))
    assert model.step(state, contains(True, False, 2, 3)) == (state,)
    assert model.step(state, read([True], 2, 3)) == ()
    for model_, put, take in SEQUENTIAL:
        (state,) = model_.step(model_.initial, put(1, 0, 1))
        assert model_.step(state, take(True, 2, 3)) == ()


def _calls(model: Model) -> list[Call]:
    if isinstance(model, SetModel):
        answers = [read(answer, 0, 1) for answer in ([], [1], [1, 2])]
        return [
            add(1, 0, 1),
            add(2, 0, 1),
            remove(1, 0, 1),
            contains(1, True, 0, 1),
            contains(1, False, 0, 1),
            *answers,
        ]
    _, put, take = next(each for each in SEQUENTIAL if each[0].name == model.name)
    return [put(1, 0, 1), put(2, 0, 1), put(2, 0), take(1, 0, 1), take(2, 0, 1), take(None, 0, 1), take(None, 0)]


def _states(model: Model) -> set[State]:
    """All that three calls can leave."""
    found = {model.initial}
    for _ in range(3):
        found |= {after for state in found for call in _calls(model) for after in model.step(state, call)}
    return found


@pytest.mark.parametrize("model", [SetModel(), FifoQueue(), PriorityQueue(), Stack()], ids=lambda model: model.name)
def test_the_hints_of_a_container_hold_in_every_state(model: Model) -> None:
    states = _states(model)
    assert len(states) > 3
    commuting = [call for call in _calls(model) if model.commutes(call)]
    for state in states:
        for call in _calls(model):
            if model.read_only(call):
                assert set(model.step(state, call)) <= {state}
        for one in commuting:
            for other in commuting:
                (here,) = model.step(state, one)
                (there,) = model.step(state, other)
                assert model.step(here, other) == model.step(there, one)


def test_the_hints_name_the_calls_that_make_a_search_fast() -> None:
    assert [SetModel().read_only(call) for call in (read([], 0, 1), contains(1, True, 0, 1), add(1, 0, 1))] == [1, 1, 0]
    assert FifoQueue().read_only(dequeue(None, 0, 1)) and not FifoQueue().read_only(dequeue(None, 0))
    assert SetModel().commutes(add(1, 0, 1)) and not SetModel().commutes(remove(1, 0, 1))
    assert PriorityQueue().commutes(enqueue(1, 0, 1)) and not FifoQueue().commutes(enqueue(1, 0, 1))


MALFORMED = [
    (SetModel(), "read", None, 7, "a read answers the list of all elements, not 7"),
    (SetModel(), "read", None, None, "a read answers the list of all elements, not null"),
    (SetModel(), "contains", 1, 1, "a contains answers true or false, not 1"),
    (FifoQueue(), "enqueue", None, None, "enqueue of null, which is what an empty fifo-queue answers"),
    (Stack(), "push", None, None, "push of null, which is what an empty stack answers"),
    (PriorityQueue(), "enqueue", "a", "a", 'a priority queue holds whole numbers, each its own priority, not "a"'),
    (PriorityQueue(), "enqueue", True, True, "a priority queue holds whole numbers"),
    (PriorityQueue(), "enqueue", 1.5, 1.5, "a priority queue holds whole numbers"),
]


@pytest.mark.parametrize(("model", "f", "argument", "answer", "problem"), MALFORMED)
def test_a_call_of_the_wrong_shape_is_refused(model: Model, f: str, argument: Any, answer: Any, problem: str) -> None:
    events = (Event(0, 0, 0, "invoke", f, None, argument), Event(1, 1, 0, "ok", f, None, answer))
    with pytest.raises(HistoryError) as refused:
        calls_of(History(events), model)
    assert refused.value.line == 1
    assert problem in refused.value.problem


def test_a_list_is_an_element_like_any_other() -> None:
    model = FifoQueue()
    (state,) = model.step((), enqueue([1, {"a": []}], 0, 1))
    assert model.step(state, dequeue([1, {"a": []}], 2, 3)) == ((),)


def test_a_set_is_described_in_the_same_order_whatever_the_hashes_of_its_strings() -> None:
    assert SetModel().describe(frozenset({"b", "a", 10, 9})) == '{"a", "b", 10 and 9}'


def test_a_queue_is_described_from_the_element_that_leaves_next() -> None:
    model = PriorityQueue()
    state = model.initial
    for value in (3, 1, 2):
        (state,) = model.step(state, enqueue(value, 0, 1))
    assert model.describe(state) == "[1, 2, 3]"
    assert model.describe(tuple(range(25))).endswith("18, 19, 5 more]")
