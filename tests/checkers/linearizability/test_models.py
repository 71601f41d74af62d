"""The models: their steps in tables worked out by hand, the promises of their hints, and what they refuse."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.event import Event, HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import MODELS
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.frozen_values import FALSE, TRUE, freeze
from splitbrain.checkers.linearizability.linearizable import check
from splitbrain.checkers.linearizability.model import Call, Model
from tests.checkers.linearizability.objects import KINDS
from tests.checkers.linearizability.timeline import recorded


def known(f: str, argument: Any = None, result: Any = None) -> Call:
    return Call(f, freeze(argument), freeze(result))


def crashed(f: str, argument: Any = None) -> Call:
    return Call(f, freeze(argument), None, known=False)


def refused(argument: Any) -> Call:
    """A cas that failed because it met another value."""
    return Call("cas", freeze(argument), freeze(argument), failed=True)


X1, X1_Y2 = (("x", 1),), (("x", 1), ("y", 2))

STEPS: list[tuple[str, Any, Call, tuple[Any, ...]]] = [
    ("register", None, known("write", 1, 1), (1,)),
    ("register", 2, known("write", 1), (1,)),
    ("register", 2, known("write", None), (None,)),
    ("register", 2, crashed("write", 1), (1,)),
    ("register", None, known("read", None, None), (None,)),
    ("register", 1, known("read", None, 1), (1,)),
    ("register", 1, known("read", None, 2), ()),
    ("register", 1, known("read", None, None), ()),
    ("register", 1, known("read", None, "1"), ()),
    ("register", 1, known("read", None, True), ()),
    ("register", TRUE, known("read", None, True), (TRUE,)),
    ("register", (1, (2,)), known("read", None, [1, [2]]), ((1, (2,)),)),
    ("register", 1, crashed("read"), (1,)),
    ("cas-register", 1, known("cas", [1, 2], [1, 2]), (2,)),
    ("cas-register", 1, known("cas", [1, 1]), (1,)),
    ("cas-register", 1, known("cas", [2, 3]), ()),
    ("cas-register", None, known("cas", [None, 3]), (3,)),
    ("cas-register", 1, known("cas", [True, 3]), ()),
    ("cas-register", 1, crashed("cas", [1, 2]), (2,)),
    ("cas-register", 1, crashed("cas", [2, 3]), ()),
    ("cas-register", 1, refused([1, 2]), ()),
    ("cas-register", 1, refused([2, 3]), (1,)),
    ("cas-register", 1, known("read", None, 1), (1,)),
    ("cas-register", 1, known("write", 2), (2,)),
    ("multi-register", (), known("txn", [["w", "x", 1]], [["w", "x", 1]]), (X1,)),
    ("multi-register", X1, known("txn", [["w", "y", 2], ["r", "x", None]], [["w", "y", 2], ["r", "x", 1]]), (X1_Y2,)),
    ("multi-register", X1, known("txn", [["r", "x", None]], [["r", "x", 1]]), (X1,)),
    ("multi-register", X1, known("txn", [["r", "x", None]], [["r", "x", None]]), ()),
    ("multi-register", X1, known("txn", [["r", "y", None]], [["r", "y", None]]), (X1,)),
    ("multi-register", X1, known("txn", [["r", "x", None]] * 2, [["r", "x", 1], ["r", "x", 2]]), ()),
    # A transaction sees its own write, and no later one of its own.
    ("multi-register", X1, known("txn", [["w", "x", 2], ["r", "x", None]], [["w", "x", 2], ["r", "x", 2]]), ((("x", 2),),)),
    ("multi-register", X1, known("txn", [["r", "x", None], ["w", "x", 2]], [["r", "x", 2], ["w", "x", 2]]), ()),
    ("multi-register", X1, crashed("txn", [["r", "x", 9], ["w", "y", 2]]), (X1_Y2,)),
    ("kv", "", known("get", None, ""), ("",)),
    ("kv", "", known("get", None, None), ("",)),
    ("kv", "a", known("get", None, None), ()),
    ("kv", "a", known("get", None, "a"), ("a",)),
    ("kv", "a", known("get", None, "ab"), ()),
    ("kv", "a", known("put", "b"), ("b",)),
    ("kv", "a", known("put", None), ("",)),
    ("kv", "a", known("append", "b", "b"), ("ab",)),
    ("kv", "", known("append", "b"), ("b",)),
    ("kv", "a", crashed("append", "b"), ("ab",)),
    ("kv", "a", crashed("get"), ("a",)),
    ("counter", 0, known("add", 5), (5,)),
    ("counter", 5, known("add", -7, -7), (-2,)),
    ("counter", 5, crashed("add", 1), (6,)),
    ("counter", 5, known("read", None, 5), (5,)),
    ("counter", 5, known("read", None, 4), ()),
    ("counter", 0, known("read", None, None), ()),
    ("counter", 1, known("read", None, True), ()),
    ("counter", 5, crashed("read"), (5,)),
    ("mutex", "free", known("acquire"), ("taken",)),
    ("mutex", "taken", known("acquire"), ()),
    ("mutex", "taken", known("release"), ("free",)),
    ("mutex", "free", known("release"), ()),
    ("mutex", "free", crashed("acquire"), ("taken",)),
    ("mutex", "taken", crashed("acquire"), ()),
    ("mutex", "taken", crashed("release"), ("free",)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "state", "call", "left"), STEPS)
def test_a_step_leaves_the_states_worked_out_by_hand(name: str, state: Any, call: Call, left: tuple[Any, ...]) -> None:
    assert tuple(MODELS[name].step(state, call)) == left


@pytest.mark.parametrize(
    ("name", "initial"),
    [("register", None), ("cas-register", None), ("multi-register", ()), ("kv", ""), ("counter", 0), ("mutex", "free")],
)
def test_an_object_starts_empty(name: str, initial: Any) -> None:
    assert MODELS[name].initial == initial
    assert MODELS[name].name == name


# Values.


def test_values_are_frozen_so_that_what_differs_stays_different() -> None:
    values: list[Any] = [
        None,
        True,
        False,
        0,
        1,
        "",
        "1",
        "true",
        [],
        [[]],
        [None],
        {},
        {"a": 1},
        [["a", 1]],
        {"a": [1]},
        {"b": 1},
    ]
    for (n, one), (m, other) in product(enumerate(values), repeat=2):
        assert (freeze(one) == freeze(other)) is (n == m), (one, other)
    assert len({freeze(value) for value in values}) == len(values)


def test_the_order_of_an_objects_fields_does_not_matter() -> None:
    assert freeze({"a": 1, "b": {"c": 2, "d": 3}}) == freeze({"b": {"d": 3, "c": 2}, "a": 1})


def test_a_value_that_is_frozen_already_stays_as_it_is() -> None:
    for value in (TRUE, FALSE, (1, TRUE), None):
        assert freeze(value) == value


# Hints.


def _states(model: Model, name: str, random: Random) -> list[Any]:
    """Some states that the object can come to, by random calls from the start."""
    found, state = [model.initial], model.initial
    for _ in range(12):
        following = model.step(state, _call(name, random))
        if following:
            state = random.choice(list(following))
            found.append(state)
    return found


def _call(name: str, random: Random) -> Call:
    """A random call, with an answer that fits some state, or none."""
    kind = KINDS[name]
    f, argument = kind.ask(random)
    if random.random() < 0.2:
        return crashed(f, argument)
    if f == "cas" and random.random() < 0.3:
        return refused(argument)
    match f:
        case "read" | "look":
            return known(f, argument, random.choice([None, 0, 1, 2, 3]))
        case "get":
            return known(f, argument, random.choice(["", None, "a", "b", "ab", "ba"]))
        case "txn":
            return known(f, argument, [[k, n, random.choice([None, 0, 1]) if k == "r" else v] for k, n, v in argument])
        case _:
            return known(f, argument, argument)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**32))
def test_hints_keep_what_they_promise(name: str, seed: int) -> None:
    random, model = Random(seed), KINDS[name].model
    states = _states(model, name, random)
    calls = [_call(name, random) for _ in range(8)]
    for call in calls:
        left = [set(model.step(state, call)) for state in states]
        if model.read_only(call):
            assert all(after <= {state} for state, after in zip(states, left, strict=True))
        if model.overwrites(call):
            assert left[0] and all(after == left[0] for after in left)
        if model.commutes(call) or model.overwrites(call):
            assert model.blind(call)
        if model.blind(call):
            assert all(left)
    for one, other in product(calls, repeat=2):
        if model.commutes(one) and model.commutes(other):
            assert all(_after(model, state, one, other) == _after(model, state, other, one) for state in states)


def _after(model: Model, state: Any, *calls: Call) -> set[Any]:
    states = {state}
    for call in calls:
        states = {new for each in states for new in model.step(each, call)}
    return states


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**32))
def test_what_leads_to_no_read_never_comes_to_one_without_an_overwriting_call(name: str, seed: int) -> None:
    random, model = Random(seed), KINDS[name].model
    reads = [call for call in (_call(name, random) for _ in range(30)) if call.known and model.read_only(call)]
    others = [call for call in (_call(name, random) for _ in range(6)) if not model.overwrites(call)]
    for state in _states(model, name, random):
        reachable, ahead = {state}, [state]
        for _ in range(3):
            ahead = [new for each in ahead for call in others for new in model.step(each, call)]
            reachable.update(ahead)
        for read in reads:
            if not model.leads_to(state, read):
                assert not any(model.step(each, read) for each in reachable), (state, read)


def test_every_hint_is_given_by_some_model() -> None:
    """Promises of nothing would be kept by anything."""
    hinted = {
        (name, hint.__name__)
        for name, kind in KINDS.items()
        for call in (_call(name, Random(seed)) for seed in range(200))
        for hint in (kind.model.read_only, kind.model.overwrites, kind.model.commutes, kind.model.blind)
        if hint(call)
    }
    assert {
        ("register", "read_only"), ("register", "overwrites"), ("cas-register", "read_only"), ("cas-register", "overwrites"),
        ("kv", "read_only"), ("kv", "overwrites"), ("kv", "blind"), ("multi-register", "read_only"),
        ("counter", "read_only"), ("counter", "commutes"), ("dice", "read_only"), ("dice", "overwrites"),
    } <= hinted  # fmt: skip
    assert not any(name == "mutex" for name, _ in hinted)
    assert not MODELS["cas-register"].blind(known("cas", [1, 2]))


def test_a_cas_leads_anywhere_though_a_register_leads_nowhere_by_itself() -> None:
    read = known("read", None, 2)
    assert not MODELS["register"].leads_to(1, read)
    assert MODELS["cas-register"].leads_to(1, read)


# What they refuse.


def _history(*events: tuple[int, str, str, Any]) -> History:
    return History([Event(n, n, process, type_, f, "k", value) for n, (process, type_, f, value) in enumerate(events)])  # type: ignore[arg-type]


MALFORMED: list[tuple[str, str, Any, str]] = [
    ("cas-register", "cas", [1], "a cas needs a pair [old, new], has [1]"),
    ("cas-register", "cas", [1, 2, 3], "a cas needs a pair [old, new], has [1, 2, 3]"),
    ("cas-register", "cas", 5, "a cas needs a pair [old, new], has 5"),
    ("cas-register", "cas", None, "a cas needs a pair [old, new], has null"),
    ("cas-register", "cas", "12", 'a cas needs a pair [old, new], has "12"'),
    ("cas-register", "cas", {"old": 1, "new": 2}, 'a cas needs a pair [old, new], has {"'),
    ("kv", "append", 5, "an append needs a text, has 5"),
    ("kv", "append", None, "an append needs a text, has null"),
    ("kv", "append", True, "an append needs a text, has true"),
    ("counter", "add", "5", 'an add needs an integer, has "5"'),
    ("counter", "add", True, "an add needs an integer, has true"),
    ("counter", "add", 1.5, "an add needs an integer, has 1.5"),
    ("counter", "add", None, "an add needs an integer, has null"),
    ("multi-register", "txn", None, 'a txn needs a list of ["r", name, value] and ["w", name, value], has null'),
    ("multi-register", "txn", [["x", "a", 1]], "a txn needs a list of"),
    ("multi-register", "txn", [["r", "a"]], "a txn needs a list of"),
    ("multi-register", "txn", ["r", "a", None], "a txn needs a list of"),
    ("multi-register", "txn", {"r": 1}, "a txn needs a list of"),
    ("multi-register", "txn", [[["r"], "a", 1]], "a txn needs a list of"),
]


@pytest.mark.parametrize(("name", "f", "value", "problem"), MALFORMED)
@pytest.mark.parametrize("ending", ["ok", "info", None])
def test_an_argument_of_the_wrong_shape_is_refused_with_line_rule_and_operation(
    name: str, f: str, value: Any, problem: str, ending: str | None
) -> None:
    good = {"cas": ("write", 1), "append": ("put", "a"), "add": ("add", 1), "txn": ("txn", [["w", "a", 1]])}[f]
    events = [(0, "invoke", *good), (0, "ok", *good), (3, "invoke", f, value)]
    events += [(3, ending, f, value)] if ending else []
    with pytest.raises(HistoryError) as refusal:
        check(_history(*events), model=name)
    assert refusal.value.line == 3
    assert refusal.value.problem.startswith(f"{f} by process 3: {problem}")


@pytest.mark.parametrize("result", [None, 7, [["r", "a"]], [["q", "a", 1]]])
def test_a_result_of_the_wrong_shape_is_refused_too(result: Any) -> None:
    asked = [["r", "a", None]]
    with pytest.raises(HistoryError, match=r'line 1: txn by process 0: a txn needs a list of \["r", name, value\]'):
        check(_history((0, "invoke", "txn", asked), (0, "ok", "txn", result)), model="multi-register")


@pytest.mark.parametrize(
    "result",
    [
        [["r", "b", 1]],  # another name
        [["w", "a", 1]],  # a write in place of the read
        [["r", "a", 1], ["w", "a", 2]],  # more than was asked
        [],
    ],
)
def test_an_answer_to_another_question_than_was_asked_is_refused(result: Any) -> None:
    asked = [["r", "a", None]]
    with pytest.raises(HistoryError, match="line 1: txn by process 0: "):
        check(_history((0, "invoke", "txn", asked), (0, "ok", "txn", result)), model="multi-register")


def test_an_answer_that_wrote_something_else_than_was_asked_is_refused() -> None:
    asked = [["w", "a", 1]]
    with pytest.raises(HistoryError, match="line 1: txn by process 0: "):
        check(_history((0, "invoke", "txn", asked), (0, "ok", "txn", [["w", "a", 2]])), model="multi-register")


def test_names_of_any_kind_may_stand_in_one_multi_register() -> None:
    """true and false, and lists of different things, can't be sorted beside each other."""
    names: list[Any] = [True, False, None, 1, "1", [1], ["a"], [None]]
    writes = [["w", name, n] for n, name in enumerate(names)]
    reads = [["r", name, n] for n, name in enumerate(names)]
    events = [
        (0, "invoke", "txn", writes),
        (0, "ok", "txn", writes),
        (0, "invoke", "txn", reads),
        (0, "ok", "txn", reads),
    ]
    assert check(_history(*events), model="multi-register").outcome == "valid"


@pytest.mark.parametrize("name", ["register", "cas-register", "multi-register", "kv", "counter", "mutex"])
def test_an_operation_that_a_model_does_not_have_is_refused_with_its_line_and_what_there_is(name: str) -> None:
    known_fs = ", ".join(sorted(MODELS[name].fs or ()))
    some = {
        "register": "read",
        "cas-register": "read",
        "multi-register": "txn",
        "kv": "get",
        "counter": "read",
        "mutex": "acquire",
    }
    value = [["r", "a", None]] if name == "multi-register" else None
    events = [(0, "invoke", some[name], value), (0, "ok", some[name], value), (1, "invoke", "frobnicate", 1)]
    with pytest.raises(HistoryError) as refusal:
        check(_history(*events), model=name)
    assert refusal.value.line == 3
    assert refusal.value.problem == f"a {name} has no operation 'frobnicate'; it has {known_fs}"


def test_polls_of_replicas_and_what_the_nemesis_does_are_no_calls() -> None:
    events = [
        Event(0, 0, "nemesis", "info", "kill"),
        Event(1, 1, 0, "invoke", "replica", "k"),
        Event(2, 2, 1, "invoke", "write", "k", 1),
        Event(3, 3, 0, "ok", "replica", "k", {"home": True}),
        Event(4, 4, 1, "ok", "write", "k", 1),
    ]
    parts = calls_of(History(events), MODELS["register"])
    assert [(call.f, call.invoked, call.returned) for calls in parts.values() for call in calls] == [("write", 2, 4)]


# Outcomes (`calls`).


def test_outcomes_become_calls_or_nothing() -> None:
    def one(type_: str | None, f: str, value: Any, error: str | None = None) -> Sequence[Call]:
        events = [Event(0, 0, 0, "invoke", f, None, value)]
        if type_:
            events.append(Event(1, 1, 0, type_, f, None, value, error=error))  # type: ignore[arg-type]
        return calls_of(History(events), MODELS["cas-register"]).get(None, [])

    def told(calls: Sequence[Call]) -> list[tuple[bool, bool, int]]:
        return [(call.known, call.failed, call.returned) for call in calls]

    assert told(one("ok", "write", 1)) == [(True, False, 1)]
    assert told(one("info", "write", 1)) == [(False, False, FOREVER)]
    assert told(one(None, "write", 1)) == [(False, False, FOREVER)]
    assert told(one("fail", "write", 1)) == []
    assert told(one("fail", "write", 1, "mismatch: a write has no mismatch")) == []
    assert told(one("ok", "read", None)) == [(True, False, 1)]
    assert told(one("info", "read", None)) == []
    assert told(one(None, "read", None)) == []
    assert told(one("ok", "cas", [1, 2])) == [(True, False, 1)]
    assert told(one("info", "cas", [1, 2])) == [(False, False, FOREVER)]
    assert told(one("fail", "cas", [1, 2])) == []
    assert told(one("fail", "cas", [1, 2], "timeout: gave up")) == []
    assert told(one("fail", "cas", [1, 2], "mismatch")) == [(True, True, 1)]
    assert told(one("fail", "cas", [1, 2], "mismatch: it was 3")) == [(True, True, 1)]
    assert told(one("fail", "cas", [1, 2], "mismatched")) == []
    assert told(one("info", "cas", [1, 2], "mismatch: or so it seemed")) == [(False, False, FOREVER)]


def test_parts_are_the_keys_in_the_order_of_their_first_call() -> None:
    parts = calls_of(recorded("b: write 1  |-|\na: write 2     |-|\nb: read -> 1      |-|"), MODELS["register"])
    assert {part: [call.f for call in calls] for part, calls in parts.items()} == {
        "b": ["write", "read"],
        "a": ["write"],
    }
    assert list(parts) == ["b", "a"]


# Values again, through the whole check.


def written_then_read(written: Any, read: Any) -> Hashable:
    events = (
        (0, "invoke", "write", written),
        (0, "ok", "write", written),
        (0, "invoke", "read", None),
        (0, "ok", "read", read),
    )
    by_zones = check(_history(*events), model="register").outcome
    # A cas somewhere behind, so that the search judges.
    searched = check(_history(*events, (0, "invoke", "cas", [None, 9])), model="cas-register").outcome
    assert by_zones is searched
    return by_zones.value


@pytest.mark.parametrize("value", [0, 1, True, False, "", "a", 1.5, [], [1, [2]], {}, {"a": [1, {"b": None}]}, 10**30])
def test_whatever_json_has_can_be_written_and_read(value: Any) -> None:
    assert written_then_read(value, value) == "valid"
    assert written_then_read(value, "another") == "invalid"
    assert written_then_read(value, None) == "invalid"


@pytest.mark.parametrize(
    ("written", "read"),
    [(True, 1), (1, True), (False, 0), (0, False), ([True], [1]), (1, "1"), ([], {}), ({}, []), ({"a": 1}, [["a", 1]])],
)
def test_values_that_look_alike_are_not_the_same(written: Any, read: Any) -> None:
    assert written_then_read(written, read) == "invalid"


def test_null_may_be_written_over_a_value() -> None:
    drawing = """
        write 1       |-|
        write null        |-|
        read -> null          |-|
        """
    assert check(recorded(drawing), model="register").outcome == "valid"
    assert check(recorded(drawing.replace("read -> null", "read -> 1   ")), model="register").outcome == "invalid"
