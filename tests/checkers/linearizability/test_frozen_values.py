"""Frozen values: what differs stays different, also through the whole check and in a model of a user's own."""

from __future__ import annotations

import pickle
from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from typing import Any

import pytest

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import Call, Model, check
from splitbrain.checkers.linearizability.frozen_values import FALSE, TRUE, Fields, freeze
from tests.checkers.linearizability.calls_by_hand import history_of
from tests.checkers.linearizability.timeline import recorded


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


# Values again, through the whole check.


def written_then_read(written: Any, read: Any) -> Hashable:
    events = (
        (0, "invoke", "write", written),
        (0, "ok", "write", written),
        (0, "invoke", "read", None),
        (0, "ok", "read", read),
    )
    by_zones = check(history_of(*events), model="register").outcome
    # A cas somewhere behind, so that the search judges.
    searched = check(history_of(*events, (0, "invoke", "cas", [None, 9])), model="cas-register").outcome
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
