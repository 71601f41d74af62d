"""The models' hints: they promise what the steps keep."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.checkers.linearizability import MODELS
from splitbrain.checkers.linearizability.model import Call, Model
from tests.checkers.linearizability.calls_by_hand import crashed, known, refused
from tests.checkers.linearizability.objects import KINDS


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
