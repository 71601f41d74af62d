"""Frozen values: objects as mappings, in a model of a user's own."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import Call, Model, check
from splitbrain.checkers.linearizability.frozen_values import TRUE, Fields, freeze


class Carts(Model):
    """`put` {"item": name, "count": n} into a cart, `read` the cart: an object from item to count."""

    name = "carts"
    initial = freeze({})
    fs = frozenset({"put", "read"})

    def step(self, state: Any, call: Call) -> Sequence[Any]:
        if call.f == "read":
            return (state,) if not call.known or call.result == state else ()
        # A put names its fields in any order; what it doesn't name is one.
        item, count = call.argument["item"], call.argument.get("count", 1)
        return (freeze({**state, item: state.get(item, 0) + count}),)


def history(*operations: tuple[str, Any, Any]) -> History:
    events = []
    for f, argument, result in operations:
        events.append(Event(len(events), len(events), 0, "invoke", f, None, argument))
        events.append(Event(len(events), len(events), 0, "ok", f, None, result))
    return History(events)


def test_a_model_of_ones_own_looks_up_the_fields_of_an_object() -> None:
    puts: list[tuple[str, Any, Any]] = [
        ("put", {"item": "pear", "count": 2}, None),
        ("put", {"count": 3, "item": "fig"}, None),
        ("put", {"item": "pear"}, None),
    ]
    assert check(history(*puts, ("read", None, {"fig": 3, "pear": 3})), model=Carts()).outcome == "valid"
    verdict = check(history(*puts, ("read", None, {"fig": 3, "pear": 2})), model=Carts())
    assert verdict.outcome == "invalid"
    assert verdict.witness is not None and '{"fig": 3, "pear": 2}' in verdict.witness.text


def test_an_object_is_an_immutable_mapping_that_can_be_hashed() -> None:
    fields = freeze({"b": [1], "a": {"c": True}})
    assert isinstance(fields, Fields) and isinstance(fields, Mapping)
    assert (fields["b"], list(fields), len(fields), "a" in fields, fields.get("z")) == ((1,), ["a", "b"], 2, True, None)
    assert dict(fields["a"]) == {"c": TRUE}  # type: ignore[call-overload]
    assert {fields: 1}[freeze({"a": {"c": True}, "b": [1]})] == 1
    with pytest.raises(TypeError):
        fields["b"] = 2  # type: ignore[index]
    with pytest.raises(KeyError):
        fields["z"]


def test_an_object_equals_objects_and_no_list_of_pairs() -> None:
    fields = freeze({"a": 1})
    assert fields == {"a": 1} and fields == freeze({"a": 1})
    assert fields != freeze({"a": True}) and fields != freeze({"a": 1, "b": 1})
    assert fields != (("a", 1),) and fields != freeze([["a", 1]])


def test_an_object_is_unchanged_after_pickling() -> None:
    fields = freeze({"a": [1, {"b": None}]})
    assert pickle.loads(pickle.dumps(fields)) == fields
