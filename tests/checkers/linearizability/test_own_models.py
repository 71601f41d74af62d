"""Models of a user's own, models inferred from the operations, and models that are refused."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from splitbrain.checkers.histories.event import Event, HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import Call, Model, check
from splitbrain.checkers.verdict import Outcome
from tests.checkers.linearizability.timeline import recorded

# Models.


class Latch(Model):
    """Set once. The first set answers "won", and later ones "lost"."""

    name = "latch"
    initial = False
    fs = frozenset({"set", "peek"})

    def step(self, state: Any, call: Call) -> Sequence[Any]:
        if call.f == "set":
            return (True,) if not call.known or call.result == ("won" if not state else "lost") else ()
        return (state,) if not call.known or call.result == ("set" if state else "unset") else ()


class Lottery(Model):
    """A draw leaves one of the numbers given, and a look shows which."""

    name = "lottery"

    def step(self, state: Any, call: Call) -> Sequence[Any]:
        if call.f == "draw":
            return call.argument  # type: ignore[no-any-return]
        return (state,) if state == call.result else ()


def test_a_model_of_ones_own_takes_a_dozen_lines() -> None:
    drawing = """
        set -> "won"        |--------|
        set -> "lost"         |--------|
        peek -> "set"                     |-|
        """
    verdict = check(recorded(drawing), model=Latch())
    assert verdict.outcome is Outcome.VALID
    assert verdict.evidence["model"] == "latch"
    verdict = check(recorded(drawing.replace("lost", "won")), model=Latch())
    assert verdict.outcome is Outcome.INVALID
    assert "latch" in verdict.reason
    with pytest.raises(HistoryError, match="line 1: a latch has no operation 'reset'; it has peek, set"):
        check(recorded("reset  |-|"), model=Latch())


def test_a_model_of_ones_own_may_be_free_to_choose() -> None:
    drawing = """
        draw [1, 2, 3]     |-|
        look -> 2              |-|
        look -> 2                  |-|
        draw [4, 5]                    |-|
        look -> 5                          |-|
        """
    assert check(recorded(drawing), model=Lottery()).outcome is Outcome.VALID
    # It chose once: two looks at one draw agree.
    assert check(recorded(drawing.replace("look -> 2              |-|", "look -> 3              |-|")), model=Lottery()).outcome is Outcome.INVALID  # fmt: skip
    assert check(recorded(drawing.replace("look -> 5", "look -> 3")), model=Lottery()).outcome is Outcome.INVALID


def test_a_model_of_ones_own_judges_with_workers_if_it_can_be_pickled() -> None:
    drawing = 'a: set -> "won"  |-|\nb: set -> "won"     |-|\nb: set -> "won"         |-|'
    with ProcessPoolExecutor(2) as executor:
        verdict = check(recorded(drawing), model=Latch(), executor=executor)
    assert verdict.evidence["by_part"].keys() == {"b"}


class Pair(Model):
    """Two cells at a key, judged apart: the part is the cell's name."""

    name = "pair"
    initial = 0

    def part(self, call: Call) -> Any:
        return call.key, call.argument[0]

    def step(self, state: Any, call: Call) -> Sequence[Any]:
        return (call.argument[1],) if call.f == "set" or state == call.argument[1] else ()


def test_a_model_may_split_the_history_by_something_else_than_keys() -> None:
    drawing = """
        k: set ["left", 1]       |-|
        k: set ["right", 2]          |-|
        k: get ["left", 1]               |-|
        """
    verdict = check(recorded(drawing), model=Pair())
    assert (verdict.outcome, verdict.evidence["parts"]) == (Outcome.VALID, 2)
    verdict = check(recorded(drawing.replace('"right"', '"left"')), model=Pair())
    assert (verdict.outcome, verdict.evidence["parts"]) == (Outcome.INVALID, 1)


@pytest.mark.parametrize(
    ("drawing", "model"),
    [
        ("read -> null  |-|", "register"),
        ("write 1  |-|\nread -> 1    |-|", "register"),
        ("write 1  |-|\ncas [1, 2]    |-|", "cas-register"),
        ('txn [["r", "x", null]] -> [["r", "x", null]]  |-|', "multi-register"),
        ('put "a"  |-|\nget -> "a"     |-|', "kv"),
        ('append "a"  |-|\nget -> "a"     |-|', "kv"),
        ("add 1  |-|\nread -> 1     |-|", "counter"),
        ("add 1  |-|\nread -> [1]     |-|", "set"),
        ("acquire  |-|\nrelease     |-|", "mutex"),
        ("acquire  |-|\nreplica     |-|", "mutex"),
    ],
)
def test_without_a_name_the_model_is_inferred_from_the_operations(drawing: str, model: str) -> None:
    assert check(recorded(drawing)).evidence["model"] == model


def test_where_no_model_has_the_operations_those_that_exist_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"no model has all of acquire and write; name one of register, cas-register, .*or your own"
    ):
        check(recorded("acquire  |-|\nwrite 1     |-|"))


def test_a_model_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(
        ValueError, match=r"there is no model 'registre'; there are register, cas-register, multi-register, kv"
    ):
        check(recorded("read -> null  |-|"), model="registre")


# Steps.


class Yielding(Model):
    """Its step is a generator, as a beginner's may be."""

    name = "yielding"

    def step(self, state: object, call: Call) -> Any:
        if call.f == "write":
            yield call.argument
        elif call.result == state:
            yield state

    def read_only(self, call: Call) -> bool:
        return call.f == "read"


@pytest.mark.parametrize(("answer", "outcome"), [(1, "valid"), (2, "invalid")])
def test_a_step_may_yield_its_states(answer: int, outcome: str) -> None:
    """A generator is true whatever it yields, and yields it once: every read matched, and then none."""
    events = []
    for turn in range(5):
        for f, value in (("write", 1), ("read", answer if turn == 4 else 1)):
            events.append(Event(len(events), len(events), 0, "invoke", f, None, value if f == "write" else None))
            events.append(Event(len(events), len(events), 0, "ok", f, None, value))
    assert check(History(events), model=Yielding()).outcome == outcome


@pytest.mark.parametrize(
    ("returned", "told"),
    [(None, "returned None from step at read null, answered 1"), ("abc", "returned 'abc' from step")],
)
def test_a_step_that_returns_no_states_is_refused_by_name(returned: object, told: str) -> None:
    class Wrong(Model):
        name = "wrong"

        def step(self, state: object, call: Call) -> Any:
            return returned

    events = [Event(0, 0, 0, "invoke", "read"), Event(1, 1, 0, "ok", "read", None, 1)]
    with pytest.raises(ValueError, match="the model 'wrong' " + told):
        check(History(events), model=Wrong())


def test_a_step_that_fails_is_reported_with_the_call_it_failed_at() -> None:
    class Failing(Model):
        name = "failing"

        def step(self, state: object, call: Call) -> Any:
            raise KeyError("x")

    events = [Event(0, 0, 0, "invoke", "read"), Event(1, 1, 0, "ok", "read", None, 1)]
    with pytest.raises(ValueError, match="the model 'failing' failed at read null, answered 1: KeyError: 'x'"):
        check(History(events), model=Failing())
