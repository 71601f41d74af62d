"""The whole check: parts, what is said where nothing can be said, budgets, workers, models of one's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from splitbrain.checkers.histories.event import Event, HistoryError, encode
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import MODELS, Call, Model, check
from splitbrain.checkers.verdict import Outcome, Verdict
from tests.checkers.linearizability.objects import KINDS, history
from tests.checkers.linearizability.timeline import recorded

ROOT = Path(__file__).parents[3]

STALE = """
    a: write 1      |-|
    a: write 2          |-|
    a: read -> 1            |-|
    b: write 7       |-----|
    b: read -> 7                |-|
    c: write 1                      |-|
    c: read -> 3                        |-|
    """


def hard(open_: int = 22, key: str = "h") -> list[Event]:
    """A counter with one harmless read, and then one that shows what no subset of the open adds comes to."""
    asked = [("add", 3**n) for n in range(open_)] + [("read", None)]
    events = [
        ("invoke", 99, "read", None),
        ("ok", 99, "read", 0),
        *(("invoke", n, f, argument) for n, (f, argument) in enumerate(asked)),
        ("ok", open_, "read", 3**open_),
        *(("ok", n, "add", 3**n) for n in range(open_)),
    ]
    return [Event(n, n, process, type_, f, key, value) for n, (type_, process, f, value) in enumerate(events)]  # type: ignore[arg-type]


def numbered(*groups: Sequence[Event]) -> History:
    """Events one group after the other, with processes of their own."""
    events: list[Event] = []
    for group_number, group in enumerate(groups):
        for event in group:
            assert isinstance(event.process, int)
            at = len(events)
            events.append(
                msgspec.structs.replace(event, index=at, time=at, process=event.process + 1000 * group_number)
            )
    return History(events)


# Parts.


def test_parts_are_judged_separately_and_counted() -> None:
    verdict = check(recorded(STALE), model="register")
    assert verdict.outcome is Outcome.INVALID
    assert {field: verdict.evidence[field] for field in ("model", "operations", "parts", "linearizable", "not_linearizable", "undecided")} == {
        "model": "register",
        "operations": 7,
        "parts": 3,
        "linearizable": 1,
        "not_linearizable": 2,
        "undecided": 0,
    }  # fmt: skip
    assert set(verdict.evidence["by_part"]) == {"a", "c"}
    assert verdict.evidence["by_part"]["a"]["operations"] == 3


def test_the_witness_is_of_the_key_that_went_wrong_first() -> None:
    verdict = check(recorded(STALE), model="register")
    assert verdict.witness is not None
    assert {call["key"] for call in verdict.witness.data["calls"]} == {"a"}
    later = STALE.replace("a: read -> 1            |-|", "a: read -> 1" + " " * 40 + "|-|")
    verdict = check(recorded(later), model="register")
    assert verdict.witness is not None
    assert {call["key"] for call in verdict.witness.data["calls"]} == {"c"}


def test_the_same_operations_on_one_key_are_not_linearizable_where_on_two_they_are() -> None:
    drawing = """
        a: write 1     |-|
        b: write 2         |-|
        a: read -> 1           |-|
        """
    assert check(recorded(drawing), model="register").outcome is Outcome.VALID
    assert check(recorded(drawing.replace("b:", "a:")), model="register").outcome is Outcome.INVALID
    assert check(recorded(drawing.replace("a: ", "").replace("b: ", "")), model="register").outcome is Outcome.INVALID


def test_a_key_that_is_a_number_and_one_that_is_its_text_are_two() -> None:
    events = [
        Event(0, 0, 0, "invoke", "read", 1),
        Event(1, 1, 0, "ok", "read", 1, 5),
        Event(2, 2, 0, "invoke", "read", "1"),
        Event(3, 3, 0, "ok", "read", "1", 6),
    ]
    verdict = check(History(events), model="register")
    assert verdict.evidence["not_linearizable"] == 2
    assert len(verdict.evidence["by_part"]) == 2


def test_what_is_listed_is_bounded_and_what_is_counted_is_not() -> None:
    events = []
    for key in range(150):
        events += [Event(2 * key, key, key, "invoke", "read", key), Event(2 * key + 1, key, key, "ok", "read", key, 5)]
    verdict = check(History(events), model="register")
    assert verdict.evidence["not_linearizable"] == 150
    assert len(verdict.evidence["by_part"]) == 100
    assert len(verdict.reason) < 200


# Nothing to judge.


def reason_of_unknown(drawing: str, model: str) -> str:
    verdict = check(recorded(drawing), model=model)
    assert verdict.outcome is Outcome.UNKNOWN
    return verdict.reason


@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_history_without_operations_is_unknown(model: str) -> None:
    verdict = check(History([]), model=model)
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.reason == f"no operation of a {model} was completed, so nothing was observed"


def test_a_history_of_which_nothing_was_completed_is_unknown() -> None:
    assert reason_of_unknown("write 1  |...\nread     |...".replace("read ", " read "), "register").startswith("no operation of a register was completed")  # fmt: skip
    failed = [Event(0, 0, 0, "invoke", "write", None, 1), Event(1, 1, 0, "fail", "write", None, 1)]
    assert check(History(failed), model="register").outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("model", "drawing"),
    [
        ("register", "write 1  |-|\nwrite 2      |-|"),
        ("cas-register", "write 1  |-|\ncas [1, 2]      |..."),
        ("kv", 'a: put "x"  |-|\na: append "y"    |-|'),
        ("counter", "add 1  |-|\nadd 2      |-|"),
        ("multi-register", 'txn [["w", "x", 1]] -> [["w", "x", 1]]  |-|'),
    ],
)
def test_a_history_in_which_nothing_was_read_is_unknown(model: str, drawing: str) -> None:
    assert reason_of_unknown(drawing, model).startswith("nothing was read")


def test_one_answer_that_depends_on_others_is_enough_to_judge() -> None:
    assert check(recorded("read -> null  |-|"), model="register").outcome is Outcome.VALID
    assert check(recorded("cas [null, 1]  |-|"), model="cas-register").outcome is Outcome.VALID
    assert check(recorded("cas! [1, 2]  |-|"), model="cas-register").outcome is Outcome.VALID
    assert check(recorded("acquire  |-|"), model="mutex").outcome is Outcome.VALID


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


# The same words every time.

_CHILD = """
import json, sys
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import check
history = History.parse(sys.stdin.buffer)
print(json.dumps(check(history, model=sys.argv[1], memory_mb=1).as_dict()))
"""


def _said(history: History, model: str, seed: str) -> Any:
    ran = subprocess.run(
        [sys.executable, "-c", _CHILD, model],
        input=b"".join(map(encode, history.events)),
        capture_output=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    return ran.stdout


def _wrong_in_several_keys(model: str, seed: int) -> History:
    kind = KINDS[model]
    return numbered(
        *(
            [
                msgspec.structs.replace(event, key=f"key-{number}")
                for event in history(Random(seed + number), kind, operations=12).events
            ]
            for number in range(40)
        )
    )


@pytest.mark.parametrize("model", ["cas-register", "kv", "multi-register"])
def test_the_verdict_is_word_for_word_the_same_whatever_the_hash_seed(model: str) -> None:
    recorded_ = _wrong_in_several_keys(model, 7)
    if model != "multi-register":  # Words for values, whose hashes differ from run to run.
        words = {0: "zero", 1: "one", 2: "two"}
        events = [msgspec.structs.replace(e, value=_worded(e.value, words)) for e in recorded_.events]
        recorded_ = History(events)
    one, other = (_said(recorded_, model, seed) for seed in ("0", "1234"))
    assert one == other
    found = json.loads(one)
    assert found["verdict"] == "invalid"
    assert found["not_linearizable"] >= 2


def _worded(value: Any, words: dict[int, str]) -> Any:
    if isinstance(value, list):
        return [_worded(each, words) for each in value]
    return words.get(value, value) if type(value) is int else value


def test_a_valid_verdict_says_what_was_judged() -> None:
    verdict: Verdict = check(
        recorded("a: write 1  |-|\na: read -> 1    |-|\nb: read -> null        |-|"), model="register"
    )
    assert verdict.reason == "linearizable as a register: 3 operations on 2 keys"
    assert verdict.witness is None


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
